"""Build every model in folders that other programs keep; what a server has already stays as it is."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.api.build_steps import check_new_files, find_memory
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.errors import Gguf2OllamaError, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.destination import OpenDestination, open_destination
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.execute import execute
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.replacement import find_weights
from gguf2ollama.install.transaction import OtherRendering
from gguf2ollama.names import ModelName
from gguf2ollama.planning.default_name import suggest_name
from gguf2ollama.planning.options import BuildOptions, read_keywords
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.plan import plan_build as plan_files
from gguf2ollama.planning.pooling import IsReranker
from gguf2ollama.planning.stored.plan_cache import PlanCache
from gguf2ollama.sources.library import LibraryModel, SkippedFile, find_library

if TYPE_CHECKING:
    from typing import Unpack

    from gguf2ollama.memory.hardware import MemoryRoom
    from gguf2ollama.planning.options import BuildKeywords

__all__ = ["FoundModel", "LibraryResult", "ModelState", "build_all"]

ModelState: TypeAlias = Literal["created", "new", "exists", "taken", "failed"]
"""``new`` is what would be created; ``exists``, that a model of that name has these weights already;
``taken``, that it has others."""

_FOR_ONE = ("name", "quant", "file", "revision", "projectors", "draft", "stream", "discard_download")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model that was found, and what became of it.

    Attributes:
        path: Its first file.
        name: Its name in Ollama; ``None`` if none can be derived.
        size: Bytes of all its files.
        projectors: Its projectors.
        state: What became of it.
        reason: Why it was not created, a phrase; ``""`` if it was.
        warnings: What may surprise, one sentence each.
    """

    path: Path
    name: ModelName | None
    size: int
    projectors: tuple[Path, ...]
    state: ModelState
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryResult:
    """What became of all models in folders.

    Attributes:
        location: The server's address, or the model directory.
        models: The models, in the order of their paths.
        skipped: GGUF files that are not models to build.
    """

    location: str
    models: tuple[FoundModel, ...]
    skipped: tuple[SkippedFile, ...]

    def count(self, state: ModelState) -> int:
        """Return how many models are in a state."""
        return sum(model.state == state for model in self.models)


def build_all(
    folders: Sequence[str | os.PathLike[str]],
    *,
    dry_run: bool = False,
    host: str | None = None,
    ca_file: Path | None = None,
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    **keywords: Unpack[BuildKeywords],
) -> LibraryResult:
    """Build every model in folders and their subfolders: caches of LM Studio, llama.cpp, the Hub, any tree.

    Shards are grouped, and the projector in a model's folder goes with it. Names are derived from files and
    repositories; two models of one name get that of their publishers before it. A model whose name exists is
    left as it is, whatever its weights. None is loaded. A model that fails does not keep others from being
    built.

    Args:
        folders: Where to look.
        dry_run: Whether nothing is created.
        host: As for :func:`gguf2ollama.build`, and so are the others.
        ca_file: As for :func:`gguf2ollama.build`.
        store: As for :func:`gguf2ollama.build`.
        for_ollama: As for :func:`gguf2ollama.build`.
        progress: As for :func:`gguf2ollama.build`.
        notify: Called with a line about each model.
        keywords: What all models are to be: see :class:`gguf2ollama.BuildKeywords`; not those for one model.

    Raises:
        Gguf2OllamaError: A folder, an option or the server is wrong.
        TypeError: There is no such keyword.
    """
    for key in _FOR_ONE:
        if keywords.get(key):
            raise UsageProblem(f"{key} is for one model, not for all", hint="leave it out")
    _, options = read_keywords("build_all", BuildOptions, {**keywords, "load": False})
    options.check()
    library = find_library(folders)
    with (
        open_destination(
            host=host,
            ca_file=ca_file,
            store=store,
            for_ollama=for_ollama,
            via=options.via,
            tests_pull=not dry_run,
            notify=notify,
        ) as opened,
        Renderer() as renderer,
    ):
        builder = _Builder(
            opened=opened,
            options=options,
            digests=DigestCache(is_trusted=not options.rehash),
            room=find_memory(opened)[1],
            renderer=renderer,
            dry_run=dry_run,
            progress=progress,
        )
        models, skipped = [], list(library.skipped)
        for model, name in zip(library.models, _names(library.models), strict=True):
            try:
                found = builder.build(model, name)
            except IsReranker:
                skipped.append(
                    SkippedFile(path=model.path, reason="reranker, which Ollama has no endpoint for")
                )
                continue
            notify(_line(found))
            models.append(found)
    return LibraryResult(location=opened.destination.location, models=tuple(models), skipped=tuple(skipped))


@dataclass(slots=True, kw_only=True)
class _Builder:
    opened: OpenDestination
    options: BuildOptions
    digests: DigestCache
    room: MemoryRoom | None
    renderer: Renderer
    dry_run: bool
    progress: Progress

    def build(self, model: LibraryModel, name: ModelName | None) -> FoundModel:
        """Build one model, unless its name exists."""
        found = FoundModel(
            path=model.path,
            name=name,
            size=sum(shard.size for shard in model.files.shards),
            projectors=tuple(shard.path for shard in model.files.projectors),
            state="failed",
        )
        if name is None:
            return dataclasses.replace(found, reason="another model has the name that its files suggest")
        try:
            return self._build(found, model, name)
        except OtherRendering as other:
            destination = dataclasses.replace(self.opened.destination, rendering=other.rendering)
            self.opened = dataclasses.replace(self.opened, destination=destination)
            return self.build(model, name)
        except IsReranker:
            raise
        except Gguf2OllamaError as error:
            return dataclasses.replace(found, reason=error.message)

    def _build(self, found: FoundModel, model: LibraryModel, name: ModelName) -> FoundModel:
        opened = self.opened
        with Hashing(cache=self.digests, progress=self.progress) as hashing:
            plan = plan_files(
                model.files,
                options=dataclasses.replace(self.options, name=name.short),
                destination=opened.destination,
                room=self.room,
                renderer=self.renderer,
                cache=PlanCache.of_user(),
            )
            found = dataclasses.replace(found, warnings=plan.warnings)
            existing = find_weights(
                plan, client=opened.client, store=opened.store, digests=lambda: hashing.digests(plan.image)
            )
            if existing == "same":
                return dataclasses.replace(found, state="exists", reason="it has these weights already")
            if existing == "other" and not self.options.replace:
                return dataclasses.replace(
                    found, state="taken", reason="a model of that name has other weights"
                )
            if self.dry_run:
                return dataclasses.replace(found, state="new")
            self._create(plan, hashing)
        return dataclasses.replace(found, state="created")

    def _create(self, plan: BuildPlan, hashing: Hashing) -> None:
        check_new_files(plan, self.digests)
        execute(
            plan,
            client=self.opened.client,
            store=self.opened.store,
            hashing=hashing,
            check=None,
            progress=self.progress,
            notify=ignore,
        )


def _names(models: Sequence[LibraryModel]) -> Iterator[ModelName | None]:
    """Return a name for each model: of those with one name, all that have publishers get these before it."""
    plain = [_name(model) for model in models]
    counts = Counter(name.full.lower() for name in plain if name is not None)
    used: set[str] = set()
    for model, name in zip(models, plain, strict=True):
        found = name
        if found is not None and counts[found.full.lower()] > 1:
            found = _published(found, model) or found
        if found is None or found.full.lower() in used:
            yield None
            continue
        used.add(found.full.lower())
        yield found


def _name(model: LibraryModel) -> ModelName | None:
    folders = tuple(reversed(model.path.absolute().parent.parts[1:]))
    try:
        return suggest_name(
            model.stem,
            label=model.files.label,
            repository=model.repository.rpartition("/")[2],
            folders=() if model.repository else folders,
        )
    except UsageProblem:
        return None


def _published(name: ModelName, model: LibraryModel) -> ModelName | None:
    """Return a name with its publisher before it; ``None`` if that is not known, or no name allows it."""
    publisher = model.repository.partition("/")[0]
    if not publisher:
        return None
    try:
        return ModelName.parse(f"{publisher}/{name.short}")
    except UsageProblem:
        return None


def _line(found: FoundModel) -> str:
    name = found.name.short if found.name is not None else str(found.path)
    states = {"created": "Created", "new": "Would create", "exists": "Already there", "taken": "Skipped"}
    reason = f": {found.reason}" if found.state in {"taken", "failed"} else ""
    return f"{states.get(found.state, 'Failed')} {name} ({found.path}){reason}"
