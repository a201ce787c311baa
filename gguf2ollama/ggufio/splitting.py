"""Write one GGUF as shards, as ``llama-gguf-split --split`` does (tools/gguf-split/gguf-split.cpp)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.atomic import already_exists
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.space import check_free_space
from gguf2ollama.ggufio.copying import Meter, refuse_inputs, write_ranges
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Zeros, coalesce, tensor_ranges
from gguf2ollama.ggufio.reader import SPLIT_KEYS
from gguf2ollama.ggufio.shard_files import Shard, shard_name
from gguf2ollama.ggufio.staging import publish, staging_folder
from gguf2ollama.ggufio.tensors import DEFAULT_ALIGNMENT, TensorInfo, align
from gguf2ollama.ggufio.writer import TypedValue, encode_entry, encode_header, lay_out, normalized

__all__ = ["split"]

MAX_SHARDS = (1 << 16) - 1  # split.count has 16 bits


def split(
    source: str | os.PathLike[str],
    prefix: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    max_tensors: int | None = None,
    replace: bool = False,
    progress: Progress = ignore,
) -> tuple[Path, ...]:
    """Write a GGUF as shards ``PREFIX-00001-of-0000N.gguf``: all of them, or none.

    The first shard has the metadata. The bytes are those of ``llama-gguf-split --split`` with the same
    limit, except where that tool is wrong: it pads to 32 bytes whatever ``general.alignment`` is, cuts
    strings at a NUL byte, and fails if the first tensor is larger than the limit.

    Args:
        source: The file; it must be complete.
        prefix: The path prefix of the shards.
        max_bytes: Bytes of tensors per shard, with padding but without the header. A larger tensor gets a
            separate shard.
        max_tensors: Tensors per shard.
        replace: Whether existing files may be replaced.
        progress: Called with the bytes written.

    Raises:
        InvalidGguf: The source is not a GGUF file, or changes meanwhile.
        NotEnoughSpace: The disk has too little free space.
        NotFound: The source, or the folder to write to, does not exist.
        UsageProblem: Not exactly one limit is given, or it results in a single shard or too many; the source
            is a shard; one of the files exists and ``replace`` is false, or is the source.
    """
    whole = Shard.open(source)
    if whole.count > 1:
        raise UsageProblem(
            f"{whole.path} is already a shard, {whole.no + 1} of {whole.count}",
            hint="merge the shards first",
        )
    groups = _group(whole.gguf.tensors, max_bytes=max_bytes, max_tensors=max_tensors)
    _check_count(whole, len(groups))
    base = Path(prefix)
    if not base.name:
        raise UsageProblem(f"invalid output prefix {str(prefix)!r}", hint="use a prefix such as out/model")
    targets = [base.with_name(shard_name(base.name, no=no, count=len(groups))) for no in range(len(groups))]
    for target in targets:
        refuse_inputs(target, [whole.path])
        if not replace and os.path.lexists(target):
            raise already_exists(target)
    shards = [_Plan.of(whole, group, no=no, count=len(groups)) for no, group in enumerate(groups)]
    size = sum(shard.size for shard in shards)
    check_free_space(base.parent, size)
    meter = Meter(f"splitting {whole.path.name}", size, progress)
    with staging_folder(base.parent) as folder, disk_errors(base.parent):
        staged = [folder / target.name for target in targets]
        for path, shard in zip(staged, shards, strict=True):
            shard.write(path, whole, meter)
        publish(staged, targets, replace=replace)
    return tuple(targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The planned contents of a shard."""

    header: bytes
    ranges: tuple[FileRange | Zeros, ...]

    @classmethod
    def of(cls, whole: Shard, tensors: Sequence[TensorInfo], *, no: int, count: int) -> _Plan:
        """Return the plan of the shard with these tensors; only the first has all metadata."""
        order = whole.gguf.byte_order
        numbers = {"split.no": no, "split.tensors.count": len(whole.gguf.tensors), "split.count": count}
        entries = [
            encode_entry(key, TypedValue(SPLIT_KEYS[key], number), byte_order=order)
            for key, number in numbers.items()
        ]
        alignment = DEFAULT_ALIGNMENT
        if no == 0:
            metadata = whole.gguf.metadata
            entries = [metadata.raw(key) for key in metadata if key not in SPLIT_KEYS] + entries
            alignment = whole.gguf.alignment
        infos = lay_out(map(normalized, tensors), alignment=alignment)
        return cls(
            header=encode_header(entries, infos, byte_order=order, version=3, alignment=alignment),
            ranges=tuple(tensor_ranges(whole, tensors, alignment=alignment)),
        )

    @property
    def size(self) -> int:
        return len(self.header) + sum(part.length for part in self.ranges)

    def write(self, path: Path, whole: Shard, meter: Meter) -> None:
        ranges = coalesce([GivenBytes(self.header), *self.ranges])
        with path.open("xb", buffering=0) as target:
            write_ranges(target, ranges, {whole.path: whole.gguf}, report=meter)
            os.fsync(target.fileno())


def _group(
    tensors: Sequence[TensorInfo], *, max_bytes: int | None, max_tensors: int | None
) -> list[list[TensorInfo]]:
    """Group the tensors in order, by exactly one of the limits."""
    if (max_bytes is None) == (max_tensors is None):
        raise UsageProblem("pass either max_bytes or max_tensors")
    limit = max_bytes if max_tensors is None else max_tensors
    if limit is None or limit < 1:
        raise UsageProblem(f"invalid shard limit {limit}", hint="use at least 1")
    groups: list[list[TensorInfo]] = []
    filled = limit
    for tensor in tensors:
        weight = 1 if max_bytes is None else align(tensor.n_bytes, DEFAULT_ALIGNMENT)
        if filled + weight > limit:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += weight
    return groups


def _check_count(whole: Shard, count: int) -> None:
    if count <= 1:
        raise UsageProblem(f"nothing to split: {whole.path} fits in a single shard", hint="set a lower limit")
    if count > MAX_SHARDS:
        raise UsageProblem(
            f"too many shards: {count:,}, the limit is {MAX_SHARDS:,}",
            hint="set a higher limit",
        )
