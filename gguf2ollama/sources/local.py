"""Find the files of a model on this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama.errors import InvalidInput, NotFound, UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, Shard, ShardSet, role_of
from gguf2ollama.ggufio.shard_files import assemble, gguf_paths
from gguf2ollama.names import LocalSource, parse_source
from gguf2ollama.sources.adapters import adapter_refusal
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile
from gguf2ollama.sources.local_pieces import find_pieces
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.parse import public_source

__all__ = ["find_model", "find_projectors", "require_projector"]


def find_model(
    source: str | os.PathLike[str],
    *,
    projectors: Sequence[str | os.PathLike[str]] = (),
    takes_projector: bool = True,
) -> ModelFiles:
    """Find the model that a source names, and its projectors: those given, else the one beside the model.

    In a folder with several models, a projector goes with the model of its name.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        InvalidShards: The shards are not one complete set.
        NotFound: There is no such file, or no model in the folder.
        UsageProblem: The folder has several models, a projector is something else, a piece of the model is
            missing, or the source is not on this machine.
    """
    path = _local(source)
    named = find_projectors(projectors)
    if (pieces := find_pieces(path)) is not None or not path.is_dir():
        model = (
            ShardSet.discover(path) if pieces is None else ShardSet(shards=assemble([pieces.read_header()]))
        )
        files = ModelFiles(model=model, projectors=named, are_local=pieces is None, pieces=pieces)
        beside = path.parent if pieces is None else pieces.folder
        return files if named or not takes_projector else _with_projector(files, folder=beside)
    try:
        folder = ModelFolder.scan(path)
    except NotFound:
        if (adapter := _first_adapter(path)) is not None:
            raise adapter_refusal(adapter.path, adapter.gguf.metadata) from None
        raise
    left_out = (
        *(
            f"not used: {adapter_refusal(adapter.shards[0].path, adapter.metadata).message}"
            for adapter in folder.adapters
        ),
        *(f"skipped: {reason}" for reason in folder.skipped),
    )
    files = ModelFiles(model=folder.model, projectors=named, left_out=left_out)
    if named or not takes_projector or not folder.projectors:
        return files
    if len(folder.projectors) == 1:
        return dataclasses.replace(files, projectors=folder.projectors[0].shards)
    return _with_projector(files, folder=path, projectors=folder.projectors)


def _first_adapter(folder: Path) -> Shard | None:
    """Return the adapter in a folder without a model."""
    if not folder.is_dir():
        return None
    shards = (Shard.open(path) for path in gguf_paths(folder))
    return next((shard for shard in shards if role_of(shard.gguf) is Role.ADAPTER), None)


def _with_projector(
    files: ModelFiles,
    *,
    folder: Path,
    projectors: Sequence[ShardSet] | None = None,
) -> ModelFiles:
    """Add the projector that goes with a model, of those in its folder.

    Args:
        files: The model.
        folder: Its folder.
        projectors: The projectors there, where headers were read; otherwise names say what they are.
    """
    pieces = () if files.pieces is None else files.pieces.paths
    own = pieces or tuple(shard.path for shard in files.model.shards)
    paths = [*gguf_paths(folder), *pieces]
    if len(paths) <= len(own):
        return files
    # where there is anything else alone
    from gguf2ollama.sources.catalogue.classification import group_files  # noqa: PLC0415
    from gguf2ollama.sources.catalogue.projectors import choose_projector  # noqa: PLC0415

    listed = [RepositoryFile(path=path.name, size=path.stat().st_size) for path in paths]
    stems = [projector.shards[0].path.stem for projector in projectors or ()]
    variants = group_files(listed, kinds=dict.fromkeys(stems, Kind.PROJECTOR))
    names = {path.name for path in own}
    model = next((variant for variant in variants if names & {file.path for file in variant.files}), None)
    if model is None:  # another name of a file that is listed
        return files
    others = [variant for variant in variants if variant is not model]
    model = dataclasses.replace(model, kind=Kind.MODEL)
    found = choose_projector(model, [model, *others])
    left_out, notes = found.warning, found.note
    shards: tuple[Shard, ...] = ()
    if found.projector is not None:
        try:
            shards = (require_projector(Shard.open(folder / found.projector.files[0].path)),)
        except (InvalidInput, UsageProblem) as problem:
            left_out, notes = f"no projector is used: {problem.message}", None
    return dataclasses.replace(
        files,
        projectors=shards,
        notes=tuple(filter(None, (notes,))),
        left_out=(*files.left_out, *filter(None, (left_out,))),
    )


def find_projectors(paths: Sequence[str | os.PathLike[str]]) -> tuple[Shard, ...]:
    """Read the headers of the given projectors.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        NotFound: There is no such file.
        UsageProblem: It is not a projector.
    """
    return tuple(_projector(Path(path)) for path in paths)


def require_projector(shard: Shard) -> Shard:
    """Return the file if its header says that it is a projector.

    Raises:
        UsageProblem: It says something else.
    """
    if (role := role_of(shard.gguf)) is not Role.PROJECTOR:
        raise UsageProblem(
            f"{shard.path} is not a projector: its header says {role.value}",
            hint="give an mmproj file",
        )
    return shard


def _projector(path: Path) -> Shard:
    return require_projector(ShardSet.discover(path).shards[0])


def _local(source: str | os.PathLike[str]) -> Path:
    if not isinstance(source, str):
        return Path(source)
    parsed = parse_source(source)
    if isinstance(parsed, LocalSource):
        return parsed.path
    raise UsageProblem(
        f"{public_source(source)} is not on this machine",
        hint="download it first (`gguf2ollama download`), then give the file or its folder",
    )
