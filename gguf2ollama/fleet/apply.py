"""Make hosts have what the file asks for: in parallel, and one that fails hides no other's result."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.api.build_steps import check_new_files
from gguf2ollama.errors import FileChanged, Gguf2OllamaError, NotFound, UsageProblem, VerificationFailed
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.fleet.changes import Action, Change, FleetPlan, HostPlan, exit_code_of
from gguf2ollama.fleet.entries import Fleet, ModelEntry
from gguf2ollama.fleet.file import as_fleet
from gguf2ollama.fleet.host import Observation, over_hosts
from gguf2ollama.fleet.plan import PARALLEL, Planner, open_fleet
from gguf2ollama.install.destination import OpenDestination, open_server
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client

if TYPE_CHECKING:
    from gguf2ollama.install.transaction import Findings
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.sources.model import ModelFiles

__all__ = ["Applied", "ModelResult", "State", "apply"]

State: TypeAlias = Literal["waiting", "running", "done", "failed", "unchanged"]
_SENDING = ("uploading ", "writing ")
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """What became of a model on a host.

    Attributes:
        host: The name of the host.
        change: What was planned.
        state: What became of it.
        detail: What is being done, or how it ended.
        hint: What to do about a failure.
        exit_code: Of a failure, its exit code.
        bytes_sent: Bytes of weights that the host was sent.
        seconds: How long it took.
        warnings: What may surprise, one sentence each.
    """

    host: str
    change: Change
    state: State = "waiting"
    detail: str = ""
    hint: str | None = None
    exit_code: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a plan.

    Attributes:
        plan: The plan.
        results: The results, by host and model in the order of the plan.
    """

    plan: FleetPlan
    results: tuple[ModelResult, ...]

    def count(self, action: Action) -> int:
        """Return how many changes of an action were made."""
        return sum(result.state == "done" and result.change.action == action for result in self.results)

    @property
    def has_changed(self) -> bool:
        """Whether anything was changed."""
        return any(result.state == "done" for result in self.results)

    @property
    def failures(self) -> int:
        """How many hosts could not be observed, and how many models failed."""
        hosts = sum(bool(host.error) for host in self.plan.hosts)
        return hosts + sum(result.state == "failed" for result in self.results)

    @property
    def bytes_sent(self) -> Mapping[str, int]:
        """Bytes of weights that each host was sent, by its name."""
        found = dict.fromkeys((host.name for host in self.plan.hosts), 0)
        for result in self.results:
            found[result.host] += result.bytes_sent
        return found

    @property
    def exit_code(self) -> int:
        """0 if all is as the file says, else that of the failures."""
        codes = {host.exit_code for host in self.plan.hosts if host.error}
        return exit_code_of(codes | {result.exit_code for result in self.results if result.state == "failed"})


def apply(
    fleet: Fleet | str | os.PathLike[str],
    *,
    host: str | None = None,
    ca_file: Path | None = None,
    prune: bool | None = None,
    force: bool = False,
    fingerprint: str | None = None,
    parallel: int = PARALLEL,
    environ: Mapping[str, str] = os.environ,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    report: Callable[[ModelResult], None] = ignore,
) -> Applied:
    """Make hosts have what a file asks for.

    A model is made under a temporary name and gets its own only once it was checked; models are deleted last.
    What was sent before an interruption is not sent again.

    Args:
        fleet: The file: its path, or parsed.
        host: As for :func:`gguf2ollama.fleet.plan.plan`, and so are ``ca_file``, ``prune`` and ``environ``.
        ca_file: Certificates.
        prune: Whether models that are not in the file are deleted.
        force: Whether more than a third of the models of a host may be deleted as they are not in the file.
        fingerprint: That of the plan that was approved; nothing is changed if it is now another.
        parallel: How many hosts are changed in parallel.
        environ: The environment.
        progress: Called with the bytes downloaded and hashed.
        notify: Called with a line about each step.
        report: Called when the state of a model changes, from several threads.

    Raises:
        UsageProblem: There is no such host, or too many models would be deleted.
        VerificationFailed: The plan is not the one that was approved.
    """
    with open_fleet(
        as_fleet(fleet),
        host=host,
        ca_file=ca_file,
        prune=prune,
        environ=environ,
        progress=progress,
        notify=notify,
        most=parallel,
    ) as planner:
        found = planner.plan()
        if fingerprint is not None and found.fingerprint != fingerprint:
            raise VerificationFailed(
                "the hosts, the file or its sources have changed since the plan was made",
                hint="make a new plan and look at it: gguf2ollama plan -o PLAN",
            )
        if not force:
            _require_few_deletions(found)
        return _Applying(planner=planner, plan=found, report=report).run(parallel)


def _require_few_deletions(found: FleetPlan) -> None:
    for host in found.hosts:
        if host.needs_force:
            raise UsageProblem(
                f"{len(host.deletions)} of {host.model_count} models of host {host.name} are not in the file,"
                " and would be deleted",
                hint="add them to the file, or give --force",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Applying:
    planner: Planner
    plan: FleetPlan
    report: Callable[[ModelResult], None]
    planning: threading.Lock = field(default_factory=threading.Lock)  # it is computing, and one at a time

    def run(self, parallel: int) -> Applied:
        found: dict[tuple[str, str], ModelResult] = {}
        pairs = list(zip(self.plan.hosts, self.planner.observations, strict=True))

        def change_host(pair: tuple[HostPlan, Observation]) -> None:
            host, observation = pair
            for result in _Host(applying=self, host=host, observation=observation).run():
                found[host.name, result.change.model] = result

        def interrupt() -> None:
            for observation in self.planner.observations:
                if observation.opened is not None and observation.opened.client is not None:
                    observation.opened.client.close()

        over_hosts(change_host, pairs, most=parallel, interrupt=interrupt)
        ordered = [found[host.name, change.model] for host in self.plan.hosts for change in host.changes]
        return Applied(plan=self.plan, results=tuple(ordered))


@dataclass(slots=True, kw_only=True)
class _Host:
    applying: _Applying
    host: HostPlan
    observation: Observation
    _opened: OpenDestination | None = None

    def run(self) -> list[ModelResult]:
        """Make all changes, deletions last; return the results."""
        results = []
        for change in sorted(self.host.changes, key=lambda change: change.action == "delete"):
            result = ModelResult(host=self.host.name, change=change)
            if change.action == "keep":
                result = dataclasses.replace(result, state="unchanged")
            elif change.action == "fail":
                result = dataclasses.replace(
                    result, state="failed", detail=change.reason, hint=change.hint, exit_code=change.exit_code
                )
            else:
                result = self._make(result)
            self.applying.report(result)
            results.append(result)
        return results

    def _make(self, result: ModelResult) -> ModelResult:
        change, started, meter = result.change, time.monotonic(), _Meter(result, self.applying.report)
        self.applying.report(dataclasses.replace(result, state="running"))
        try:
            warnings = self._change(change, meter)
        except Gguf2OllamaError as error:
            return dataclasses.replace(
                result,
                state="failed",
                detail=error.message,
                hint=error.hint,
                exit_code=error.exit_code,
                bytes_sent=meter.bytes_sent,
                seconds=time.monotonic() - started,
            )
        return dataclasses.replace(
            result,
            state="done",
            bytes_sent=meter.bytes_sent,
            seconds=time.monotonic() - started,
            warnings=warnings,
        )

    def _change(self, change: Change, meter: _Meter) -> tuple[str, ...]:
        entry = self._entry(change)
        if change.action == "delete":
            listed = self.observation.models.get(ModelName.parse(change.model).full.lower())
            with contextlib.suppress(NotFound):  # somebody else was faster
                self._client.delete(change.model if listed is None else listed.name)  # as the host spells it
            return ()
        assert entry is not None  # noqa: S101 - what is made is in the file
        if entry.pull is not None:
            self._client.pull(entry.pull).drain()
            if not entry.pull.is_same(entry.name):
                self._client.copy(entry.pull, to=entry.name)
            return ()
        return self._build(entry, meter)

    def _build(self, entry: ModelEntry, meter: _Meter) -> tuple[str, ...]:
        from gguf2ollama.install.transaction import OtherRendering  # noqa: PLC0415 - for changes alone

        desired = self.applying.planner.desired[entry.name.full]
        for attempt in range(_ATTEMPTS):
            try:
                found, build = self._execute(entry, meter, desired.fetch(self._open().destination.version))
            except FileChanged:  # Ollama touches a file that is linked into the store of another host
                if attempt == _ATTEMPTS - 1:
                    raise
                desired.forget()
            except OtherRendering as other:
                if attempt == _ATTEMPTS - 1:
                    raise
                opened = self._open()
                destination = dataclasses.replace(opened.destination, rendering=other.rendering)
                self._opened = dataclasses.replace(opened, destination=destination)
            else:
                return (*build.warnings, *found.warnings)
        raise AssertionError  # the last attempt returns or raises

    def _execute(self, entry: ModelEntry, meter: _Meter, files: ModelFiles) -> tuple[Findings, BuildPlan]:
        from gguf2ollama.install.execute import execute  # noqa: PLC0415 - for changes alone
        from gguf2ollama.install.hashing import Hashing  # noqa: PLC0415

        planner, opened = self.applying.planner, self._open()
        with self.applying.planning:
            planned = planner.plan_build(entry, self.observation, opened.destination)
        build = planned.build.with_files(files)
        check_new_files(build, planner.digests)
        planner.desired[entry.name.full].hash(build)
        with Hashing(cache=planner.digests, progress=meter) as hashing:
            found = execute(
                build,
                client=opened.client,
                store=opened.store,
                hashing=hashing,
                check=self._check(build, meter),
                progress=meter,
                notify=meter.note,
            )
        return found, build

    def _check(self, build: BuildPlan, meter: _Meter) -> Any:  # noqa: ANN401 - a check, or none
        selection = build.inspection.selection
        if selection is None or not build.options.load:
            return None
        from gguf2ollama.verification.build_check import BuildCheck  # noqa: PLC0415 - for changes alone

        return BuildCheck(
            client=self._client,
            plan=build,
            selection=selection,
            renderer=self.applying.planner.renderer,
            progress=ignore,
            notify=meter.note,
        )

    def _entry(self, change: Change) -> ModelEntry | None:
        wanted = ModelName.parse(change.model)
        return next((entry for entry in self.applying.plan.fleet.models if entry.name.is_same(wanted)), None)

    def _open(self) -> OpenDestination:
        """Return the host as a destination; whether it can pull from us is tried once there is a change."""
        if self._opened is None:
            self._opened = open_server(self._client, via=self.observation.host.via)
        return self._opened

    @property
    def _client(self) -> Client:
        opened = self.observation.opened
        assert opened is not None  # noqa: S101 - of a host that was observed
        assert opened.client is not None  # noqa: S101 - it is a server
        return opened.client


class _Meter:
    """Counts the bytes that a host is sent for a model, and reports them.

    Args:
        result: The model.
        report: Called with its state.
    """

    def __init__(self, result: ModelResult, report: Callable[[ModelResult], None]) -> None:
        self._result = result
        self._report = report
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._detail = ""
        self.bytes_sent = 0

    def __call__(self, update: Update) -> None:
        """Count an update."""
        if not update.task.startswith(_SENDING):
            return
        with self._lock:
            last = self._done.get(update.task, 0)
            # a transfer that starts over sends its first bytes again
            self.bytes_sent += update.done - last if update.done >= last else update.done
            self._done[update.task] = update.done
            result = self._running(update.task)
        self._report(result)

    def note(self, text: str) -> None:
        """Report what is being done."""
        with self._lock:
            result = self._running(text)
        self._report(result)

    def _running(self, detail: str) -> ModelResult:
        return dataclasses.replace(self._result, state="running", detail=detail, bytes_sent=self.bytes_sent)
