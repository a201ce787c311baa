"""Assemble sets of shards: which files belong to a set, their order, and whether they are consistent."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidGguf, InvalidShards
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ggufio.reader import GgufFile, open_gguf

__all__ = [
    "Shard",
    "ShardName",
    "assemble",
    "dead_links",
    "gather",
    "gguf_paths",
    "group",
    "is_copy",
    "set_name",
    "shard_name",
]

_SHARD_NAME = lazy_pattern(
    r"(?P<prefix>.+?)[-._ ]?(?<![0-9])(?P<number>[0-9]{1,6})[-_ ]of[-_ ](?P<count>[0-9]{1,6})\.gguf",
    re.IGNORECASE | re.DOTALL,
)
_COPY = lazy_pattern(
    r"(?P<stem>.+?) (?:\([0-9]{1,3}\)|- Copy|copy)(?P<ending>\.gguf)", re.IGNORECASE | re.DOTALL
)
_BLOCK = lazy_pattern(r"blk\.([0-9]{1,5})\.")
_OTHER_MODEL = "they belong to different models or versions: get all shards from the same source"
_MAGIC = b"GGUF"
_NAMED = 5  # missing files named in an error


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardName:
    """The parts of ``PREFIX-00001-of-00003.gguf``, and of names like ``PREFIX_1_of_3.GGUF``.

    Attributes:
        prefix: The common prefix of all shards of the set.
        no: The shard's index, from 0 as in ``split.no``; the name counts from 1.
        count: The number of shards in the set.
        head, tail: The name before and after its number.
        width: The digits of the number.
    """

    prefix: str
    no: int
    count: int
    head: str
    tail: str
    width: int

    @classmethod
    def parse(cls, name: str) -> ShardName | None:
        """Parse a file name; ``None`` if it is not of that form."""
        match = _SHARD_NAME.fullmatch(name)
        if match is None or not match["prefix"].strip("-._ "):
            return None
        if not 1 <= int(match["number"]) <= int(match["count"]):
            return None
        begin, end = match.span("number")
        return cls(
            prefix=match["prefix"],
            no=int(match["number"]) - 1,
            count=int(match["count"]),
            head=name[:begin],
            tail=name[end:],
            width=end - begin,
        )

    def of(self, no: int) -> str:
        """Return the name of a shard of the set; ``no`` is from 0."""
        return f"{self.head}{no + 1:0{self.width}d}{self.tail}"


def shard_name(prefix: str, *, no: int, count: int) -> str:
    """Return the name by which llama.cpp and Ollama find a shard (``llama_split_path``); ``no`` is from 0."""
    return f"{prefix}-{no + 1:05d}-of-{count:05d}.gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of a model: a shard, or the only file.

    Attributes:
        path: Its path, as given.
        gguf: Its header.
    """

    path: Path
    gguf: GgufFile

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Shard:
        """Read the header of the file; raises as :func:`open_gguf` does."""
        return cls(path=Path(path), gguf=open_gguf(path))

    @property
    def no(self) -> int:
        """Its index in the set, from 0."""
        return self.gguf.split.no if self.gguf.split else 0

    @property
    def count(self) -> int:
        """The number of shards in its set, by its header; 1 where it has all tensors of the set itself."""
        return self.gguf.split.count if self.gguf.split and not self.has_left_over_split else 1

    @property
    def has_left_over_split(self) -> bool:
        """Whether it is whole although its header says that it is a shard.

        The ``llama-quantize`` of 2024 copied ``split.*`` from the first shard of what it read.
        """
        split = self.gguf.split
        return split is not None and split.count > 1 and len(self.gguf.tensors) == split.tensors_count

    def require_whole(self) -> None:
        """Check that a file without ``split.*`` in its header is not one shard of several.

        Old writers left no ``split.*`` in shards. A file that only kept such a name is alone, and has the
        last of its blocks.

        Raises:
            InvalidShards: It is part of a model.
        """
        name = ShardName.parse(self.path.name)
        if name is None or name.count == 1 or self.gguf.split is not None:
            return
        blocks = self.gguf.metadata.get(f"{self.gguf.metadata.get('general.architecture')}.block_count")
        numbers = {int(match[1]) for tensor in self.gguf.tensors if (match := _BLOCK.match(tensor.name))}
        ends = any(tensor.name.startswith("output_norm") for tensor in self.gguf.tensors)
        is_complete = isinstance(blocks, int) and numbers and max(numbers) + 1 >= blocks and ends
        if is_complete and not _named_siblings(self.path):
            return
        raise InvalidShards(
            f"{self.path} is shard {name.no + 1} of {name.count} by its name, but its header has no split.*",
            hint="programs before llama.cpp's gguf-split of March 2024 wrote such shards: get a newer GGUF of"
            " the model, or one in a single file",
        )

    def require_not_joined(self) -> None:
        """Check that shards were not joined by ``cat``, which makes no GGUF of them.

        Raises:
            InvalidShards: Behind its tensors begins another GGUF.
        """
        ends = (tensor.offset + tensor.n_bytes for tensor in self.gguf.tensors)
        end = self.gguf.data_offset + max(ends, default=0)
        for start in (end, -(-end // self.gguf.alignment) * self.gguf.alignment):
            if self.count > 1 and start + len(_MAGIC) <= self.size and self._read(start) == _MAGIC:
                raise InvalidShards(
                    f"{self.path} holds shards that were joined byte by byte: shard {self.no + 1} of"
                    f" {self.count} ends at byte {start:,}, where another GGUF begins",
                    hint="get the shards again and give any of them, or join them with: gguf2ollama merge",
                )

    def _read(self, start: int) -> bytes:
        with disk_errors(self.path), self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(len(_MAGIC))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.gguf.size


def assemble(shards: Sequence[Shard]) -> tuple[Shard, ...]:
    """Order shards by their headers, and check that they are one complete set.

    Raises:
        InvalidShards: One is missing, duplicate, or of another model.
    """
    first = shards[0]
    for shard in shards[1:]:
        _check_kinship(first, shard)
    for shard in shards:
        shard.require_whole()
    if len(shards) > 1 and first.gguf.split is None:
        raise InvalidShards(f"{first.path} and {shards[1].path} are both complete", hint="name one of them")
    by_no: dict[int, Shard] = {}
    for shard in shards:
        twin = by_no.setdefault(shard.no, shard)
        if twin is not shard:
            raise InvalidShards(
                f"duplicate shard {shard.no + 1} of {shard.count}: {twin.path} and {shard.path}",
                hint="keep only one of them in the directory",
            )
    missing = [no for no in range(first.count) if no not in by_no]
    if missing:
        raise _missing(shards, missing)
    ordered = tuple(by_no[no] for no in range(first.count))
    _check_contents(ordered)
    return ordered


def gather(anchor: Shard) -> tuple[Shard, ...]:
    """Find the complete set of a shard among the files in its folder.

    Files with llama.cpp's names come first, and no others are opened if they are a set. Else the files
    were renamed: all GGUF files there are read, except sets that are complete under llama.cpp's names.

    Raises:
        InvalidGguf: A file named as a shard of the set is not a GGUF file.
        InvalidShards: A shard is missing, there twice, or from another model.
    """
    named = [anchor, *(Shard.open(path) for path in _named_siblings(anchor.path))]
    if _is_whole(named):
        return assemble(named)
    others = []
    for path in gguf_paths(anchor.path.parent):
        if all(not path.samefile(shard.path) for shard in named):
            others += _open_if_valid(path)
    strangers = {shard.path for ordered in _whole_by_name(others) for shard in ordered}
    kin = [shard for shard in others if shard.path not in strangers and _is_kin(anchor, shard)]
    return assemble([*(shard for shard in named if _is_kin(anchor, shard)), *kin] if kin else named)


def group(shards: Iterable[Shard]) -> tuple[list[tuple[Shard, ...]], list[InvalidShards]]:
    """Group the files of a folder into complete sets; a file that is not a shard is its own set.

    Returns:
        The sets, and for shards that do not form one the reason.
    """
    everything = list(shards)
    sets: list[tuple[Shard, ...]] = []
    problems: list[InvalidShards] = []
    for shard in everything:
        if shard.count == 1:
            try:
                shard.require_whole()
            except InvalidShards as problem:
                problems.append(problem)
            else:
                sets.append((shard,))
    split = [shard for shard in everything if shard.count > 1]
    named = _whole_by_name(split)
    taken = {shard.path for ordered in named for shard in ordered}
    kins: list[list[Shard]] = []
    for shard in split:
        if shard.path not in taken:
            kin = next((group for group in kins if _is_kin(group[0], shard)), None)
            if kin is None:
                kins.append(kin := [])
            kin.append(shard)
    for kin in kins:
        try:
            kin[0].require_not_joined()
            sets.append(assemble(kin))
        except InvalidShards as problem:
            problems.append(problem)
    return sets + named, problems


def gguf_paths(folder: Path) -> list[Path]:
    """Return the ``.gguf`` files of a folder, sorted by name, each file once.

    A file with several names (hard or symbolic links) is listed under the first.
    """
    seen = set()
    paths = []
    for path in sorted(folder.iterdir()):
        # hidden ones are no models: macOS puts ._NAME beside each file on exFAT and network shares
        if path.name.startswith(".") or path.suffix.lower() != ".gguf" or not path.is_file():
            continue
        status = path.stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            paths.append(path)
    return paths


def dead_links(folder: Path) -> list[Path]:
    """Return the ``.gguf`` files of a folder that are symbolic links to nothing, as a pruned cache leaves."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == ".gguf" and not path.name.startswith(".")
        if path.is_symlink() and not path.exists()
    ]


def set_name(ordered: Sequence[Shard]) -> str:
    """Return the name of a set: that of most of its files, without number and ``.gguf``."""
    parsed = [ShardName.parse(shard.path.name) for shard in ordered]
    votes = Counter(name.prefix for name in parsed if name is not None)
    if votes:
        return votes.most_common(1)[0][0]
    path = ordered[0].path
    return path.stem if path.suffix.lower() == ".gguf" else path.name


def is_copy(path: Path, *, of: Path) -> bool:
    """Return whether a name is what browsers and file managers call another copy: ``model (1).gguf``."""
    match = _COPY.fullmatch(path.name)
    return match is not None and f"{match['stem']}{match['ending']}" == of.name


def _named_siblings(path: Path) -> list[Path]:
    name = ShardName.parse(path.name)
    if name is None:
        return []
    siblings = (path.with_name(name.of(no)) for no in range(name.count))
    return [sibling for sibling in siblings if sibling.is_file() and not sibling.samefile(path)]


def _open_if_valid(path: Path) -> list[Shard]:
    try:
        return [Shard.open(path)]
    except InvalidGguf:
        return []


def _whole_by_name(shards: Iterable[Shard]) -> list[tuple[Shard, ...]]:
    """Return the sets that are complete under llama.cpp's names."""
    by_name: dict[tuple[str, int], list[Shard]] = defaultdict(list)
    for shard in shards:
        if name := ShardName.parse(shard.path.name):
            by_name[name.prefix, name.count].append(shard)
    return [assemble(named) for named in by_name.values() if _is_whole(named)]


def _is_whole(shards: Sequence[Shard]) -> bool:
    first = shards[0]
    return all(_is_kin(first, shard) for shard in shards) and sorted(shard.no for shard in shards) == [
        *range(first.count)
    ]


def _is_kin(first: Shard, other: Shard) -> bool:
    return first.gguf.split is not None and (
        other.gguf.split is not None
        and first.count == other.count
        and first.gguf.split.tensors_count == other.gguf.split.tensors_count
        and first.gguf.byte_order == other.gguf.byte_order
    )


def _check_kinship(first: Shard, other: Shard) -> None:
    mine, yours = first.gguf.split, other.gguf.split
    if (mine is None) is not (yours is None):
        whole, shard = (first, other) if mine is None else (other, first)
        raise InvalidShards(
            f"{whole.path} is a complete GGUF, {shard.path} is a shard of another",
            hint="name one of them; a complete file needs no shards",
        )
    if mine is None or yours is None:
        return
    for what, here, there in (
        ("shards in the set", mine.count, yours.count),
        ("tensors in the set", mine.tensors_count, yours.tensors_count),
        ("byte order", first.gguf.byte_order, other.gguf.byte_order),
    ):
        if here != there:
            raise InvalidShards(
                f"{first.path} and {other.path} are not shards of one model: {what}: {here} and {there}",
                hint=_OTHER_MODEL,
            )


def _missing(shards: Sequence[Shard], missing: Sequence[int]) -> InvalidShards:
    count = shards[0].count
    name = set_name(shards)
    files = ", ".join(shard_name(name, no=no, count=count) for no in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
    return InvalidShards(
        f"{len(missing):,} of the {count:,} shards of {name} {'is' if len(missing) == 1 else 'are'} missing: "
        f"{files}{more}",
        hint=f"put all shards into {shards[0].path.parent}",
    )


def _check_contents(ordered: Sequence[Shard]) -> None:
    """Check that no key of a later shard contradicts the first, and that no tensor is duplicate."""
    first = ordered[0]
    owners: dict[str, Shard] = {}
    for shard in ordered:
        for key in shard.gguf.metadata:
            if key.startswith("split.") or key == "general.alignment" or key not in first.gguf.metadata:
                continue
            if shard.gguf.metadata.raw(key) != first.gguf.metadata.raw(key):
                raise InvalidShards(
                    f"{first.path} and {shard.path} are not shards of one model: {key} differs",
                    hint=_OTHER_MODEL,
                )
        for tensor in shard.gguf.tensors:
            owner = owners.setdefault(tensor.name, shard)
            if owner is not shard:
                raise InvalidShards(
                    f"tensor {tensor.name!r} is in both {owner.path} and {shard.path}", hint=_OTHER_MODEL
                )
    split = first.gguf.split
    if split is not None and len(owners) != split.tensors_count:
        raise InvalidShards(
            f"the shards of {set_name(ordered)} have {len(owners):,} tensors, but their headers declare "
            f"{split.tensors_count:,}",
            hint=_OTHER_MODEL,
        )
