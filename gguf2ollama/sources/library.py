"""Find all models in folders that other programs keep: caches of LM Studio, llama.cpp, the Hub, any tree.

LM Studio keeps ``PUBLISHER/REPOSITORY/FILE.gguf``; the Hub's cache ``models--OWNER--REPOSITORY`` with
``snapshots/COMMIT`` and links to blobs; llama.cpp, before it used the Hub's cache, all in one folder, as
``OWNER_REPOSITORY_FILE.gguf`` beside ``manifest=OWNER=REPOSITORY=TAG.json``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, NotFound, UsageProblem
from gguf2ollama.ggufio import Role, Shard, ShardSet, file_type_name
from gguf2ollama.ggufio.shard_files import dead_links, group, set_name
from gguf2ollama.sources.beside import is_part_of_above
from gguf2ollama.sources.catalogue.projectors import PRECISIONS
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.projectors import projector_problem

__all__ = ["Library", "LibraryModel", "SkippedFile", "find_library"]

_HUB = "models--"
_SNAPSHOTS = "snapshots"
_MANIFEST = ("manifest=", ".json")
_MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryModel:
    """A model that was found.

    Attributes:
        files: Its files, with the projector that belongs to it.
        repository: ``owner/repo`` where its place says so, else ``""``.
        stem: Its name without ``.gguf``, without the number of a shard and without the repository before it.
    """

    files: ModelFiles
    repository: str
    stem: str

    @property
    def path(self) -> Path:
        """The path of its first file."""
        return self.files.paths[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A GGUF file that is no model to build, and why, a phrase."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """All models in folders, by path, and the files that were skipped."""

    models: tuple[LibraryModel, ...]
    skipped: tuple[SkippedFile, ...]


def find_library(folders: Sequence[str | os.PathLike[str]]) -> Library:
    """Find all models in folders and their subfolders; only headers are read.

    Hidden files and folders are passed over. A file with several names counts once.

    Raises:
        NotFound: A folder does not exist.
        UsageProblem: It is a file.
    """
    seen: set[tuple[int, int]] = set()
    models: list[LibraryModel] = []
    skipped: list[SkippedFile] = []
    for name in folders:
        root = Path(name)
        if not root.exists():
            raise NotFound(f"{root}: no such directory")
        if not root.is_dir():
            raise UsageProblem(f"{root} is not a directory", hint="build a single file without --all")
        projectors: dict[Path, list[Shard]] = {}
        for folder, paths in _walk(root):
            skipped += [
                SkippedFile(path=path, reason="symbolic link to nothing") for path in dead_links(folder)
            ]
            shards, problems = _open(paths, seen=seen)
            skipped += problems
            for part, prefix in _by_repository(folder, shards):
                sets, problems = _sets(part)
                skipped += problems
                own = [found for found in sets if found.role is Role.PROJECTOR]
                if own:
                    projectors.setdefault(folder, []).extend(shard for found in own for shard in found.shards)
                nearby = [shard for found in own for shard in found.shards] or _above(folder, projectors)
                for found in sets:
                    if found.role is Role.MODEL and found.has_tokenizer:
                        models.append(_model(found, root=root, prefix=prefix, projectors=nearby))
                    elif found.role is not Role.PROJECTOR:
                        reason = "no tokenizer" if found.role is Role.MODEL else found.role.value
                        skipped.append(SkippedFile(path=found.shards[0].path, reason=reason))
    return Library(models=tuple(models), skipped=tuple(skipped))


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Return each folder with its GGUF files: outer folders first, the Hub's newest snapshot before older."""
    count = 0
    for place, folders, names in os.walk(root):
        folder = Path(place)
        current = _current_commit(folder)
        folders[:] = sorted(
            (name for name in folders if not name.startswith(".")), key=lambda name: (name != current, name)
        )
        paths = [
            folder / name
            for name in sorted(names)
            if name.lower().endswith(".gguf") and not name.startswith(".")
        ]
        count += len(names)
        if count > _MOST_FILES:
            raise UsageProblem(f"{root} has more than {_MOST_FILES:,} files", hint="name a folder of models")
        if paths:
            yield folder, paths


def _current_commit(folder: Path) -> str:
    """Return the commit of the branch ``main`` in a folder of snapshots of the Hub's cache."""
    if folder.name != _SNAPSHOTS:
        return ""
    try:
        return (folder.parent / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _open(paths: Iterable[Path], *, seen: set[tuple[int, int]]) -> tuple[list[Shard], list[SkippedFile]]:
    shards, problems = [], []
    for path in paths:
        if not path.is_file():
            continue
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            shards.append(Shard.open(path))
            seen.add((status.st_dev, status.st_ino))
        except (OSError, Gguf2OllamaError) as error:
            problems.append(SkippedFile(path=path, reason=str(error)))
    return shards, problems


def _by_repository(folder: Path, shards: Sequence[Shard]) -> Iterator[tuple[list[Shard], tuple[str, str]]]:
    """Divide the files of a folder by the repositories that llama.cpp's cache names; each with its prefix."""
    prefixes = {f"{owner}_{repository}_": f"{owner}/{repository}" for owner, repository in _manifests(folder)}
    parts: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        found = (prefix for prefix in prefixes if shard.path.name.startswith(prefix))
        parts[max(found, key=len, default="")].append(shard)
    for prefix, part in parts.items():
        yield part, (prefix, prefixes.get(prefix, ""))


def _manifests(folder: Path) -> Iterator[tuple[str, str]]:
    start, end = _MANIFEST
    for path in sorted(folder.glob(f"{start}*{end}")):
        owner, _, rest = path.name.removeprefix(start).removesuffix(end).partition("=")
        if owner and (repository := rest.partition("=")[0]):
            yield owner, repository


def _sets(shards: Sequence[Shard]) -> tuple[list[ShardSet], list[SkippedFile]]:
    """Group files into whole models; what lacks shards is left out, and why."""
    by_name: dict[str, list[Shard]] = defaultdict(list)
    sets, problems = [], []
    for shard in shards:
        by_name[str(shard.path) if shard.count == 1 else set_name([shard])].append(shard)
    for kin in by_name.values():
        grouped, incomplete = group(kin)
        sets += [ShardSet(shards=ordered) for ordered in grouped]
        problems += [SkippedFile(path=kin[0].path, reason=problem.message) for problem in incomplete]
    return sorted(sets, key=lambda found: found.shards[0].path), problems


def _above(folder: Path, projectors: Mapping[Path, list[Shard]]) -> list[Shard]:
    """Return the projectors of the folder above, of which one that is called by a quantization is a part."""
    return projectors.get(folder.parent, []) if is_part_of_above(folder) else []


def _model(
    found: ShardSet, *, root: Path, prefix: tuple[str, str], projectors: Sequence[Shard]
) -> LibraryModel:
    path = found.shards[0].path
    fitting = sorted(
        (shard for shard in projectors if projector_problem(shard.gguf, model=found.first) is None),
        key=_precision,
    )
    return LibraryModel(
        files=ModelFiles(model=found, projectors=tuple(fitting[:1])),
        repository=prefix[1] or _repository(path, root=root),
        stem=found.name.removeprefix(prefix[0]),
    )


def _precision(shard: Shard) -> tuple[int, str]:
    name = file_type_name(shard.gguf.metadata.get("general.file_type"))
    rank = PRECISIONS.index(name) if name in PRECISIONS else len(PRECISIONS)
    return rank, shard.path.name


def _repository(path: Path, *, root: Path) -> str:
    """Return the repository that a path names: in the Hub's cache, or as LM Studio's folders."""
    for part in reversed(path.absolute().parts):
        if part.startswith(_HUB) and (names := part.removeprefix(_HUB).split("--", maxsplit=1))[1:]:
            return "/".join(names)
    above = path.parent.parent if is_part_of_above(path.parent) else path.parent
    folders = above.relative_to(root).parts if above.is_relative_to(root) else ()
    return "/".join(folders) if len(folders) == 2 else ""  # noqa: PLR2004 - publisher and repository
