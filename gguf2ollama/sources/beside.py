"""What lies beside a model in its folder and goes with it: a projector, and a draft."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.ggufio import Shard, ShardSet
from gguf2ollama.ggufio.shard_files import gguf_paths
from gguf2ollama.names import size
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.projectors import projector_problem, require_projector

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Beside"]


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
        takes_projector &= self.projectors is None or len(self.projectors) > 0
        takes_draft &= self.drafts is None or len(self.drafts) > 0
        if not takes_projector and not takes_draft:
            return files
        variants = self._variants(files)
        if takes_projector:
            files = self._with_projector(files, variants)
        return self._with_draft(files, variants, version=version) if takes_draft else files

    def _variants(self, files: ModelFiles) -> list[Variant]:
        """Return the model and all that lies beside it, the model first; empty where nothing does."""
        pieces = () if files.pieces is None else files.pieces.paths
        own = pieces or tuple(shard.path for shard in files.model.shards)
        paths = [*gguf_paths(self.folder), *pieces]
        if len(paths) <= len(own):
            return []
        # where there is anything else alone
        from gguf2ollama.sources.catalogue.classification import group_files  # noqa: PLC0415

        listed = [RepositoryFile(path=path.name, size=path.stat().st_size) for path in paths]
        kinds = _stems(self.projectors, Kind.PROJECTOR) | _stems(self.drafts, Kind.DRAFT)
        variants = group_files(listed, kinds=kinds)
        names = {path.name for path in own}
        model = next((found for found in variants if names & {file.path for file in found.files}), None)
        if model is None:  # another name of a file that is listed
            return []
        others = [variant for variant in variants if variant is not model]
        return [dataclasses.replace(model, kind=Kind.MODEL), *others]

    def _with_projector(self, files: ModelFiles, variants: Sequence[Variant]) -> ModelFiles:
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
            shard = require_projector(Shard.open(self.folder / found.projector.files[0].path))
        except (InvalidInput, UsageProblem) as problem:
            left_out = f"no projector is used: {problem.message}"
            return dataclasses.replace(files, left_out=(*files.left_out, left_out))
        return _with_fitting(files, shard, note=found.note)

    def _with_draft(
        self, files: ModelFiles, variants: Sequence[Variant], *, version: str | None
    ) -> ModelFiles:
        if not variants:
            return files
        from gguf2ollama.sources.catalogue.drafts import choose_draft  # noqa: PLC0415 - as above

        if (found := choose_draft(variants[0], variants)) is None:
            return files
        from gguf2ollama.sources.drafts import own_draft_problem  # noqa: PLC0415 - for a draft alone

        path = found.files[0].path
        try:
            draft = Shard.open(self.folder / path)
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


def _stems(found: Sequence[ShardSet] | None, kind: Kind) -> dict[str, Kind]:
    return {shards.shards[0].path.stem: kind for shards in found or ()}
