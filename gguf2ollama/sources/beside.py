"""What lies beside a model and goes with it: a projector, and a draft.

A folder is laid out as its repository is (``hf download --local-dir``): a quantization may have a folder, and
projectors may lie above it, or in a folder of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.ggufio import Shard, ShardSet, open_gguf
from gguf2ollama.ggufio.shard_files import gguf_paths
from gguf2ollama.names import size
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant
from gguf2ollama.sources.catalogue.quantization import find_label
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.projectors import projector_problem, require_projector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Beside", "is_part_of_above"]

_MOST_FOLDERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What lies beside a model.

    Attributes:
        folder: Its folder.
        projectors, drafts: Those there, where headers were read; ``None`` where names say what files are.
    """

    folder: Path
    projectors: tuple[ShardSet, ...] | None = None
    drafts: tuple[ShardSet, ...] | None = None

    def add_to(
        self, files: ModelFiles, *, takes_projector: bool, takes_draft: bool, version: str | None
    ) -> ModelFiles:
        """Return the files of a model with its projector and its draft, as far as they are wanted and there.

        Args:
            files: The model.
            takes_projector: Whether its projector is wanted.
            takes_draft: Whether its draft is.
            version: The version of Ollama that will run it; ``None`` for the newest.
        """
        if not takes_projector and not takes_draft:
            return files
        paths = self._list(files)
        variants = self._variants(files, paths)
        if takes_projector:
            files = self._with_projector(files, variants, paths=paths)
        return self._with_draft(files, variants, paths=paths, version=version) if takes_draft else files

    @property
    def _prefix(self) -> str:
        """How paths in the folder begin, from what the repository was."""
        return f"{self.folder.absolute().name}/" if is_part_of_above(self.folder) else ""

    def _list(self, files: ModelFiles) -> dict[str, Path]:
        """Return the GGUF files in the folder and around it, by their paths from what the repository was."""
        pieces = () if files.pieces is None else files.pieces.paths
        paths = {f"{self._prefix}{path.name}": path for path in (*gguf_paths(self.folder), *pieces)}
        with contextlib.suppress(OSError):  # folders of another user
            for prefix, folder in self._around():
                paths |= {f"{prefix}{path.name}": path for path in gguf_paths(folder)}
        return paths

    def _around(self) -> Iterator[tuple[str, Path]]:
        """Return the other folders that a repository has: its root, and those that are no quantizations."""
        root = self.folder
        if self._prefix:
            root = self.folder.parent if self.folder.name else self.folder / ".."
            yield "", root
        below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        below = [path for path in below if not is_part_of_above(path)]
        if len(below) <= _MOST_FOLDERS:  # where there are many, each has a model of its own
            yield from ((f"{path.name}/", path) for path in below)

    def _variants(self, files: ModelFiles, paths: Mapping[str, Path]) -> list[Variant]:
        """Return the model and all that lies beside it, the model first; empty where nothing does."""
        own = files.pieces.paths if files.pieces is not None else [shard.path for shard in files.model.shards]
        if len(paths) <= len(own):
            return []
        # where there is anything else alone
        from gguf2ollama.sources.catalogue.classification import group_files  # noqa: PLC0415
        from gguf2ollama.sources.settling import find_unclear, read_kinds  # noqa: PLC0415

        listed = [RepositoryFile(path=name, size=path.stat().st_size) for name, path in paths.items()]
        names = {f"{self._prefix}{path.name}" for path in own}
        kinds = self._kinds(self.projectors, Kind.PROJECTOR) | self._kinds(self.drafts, Kind.DRAFT)
        unclear = [
            found
            for found in find_unclear(group_files(listed, kinds=kinds))
            if not names & {file.path for file in found.files}
        ]
        kinds |= read_kinds(unclear, read=lambda file: open_gguf(paths[file.path]))
        variants = group_files(listed, kinds=kinds)
        model = next((found for found in variants if names & {file.path for file in found.files}), None)
        if model is None:  # another name of a file that is listed
            return []
        # a folder around it with a model of its own is not part of this one's
        strange = {posixpath.dirname(found.name) for found in variants if found.kind is Kind.MODEL}
        strange -= {"", posixpath.dirname(model.name)}
        others = [
            found for found in variants if found is not model and posixpath.dirname(found.name) not in strange
        ]
        return [dataclasses.replace(model, kind=Kind.MODEL), *others]

    def _kinds(self, found: Sequence[ShardSet] | None, kind: Kind) -> dict[str, Kind]:
        return {f"{self._prefix}{shards.shards[0].path.stem}": kind for shards in found or ()}

    def _with_projector(
        self, files: ModelFiles, variants: Sequence[Variant], *, paths: Mapping[str, Path]
    ) -> ModelFiles:
        if self.projectors is not None and len(self.projectors) == 1:
            return _with_fitting(files, self.projectors[0].shards[0])
        if not variants:
            return files
        from gguf2ollama.sources.catalogue.projectors import choose_projector  # noqa: PLC0415 - as above

        found = choose_projector(variants[0], variants)
        if found.projector is None:
            warnings = filter(None, (found.warning,))
            return dataclasses.replace(files, left_out=(*files.left_out, *warnings))
        try:
            shard = require_projector(Shard.open(paths[found.projector.files[0].path]))
        except (InvalidInput, UsageProblem) as problem:
            left_out = f"no projector is used: {problem.message}"
            return dataclasses.replace(files, left_out=(*files.left_out, left_out))
        return _with_fitting(files, shard, note=found.note)

    def _with_draft(
        self,
        files: ModelFiles,
        variants: Sequence[Variant],
        *,
        paths: Mapping[str, Path],
        version: str | None,
    ) -> ModelFiles:
        if not variants:
            return files
        from gguf2ollama.sources.catalogue.drafts import choose_draft  # noqa: PLC0415 - as above

        if (found := choose_draft(variants[0], variants)) is None:
            return files
        from gguf2ollama.sources.drafts import own_draft_problem  # noqa: PLC0415 - for a draft alone

        path = found.files[0].path
        try:
            draft = Shard.open(paths[path])
            problem = own_draft_problem(draft.gguf, model=files.model.first, version=version)
        except InvalidInput as error:
            draft, problem = None, error.message
        used = () if draft is None or problem else (draft,)
        note = (
            f"Draft: {path} ({size(found.n_bytes)}); --no-draft leaves it out"
            if used
            else f"Not used: {path} ({problem})"
        )
        return dataclasses.replace(files, drafts=used, notes=(*files.notes, note))


def _with_fitting(files: ModelFiles, projector: Shard, *, note: str | None = None) -> ModelFiles:
    """Return the files with a projector, unless it is for models of another width: then that is said."""
    problem = projector_problem(projector.gguf, model=files.model.first)
    if problem is not None:
        left_out = f"{projector.path.name} is not used as projector: {problem}"
        return dataclasses.replace(files, left_out=(*files.left_out, left_out))
    notes = (*files.notes, *filter(None, (note,)))
    return dataclasses.replace(files, projectors=(projector,), notes=notes)


def is_part_of_above(folder: Path) -> bool:
    """Return whether a folder is called by a quantization, as those in the folder of a repository are."""
    name = folder.absolute().name
    match = find_label(name)
    return match is not None and match["label"] == name
