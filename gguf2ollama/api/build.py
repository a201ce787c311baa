"""Build an Ollama model from a GGUF: everything is planned and checked before the first byte of it moves."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.atomic import require_writable
from gguf2ollama.install.destination import OpenDestination, open_destination
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.memory.hardware import free_memory_bytes
from gguf2ollama.names import ModelName
from gguf2ollama.planning.layers import lay_out_weights
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.parse import check_source
from gguf2ollama.sources.resolve import ModelRef, fetch, resolve

if TYPE_CHECKING:
    from gguf2ollama.install.transaction import Check
    from gguf2ollama.modelfiles import Parameter
    from gguf2ollama.planning.lock import Lock
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.planning.target import Destination, Via

__all__ = ["BuildResult", "build", "plan_build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What was made.

    Attributes:
        plan: What was planned, and is so.
        differences: Where the server made something else, which was allowed.
        warnings: What else may surprise of what the server made, one sentence each.
    """

    plan: BuildPlan
    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> ModelName:
        """The model's name."""
        return self.plan.name


def build(  # noqa: D417 - what a model is to be stands at `inspect`
    source: str | os.PathLike[str],
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    context: int | str = "auto",
    parameters: Sequence[Parameter] = (),
    system: str | None = None,
    template: str | None = None,
    chat_template: str | None = None,
    licenses: Sequence[str] = (),
    projectors: Sequence[str | os.PathLike[str]] = (),
    verify: bool = True,
    load: bool = True,
    allow_mismatch: bool = False,
    rehash: bool = False,
    stream: bool = False,
    lock: str | os.PathLike[str] | None = None,
    locked: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> BuildResult:
    """Build an Ollama model from a GGUF: on a server, or in a model directory with no server.

    Options, output paths, the server and its transports are checked before a source is asked for anything;
    the plan is made from headers; and no file is downloaded before all checks have passed. A model of that
    name that is there already stays as it was until the new one has been checked. Where a file changes while
    it is being read, the build starts over, once: Ollama touches what is linked into its model directory
    whenever it makes a model of it.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        quant, file, revision: Of a repository: which model; see :func:`gguf2ollama.inspect`.
        name: The model's name; made from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        via: How the files reach Ollama: ``"link"`` into its model directory, ``"pull"`` by the server from
            us, ``"upload"`` through its API, or ``"auto"`` for the first of these that works.
        store: A model directory to write instead of asking a server.
        for_ollama: The version of Ollama that ``store`` is written for; the newest tested when not given.
        context, parameters, system, template, chat_template, licenses, projectors, verify: What the model is
            to be; see :func:`gguf2ollama.inspect`.
        load: Whether the model is loaded once, so that what the server cannot run is found now, and prompts
            are compared on the server.
        allow_mismatch: Whether a model that differs from the plan is kept.
        rehash: Whether files are hashed even where their digests are remembered.
        stream: Whether what the server lacks goes from its repository through to it, with no copy here.
        lock: A lock file to write: what the model was made of.
        locked: A lock file; what is made is what it records, or nothing.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
    """
    options = BuildOptions(
        name=name,
        via=via,
        context=context,
        parameters=tuple(parameters),
        system=system,
        template=template,
        chat_template=chat_template,
        licenses=tuple(licenses),
        projectors=tuple(projectors),
        verify=verify,
        load=load,
        allow_mismatch=allow_mismatch,
        rehash=rehash,
        stream=stream,
    )
    selection = SourceSelection(quant=quant, file=file, revision=revision)
    if lock is not None:
        require_writable(Path(lock), kind="lock file")
    with _opened(
        source,
        selection=selection,
        options=options,
        host=host,
        ca_file=ca_file,
        store=store,
        for_ollama=for_ollama,
        locked=locked,
        progress=progress,
        notify=notify,
    ) as job:
        result = job.run(is_recorded=lock is not None)
    if lock is not None:
        from gguf2ollama.planning.lock import write_lock  # noqa: PLC0415 - for a lock file alone

        write_lock(lock, result.plan)
    return result


def plan_build(
    source: str | os.PathLike[str],
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    context: int | str = "auto",
    parameters: Sequence[Parameter] = (),
    system: str | None = None,
    template: str | None = None,
    chat_template: str | None = None,
    licenses: Sequence[str] = (),
    projectors: Sequence[str | os.PathLike[str]] = (),
    verify: bool = True,
    allow_mismatch: bool = False,
    stream: bool = False,
    locked: str | os.PathLike[str] | None = None,
    notify: Callable[[str], None] = ignore,
) -> BuildPlan:
    """Plan a build, and make nothing: what :func:`build` does before it moves anything.

    The arguments are those of :func:`build`. Whether a server can pull from this machine is not tried, since
    that would make a model on it, and be it for a moment.

    Raises:
        Gguf2OllamaError: As :func:`build` does.
    """
    options = BuildOptions(
        name=name,
        via=via,
        context=context,
        parameters=tuple(parameters),
        system=system,
        template=template,
        chat_template=chat_template,
        licenses=tuple(licenses),
        projectors=tuple(projectors),
        verify=verify,
        allow_mismatch=allow_mismatch,
        stream=stream,
    )
    with _opened(
        source,
        selection=SourceSelection(quant=quant, file=file, revision=revision),
        options=options,
        host=host,
        ca_file=ca_file,
        store=store,
        for_ollama=for_ollama,
        locked=locked,
        is_tested=False,
        notify=notify,
    ) as job:
        return job.plan_only()


@contextlib.contextmanager
def _opened(
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    options: BuildOptions,
    host: str | None,
    ca_file: Path | None,
    store: str | os.PathLike[str] | None,
    for_ollama: str | None,
    locked: str | os.PathLike[str] | None,
    is_tested: bool = True,
    progress: Progress = ignore,
    notify: Callable[[str], None],
) -> Iterator[_Build]:
    """Check all that needs no source, and keep the connection to the server open."""
    if store is not None and (options.via != "auto" or options.stream):
        what = "--stream" if options.stream else "--via"
        raise UsageProblem(f"{what} and --store exclude each other", hint="--store asks no server")
    if store is None and for_ollama is not None:
        raise UsageProblem("--for-ollama goes with --store", hint="a server is asked for its version")
    options.check()
    check_source(source)
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
        is_tested=is_tested,
        notify=notify,
    ) as opened:
        yield _Build(
            source=source,
            selection=selection,
            options=options,
            lock=lock,
            opened=opened,
            progress=progress,
            notify=notify,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    source: str | os.PathLike[str]
    selection: SourceSelection
    options: BuildOptions
    lock: Lock | None
    opened: OpenDestination
    progress: Progress
    notify: Callable[[str], None]

    def plan_only(self) -> BuildPlan:
        digests = DigestCache()
        return self._plan(self._resolve(digests), self.opened.destination)

    def run(self, *, is_recorded: bool) -> BuildResult:
        from gguf2ollama.install.transaction import OtherRendering  # noqa: PLC0415 - not needed for help

        destination = self.opened.destination
        try:
            return self._attempts(destination, is_recorded=is_recorded)
        except OtherRendering as other:
            rendering = other.rendering
        self.notify(f"This server renders every model with its {rendering} (OLLAMA_GO_TEMPLATE)")
        # from the start, since Ollama has touched what is linked into its model directory
        return self._attempts(dataclasses.replace(destination, rendering=rendering), is_recorded=is_recorded)

    def _attempts(self, destination: Destination, *, is_recorded: bool) -> BuildResult:
        try:
            return self._attempt(destination, is_recorded=is_recorded)
        except FileChanged as changed:
            self.notify(f"{changed}; starting over")
        return self._attempt(destination, is_recorded=is_recorded)

    def _attempt(self, destination: Destination, *, is_recorded: bool) -> BuildResult:
        digests = DigestCache(is_trusted=not self.options.rehash)
        with Hashing(cache=digests, progress=self.progress) as hashing:
            ref = self._resolve(digests)
            if ref.files.are_local and self.options.chat_template is None:
                # what most servers will be given, while the plan is made
                hashing.submit(lay_out_weights(ref.files, takes_shards=True))
            plan = self._plan(ref, destination)
            if is_recorded:
                from gguf2ollama.planning.lock import Lock  # noqa: PLC0415 - for a lock file alone

                Lock.of(plan)  # before anything is fetched for what no lock file can record
            self._preflight(plan, ref)
            if not self.options.stream:
                files = fetch(ref, digests=digests, progress=self.progress, notify=self.notify)
                plan = plan.with_files(files)
            return self._install(plan, hashing)

    def _resolve(self, digests: DigestCache) -> ModelRef:
        ref = resolve(
            self.source,
            selection=self.selection,
            projectors=self.options.projectors,
            free_bytes=self._free_bytes(),
            digests=digests,
            notify=self.notify,
        )
        if self.lock is not None:
            self.lock.require_files(ref.files)
        return ref

    def _plan(self, ref: ModelRef, destination: Destination) -> BuildPlan:
        from gguf2ollama.planning.plan import plan_build as plan  # noqa: PLC0415 - while files are hashed

        found = plan(ref.files, options=self.options, destination=destination, free_bytes=self._free_bytes())
        if self.lock is not None:
            self.lock.require_plan(found)
        return found

    def _preflight(self, plan: BuildPlan, ref: ModelRef) -> None:
        from gguf2ollama.install.preflight import preflight  # noqa: PLC0415 - as above

        folder = None if self.options.stream else ref.folder
        preflight(plan, client=self.opened.client, store=self.opened.store, folder=folder)

    def _install(self, plan: BuildPlan, hashing: Hashing) -> BuildResult:
        from gguf2ollama.install.execute import execute  # noqa: PLC0415 - as above

        found = execute(
            plan,
            client=self.opened.client,
            store=self.opened.store,
            hashing=hashing,
            check=self._check(plan),
            progress=self.progress,
            notify=self.notify,
        )
        return BuildResult(plan=plan, differences=found.differences, warnings=found.warnings)

    def _check(self, plan: BuildPlan) -> Check | None:
        client, selection = self.opened.client, plan.inspection.selection
        if client is None or selection is None:
            return None
        from gguf2ollama.verification.build_check import BuildCheck  # noqa: PLC0415 - as above

        return BuildCheck(
            client=client, plan=plan, selection=selection, progress=self.progress, notify=self.notify
        )

    def _free_bytes(self) -> int | None:
        return free_memory_bytes() if self.opened.destination.runs_locally else None
