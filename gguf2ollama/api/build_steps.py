"""The steps of a build in their order: resolve, plan, preflight, fetch, install."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import FileChanged, Gguf2OllamaError, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE
from gguf2ollama.install.destination import OpenDestination, open_destination
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.memory.hardware import Hardware, MemoryRoom, find_hardware
from gguf2ollama.names import ModelName, size
from gguf2ollama.planning.layers import lay_out_weights
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.parse import check_source, server_model
from gguf2ollama.sources.resolve import ModelRef, fetch, resolve

if TYPE_CHECKING:
    from gguf2ollama.chat.reference import Renderer
    from gguf2ollama.install.transaction import Check
    from gguf2ollama.memory.record import ContextRecord
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.planning.lock import Lock
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.planning.target import Destination

__all__ = ["BuildResult", "BuildSteps", "check_new_files", "find_memory", "open_build"]

_TOUCHES = 8  # of a file during one build, before the last attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """The result of a build.

    Attributes:
        plan: The plan that was executed.
        differences: Differences of the model from the plan that were allowed.
        warnings: Warnings about the model on the server, one sentence each.
    """

    plan: BuildPlan
    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> ModelName:
        """The model's name."""
        return self.plan.name


@contextlib.contextmanager
def open_build(  # noqa: D417 - the others are documented at `build`
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    options: BuildOptions,
    host: str | None,
    ca_file: Path | None,
    store: str | os.PathLike[str] | None,
    for_ollama: str | None,
    locked: str | os.PathLike[str] | None,
    tests_pull: bool = True,
    writes_lock: bool = False,
    progress: Progress = ignore,
    notify: Callable[[str], None],
) -> Iterator[BuildSteps]:
    """Check all that needs no source, and keep the connection to the server open.

    Args:
        source, selection: The model.
        options: The options.
        host, ca_file, store, for_ollama, locked: As for :func:`gguf2ollama.build`.
        tests_pull: Whether a pull is tested, with a temporary model without weights.
        writes_lock: Whether a lock file of the build will be written.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: What :func:`gguf2ollama.build` raises before its first request to a source.
    """
    if store is not None and (options.via != "auto" or options.stream):
        what = "--stream" if options.stream else "--via"
        raise UsageProblem(
            f"{what} and --store exclude each other", hint="--store writes a model directory without a server"
        )
    if store is None and for_ollama is not None:
        raise UsageProblem("--for-ollama needs --store", hint="leave it out: a server reports its version")
    check_source(source)
    name = server_model(source, selection=selection)
    options.check()
    lock: Lock | None = None
    if locked is not None:
        from gguf2ollama.planning.lock import read_lock  # noqa: PLC0415 - for a lock file alone

        lock = read_lock(locked)
        lock.require_source(source)
        source, selection, options = lock.source, SourceSelection(), lock.applied_to(options)
    with open_destination(
        host=host,
        ca_file=ca_file,
        store=store,
        for_ollama=for_ollama,
        via="upload" if options.stream else options.via,
        tests_pull=tests_pull,
        notify=notify,
    ) as opened:
        hardware, room = find_memory(opened)
        if name is not None:
            options = _require_server(opened, options, name=name)
        yield BuildSteps(
            source=source,
            selection=selection,
            options=options,
            lock=lock,
            opened=opened,
            hardware=hardware,
            room=room,
            writes_lock=writes_lock,
            progress=progress,
            notify=notify,
        )


def _require_server(opened: OpenDestination, options: BuildOptions, *, name: ModelName) -> BuildOptions:
    """Return the options for a model that the server has; its name is the default.

    Raises:
        UsageProblem: There is no server, or an option is for files from elsewhere.
    """
    if opened.client is None:
        raise UsageProblem(f"ollama:{name.short} needs a server", hint="leave out --store")
    if options.stream:
        raise UsageProblem("--stream is for repositories", hint="leave it out: the server has the files")
    return options if options.name is not None else dataclasses.replace(options, name=str(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSteps:
    """A build whose options and destination were checked.

    Attributes:
        source, selection: The model.
        options: The options.
        lock: The lock file that the build has to match; ``None`` for none.
        opened: The destination.
        hardware: The machine that will run it; ``None`` if that is another, or not known.
        room: The memory for models of the machine that will run it; ``None`` if not known.
        writes_lock: Whether a lock file of it will be written.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.
    """

    source: str | os.PathLike[str]
    selection: SourceSelection
    options: BuildOptions
    lock: Lock | None
    opened: OpenDestination
    hardware: Hardware | None
    room: MemoryRoom | None
    writes_lock: bool
    progress: Progress
    notify: Callable[[str], None]

    def plan(self) -> BuildPlan:
        """Plan the build; only headers are read."""
        digests = DigestCache()
        ref, options = self._resolve(digests)
        return self._plan(ref, options, self.opened.destination)

    def run(self) -> BuildResult:
        """Build the model; start over if files change or the server renders otherwise than planned."""
        from gguf2ollama.install.transaction import OtherRendering  # noqa: PLC0415 - late, for the start

        destination = self.opened.destination
        try:
            return self._run_or_start_over(destination)
        except OtherRendering as other:
            rendering = other.rendering
        self.notify(f"This server renders every model with its {rendering} (OLLAMA_GO_TEMPLATE)")
        # from the start, since Ollama has touched what is linked into its model directory
        return self._run_or_start_over(dataclasses.replace(destination, rendering=rendering))

    def _run_or_start_over(self, destination: Destination) -> BuildResult:
        """Build; start over once if a file is written to, and as often as Ollama touches a linked one.

        Ollama does so once for each other model that is made of that file meanwhile.
        """
        for attempt in range(_TOUCHES):
            try:
                return self._run_once(destination)
            except FileChanged as changed:
                if attempt and not changed.is_touched:
                    raise
                self.notify(f"{changed}; starting over")
        return self._run_once(destination)

    def _run_once(self, destination: Destination) -> BuildResult:
        digests = DigestCache(is_trusted=not self.options.rehash)
        with (
            Hashing(cache=digests, progress=self.progress) as hashing,
            contextlib.ExitStack() as ends,
        ):
            ref, options = self._resolve(digests)
            if ref.files.are_local and self.options.chat_template is None:
                # while the plan is made: most servers get these layers
                hashing.submit(lay_out_weights(ref.files, takes_shards=True))
            renderer = ends.enter_context(self._renderer(ref))
            plan = self._plan(ref, options, destination, renderer)
            check_new_files(plan, digests)
            if self.writes_lock:
                from gguf2ollama.planning.lock import Lock  # noqa: PLC0415 - for a lock file alone

                Lock.of(plan)  # fails before files are fetched if a lock file cannot record it
            self._preflight(plan, ref)
            is_checked = self._check_name(plan, hashing)
            if not self.options.stream:
                files = fetch(ref, digests=digests, progress=self.progress, notify=self.notify)
                plan = plan.with_files(files)
                if not is_checked:
                    self._check_name(plan, hashing)
            result = self._install(plan, hashing, renderer)
        joined = result.plan.inspection.files.joined
        if joined is not None and not self.options.symlink:  # nor may what a symbolic link shows go
            from gguf2ollama.sources.downloads.joined import remove_joined  # noqa: PLC0415 - of pieces alone

            remove_joined(joined)
        self._report_download(result.plan)
        return result

    def _report_download(self, plan: BuildPlan) -> None:
        """Say that what was downloaded is here and in Ollama, or remove it here."""
        origin = plan.inspection.files.origin
        if origin is None or not origin.downloaded or plan.destination.transport in {"link", "store"}:
            return
        count = sum(path.stat().st_size for path in origin.downloaded)
        where = origin.downloaded[0].parent
        if self.options.discard_download:
            from gguf2ollama.sources.cache import discard_download  # noqa: PLC0415 - with that option alone

            for path in origin.downloaded:
                discard_download(path)
            self.notify(f"Removed {size(count)} of downloads from {where}")
        else:
            self.notify(
                f"The download stays in {where} as well ({size(count)}; --discard-download removes it)"
            )

    def _resolve(self, digests: DigestCache) -> tuple[ModelRef, BuildOptions]:
        """Return the model and the options, with what is kept of a model that the server has."""
        if (name := server_model(self.source)) is not None:
            return self._resolve_on_server(name, digests)
        ref = resolve(
            self.source,
            selection=self.selection,
            projectors=self.options.projectors,
            takes_projector=not self.options.no_projector,
            draft=self.options.draft,
            takes_draft=self._takes_draft(),
            version=self.opened.destination.version.rules,
            room=self.room,
            digests=digests,
            notify=self.notify,
        )
        if self.lock is not None:
            self.lock.require_files(ref.files)
        return ref, self.options

    def _resolve_on_server(self, name: ModelName, digests: DigestCache) -> tuple[ModelRef, BuildOptions]:
        from gguf2ollama.install.server_model import read_server_model  # noqa: PLC0415 - for these alone

        assert self.opened.client is not None  # noqa: S101 - as checked when the destination was opened
        self._takes_draft()
        found = read_server_model(
            self.opened.client,
            name,
            features=self.opened.destination.features,
            options=self.options,
            digests=digests,
        )
        for line in found.lines():
            self.notify(line)
        if found.files.variant_of and self.options.via in {"link", "pull"}:
            raise UsageProblem(
                f"--via {self.options.via} needs the files of {name.short}, which cannot be read here",
                hint="leave it out, or run this as a user who may read the server's model directory",
            )
        return ModelRef(files=found.files), found.applied_to(self.options)

    def _takes_draft(self) -> bool:
        """Return whether a draft beside the model is used.

        Raises:
            UsageProblem: One was given, and that Ollama does not run drafts.
        """
        version, draft = self.opened.destination.version, self.options.draft
        if draft is not None and not self.opened.destination.features.runs_drafts:
            raise UsageProblem(
                f"Ollama {version} does not run drafts; 0.32.15 is the oldest known to",
                hint="leave out --draft, or update Ollama",
            )
        return not self.options.no_draft and self.opened.destination.features.runs_drafts

    @contextlib.contextmanager
    def _renderer(self, ref: ModelRef) -> Iterator[Renderer | None]:
        """Return what renders the chat template, if the loaded model will be compared with it.

        Its process takes a twentieth of a second to start, in which this one imports what makes the plan.
        """
        if not (self.options.verify and self.options.load):
            yield None
            return
        from gguf2ollama.chat.reference import Renderer  # noqa: PLC0415 - if prompts are compared

        with Renderer() as renderer:
            if CHAT_TEMPLATE in ref.files.model.metadata:
                renderer.begin()
            yield renderer

    def _plan(
        self,
        ref: ModelRef,
        options: BuildOptions,
        destination: Destination,
        renderer: Renderer | None = None,
    ) -> BuildPlan:
        from gguf2ollama.planning.plan import plan_build as plan  # noqa: PLC0415 - while files are hashed
        from gguf2ollama.planning.stored.plan_cache import PlanCache  # noqa: PLC0415 - as above

        origin = ref.files.origin
        reported = [file.sha256 for file in origin.files] if origin else []
        folder = ref.files.paths[0] if ref.files.are_local or ref.folder is None else ref.folder
        found = plan(
            ref.files,
            options=options,
            destination=dataclasses.replace(
                destination,
                patch_copies=self.opened.patch_copies(folder, digests=reported, symlink=self.options.symlink),
            ),
            room=self.room,
            recorded=self._recorded,
            renderer=renderer,
            cache=PlanCache.of_user(),
        )
        self.notify(found.inspection.describe_context(found.name))
        for line in found.inspection.describe_embeddings():
            self.notify(line)
        if use := self._use(found.inspection):
            self.notify(use)
        if self.lock is not None:
            self.lock.require_plan(found)
        return found

    def _use(self, inspection: Inspection) -> str:
        """Return what of this machine is in the way of the model now; Ollama unloads models of its own."""
        if self.hardware is None or not (use := inspection.describe_use(self.hardware)):
            return ""
        if self.opened.client is not None:
            with contextlib.suppress(Gguf2OllamaError):
                running = self.opened.client.ps()
                vram = sum(model.size_vram for model in running)
                ram = sum(model.size for model in running) - vram
                return inspection.describe_use(self.hardware.without(ram=ram, vram=vram))
        return use

    def _recorded(self, name: ModelName) -> ContextRecord | None:
        """Return how the context was chosen of the model that has a name now."""
        from gguf2ollama.memory.record import ContextRecord  # noqa: PLC0415 - late, for the start

        opened = self.opened
        with contextlib.suppress(Gguf2OllamaError, OSError):
            if opened.client is not None:
                return ContextRecord.find(opened.client.show(name).license)
            if opened.store is not None:
                reads_v2 = opened.destination.features.manifests_v2
                return ContextRecord.find(opened.store.read_licenses(name, reads_v2=reads_v2))
        return None

    def _preflight(self, plan: BuildPlan, ref: ModelRef) -> None:
        from gguf2ollama.install.preflight import preflight  # noqa: PLC0415 - late, for the start

        folder = None if self.options.stream else ref.folder
        preflight(plan, client=self.opened.client, store=self.opened.store, folder=folder)

    def _check_name(self, plan: BuildPlan, hashing: Hashing) -> bool:
        """Check that no other model is replaced; ``False`` if that takes digests of files to be fetched."""
        if self.options.name is not None or self.options.replace:
            return True
        from gguf2ollama.install.preflight import reported_digests  # noqa: PLC0415 - late, for the start
        from gguf2ollama.install.replacement import require_same_weights  # noqa: PLC0415

        reported = reported_digests(plan, plan.image)
        if reported is None and not plan.inspection.files.are_local:
            return False
        require_same_weights(
            plan,
            client=self.opened.client,
            store=self.opened.store if self.opened.client is None else None,
            digests=lambda: hashing.digests(plan.image) if reported is None else reported,
        )
        return True

    def _install(self, plan: BuildPlan, hashing: Hashing, renderer: Renderer | None) -> BuildResult:
        from gguf2ollama.install.execute import execute  # noqa: PLC0415 - late, for the start

        found = execute(
            plan,
            client=self.opened.client,
            store=self.opened.store,
            hashing=hashing,
            check=self._check(plan, renderer),
            progress=self.progress,
            notify=self.notify,
        )
        return BuildResult(plan=plan, differences=found.differences, warnings=found.warnings)

    def _check(self, plan: BuildPlan, renderer: Renderer | None) -> Check | None:
        client, selection = self.opened.client, plan.inspection.selection
        if client is None or selection is None or renderer is None:
            return None
        from gguf2ollama.verification.build_check import BuildCheck  # noqa: PLC0415 - late, for the start

        return BuildCheck(
            client=client,
            plan=plan,
            selection=selection,
            renderer=renderer,
            progress=self.progress,
            notify=self.notify,
        )


def find_memory(opened: OpenDestination) -> tuple[Hardware | None, MemoryRoom | None]:
    """Return the machine that will run models, if it is this one, and its memory for models, if known."""
    hardware = find_hardware() if opened.destination.runs_locally else None
    return hardware, hardware.room if hardware is not None else _remote_room(opened)


def _remote_room(opened: OpenDestination) -> MemoryRoom | None:
    """Return the memory that the models of a server on another machine take there; ``None`` if not known."""
    destination = opened.destination
    if destination.runs_locally or opened.client is None or not destination.features.native_templates:
        return None  # what older servers say of their models was calculated, not measured
    with contextlib.suppress(Gguf2OllamaError):
        running = opened.client.ps()
        vram = sum(model.size_vram for model in running)
        ram = sum(model.size for model in running) - vram
        return MemoryRoom(ram=max(ram, 0), gpus=(vram,), is_minimum=True) if vram > 0 else None
    return None


def check_new_files(plan: BuildPlan, digests: DigestCache) -> None:
    """Check what takes long to check, unless the files were built before.

    Raises:
        InvalidGguf: A token occurs twice.
    """
    files = plan.inspection.files
    if files.are_local and all(digests.of_file(path) is not None for path in files.paths):
        return
    from gguf2ollama.planning.model_check import require_distinct_tokens  # noqa: PLC0415 - for new files

    require_distinct_tokens(files.model)
