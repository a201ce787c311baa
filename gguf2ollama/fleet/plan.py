"""What would change on which host: observed in parallel, compared by records and by what servers show."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fleet.changes import NOT_IN_FILE, Change, FleetPlan, HostPlan
from gguf2ollama.fleet.desired import Desired, placed
from gguf2ollama.fleet.diff import compare
from gguf2ollama.fleet.entries import Fleet, ModelEntry
from gguf2ollama.fleet.file import as_fleet
from gguf2ollama.fleet.host import Observation, hosts_of, open_hosts, over_hosts
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import reported_digests
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.planning.plan import BuildPlan, plan_build
from gguf2ollama.planning.stored.plan_cache import PlanCache
from gguf2ollama.planning.stored.record import BuildRecord, weights_digest

if TYPE_CHECKING:
    from gguf2ollama.chat.reference import Renderer
    from gguf2ollama.ollama import ModelInfo, ServerVersion
    from gguf2ollama.planning.layers import Image
    from gguf2ollama.planning.options import BuildOptions
    from gguf2ollama.planning.target import Destination
    from gguf2ollama.sources.model import ModelFiles

__all__ = ["PARALLEL", "Planner", "open_fleet", "plan", "plan_host"]

PARALLEL = 8
"""Hosts that are observed, or changed, in parallel."""


def plan(
    fleet: Fleet | str | os.PathLike[str],
    *,
    host: str | None = None,
    ca_file: Path | None = None,
    prune: bool | None = None,
    environ: Mapping[str, str] = os.environ,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> FleetPlan:
    """Return what :func:`gguf2ollama.fleet.apply.apply` would change; nothing is changed.

    Args:
        fleet: The file: its path, or parsed.
        host: The name or address of the only host; the address of the host if the file has none.
        ca_file: Certificates (PEM) to trust for hosts that name none, in place of the system's.
        prune: Whether models that are not in the file are deleted; as the file says when not given.
        environ: The environment, with credentials.
        progress: Called with the bytes hashed.
        notify: Called with a line about each step.

    Raises:
        UsageProblem: There is no such host.
    """
    with open_fleet(
        as_fleet(fleet),
        host=host,
        ca_file=ca_file,
        prune=prune,
        environ=environ,
        progress=progress,
        notify=notify,
    ) as planner:
        return planner.plan()


@contextlib.contextmanager
def open_fleet(
    fleet: Fleet,
    *,
    host: str | None,
    ca_file: Path | None,
    prune: bool | None,
    environ: Mapping[str, str],
    progress: Progress,
    notify: Callable[[str], None],
    most: int = PARALLEL,
) -> Iterator[Planner]:
    """Observe the hosts of a fleet, and keep their connections open for the block; see :func:`plan`."""
    from gguf2ollama.chat.reference import Renderer  # noqa: PLC0415 - late, for the start

    digests = DigestCache()
    hosts = hosts_of(fleet, only=host, environ=environ)
    with (
        open_hosts(fleet, hosts, environ=environ, ca_file=ca_file, most=most) as observations,
        Renderer() as renderer,
    ):
        yield Planner(
            fleet=fleet,
            observations=observations,
            desired=Desired.all_of(fleet, digests=digests, progress=progress),
            digests=digests,
            prunes=fleet.prune if prune is None else prune,
            renderer=renderer,
            progress=progress,
            notify=notify,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan of a build, and the layers that it makes."""

    build: BuildPlan
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans what would change, given what hosts have.

    Attributes:
        fleet: The file.
        observations: What the hosts have.
        desired: The models of the file by their full names.
        digests: The known digests of files.
        prunes: Whether models that are not in the file are deleted.
        renderer: Renders chat templates.
        progress: Called with the bytes hashed.
        notify: Called with a line about each step.
        plans: Plans that were made, for hosts that are alike.
    """

    fleet: Fleet
    observations: Sequence[Observation]
    desired: Mapping[str, Desired]
    digests: DigestCache
    prunes: bool
    renderer: Renderer
    progress: Progress
    notify: Callable[[str], None]
    plans: dict[tuple[Hashable, ...], tuple[BuildPlan, Image]] = field(default_factory=dict)

    def plan(self) -> FleetPlan:
        """Return what would change."""
        self._find_sources()
        return FleetPlan(
            fleet=self.fleet, hosts=tuple(plan_host(self, observation) for observation in self.observations)
        )

    def _find_sources(self) -> None:
        """Find the sources of all models that hosts may need, in parallel; errors are kept for later."""
        needed = {
            (entry.name.full, observation.opened.destination.version)
            for observation in self.observations
            if observation.opened is not None
            for entry in self.fleet.models_of(observation.host)
            if entry.source
            and not (entry.update == "never" and entry.name.full.lower() in observation.models)
        }

        def find(pair: tuple[str, ServerVersion]) -> None:
            with contextlib.suppress(Gguf2OllamaError):
                self.desired[pair[0]].find(pair[1], notify=self.notify)

        over_hosts(find, sorted(needed, key=lambda pair: pair[0]), most=PARALLEL, interrupt=lambda: None)

    def plan_build(self, entry: ModelEntry, observation: Observation, destination: Destination) -> Planned:
        """Return the plan of a build on a host; its context is as recorded there, if it was chosen by memory.

        Raises:
            Gguf2OllamaError: As for ``build``.
        """
        ref, options = self.desired[entry.name.full].find(destination.version, notify=self.notify)
        info, opened = observation.shown.get(entry.name.full.lower()), observation.opened
        if opened is not None:
            origin = ref.files.origin
            copies = opened.patch_copies(
                ref.files.paths[0] if ref.files.are_local or ref.folder is None else ref.folder,
                digests=[file.sha256 for file in origin.files] if origin else [],
                symlink=False,
            )
            destination = dataclasses.replace(destination, patch_copies=copies)
        record = None if info is None else BuildRecord.find(info.license)

        def planned(destination: Destination) -> Planned:
            return self._plan_build(
                entry.name.full,
                files=ref.files,
                options=options,
                destination=destination,
                observation=observation,
                info=info,
            )

        found = planned(destination)
        if record is None or is_made_by(found, record):
            return found
        # whether a changed header costs a copy may have been otherwise when it was made
        alternative = planned(dataclasses.replace(destination, patch_copies=not destination.patch_copies))
        return alternative if is_made_by(alternative, record) else found

    def _plan_build(
        self,
        entry_name: str,
        *,
        files: ModelFiles,
        options: BuildOptions,
        destination: Destination,
        observation: Observation,
        info: ModelInfo | None,
    ) -> Planned:
        recorded = None if info is None else ContextRecord.find(info.license)
        alike = dataclasses.replace(destination, location="", reason="")
        key = entry_name, id(files), alike, observation.room, recorded
        if key not in self.plans:
            build = plan_build(
                files,
                options=options,
                destination=destination,
                room=observation.room,
                recorded=lambda _: recorded,
                renderer=self.renderer,
                cache=PlanCache.of_user(),
            )
            self.plans[key] = build, build.image
        build, image = self.plans[key]
        return Planned(build=dataclasses.replace(build, destination=destination), image=image)

    def layer_digests(self, planned: Planned) -> Mapping[str, Digest] | None:
        """Return the digests of the layers of weights by name; ``None`` if not known before a download."""
        build, image = planned.build, planned.image
        if (reported := reported_digests(build, image)) is not None:
            return reported
        if not build.inspection.files.are_local:
            return None
        with Hashing(cache=self.digests, progress=self.progress) as hashing:
            return hashing.digests(image)


def is_made_by(planned: Planned, record: BuildRecord) -> bool:
    """Return whether a plan has the recipe that a model was made by."""
    made = planned.build.inspection.recipe.made
    return made is not None and made.recipe == record.recipe


def plan_host(planner: Planner, observation: Observation) -> HostPlan:
    """Return what would change on a host."""
    host = observation.host
    found = HostPlan(name=host.name, url=host.address.base_url)
    error, opened = observation.error, observation.opened
    if error is not None or opened is None:
        assert error is not None  # noqa: S101 - a host is observed, or there is an error
        return dataclasses.replace(found, error=error.message, hint=error.hint, exit_code=error.exit_code)
    entries = planner.fleet.models_of(host)
    promised: set[str] = set()
    changes = [_plan_model(planner, entry, observation, promised) for entry in entries]
    if planner.prunes:
        named = {entry.name.full.lower() for entry in entries}
        changes += [
            Change(
                model=model.name,
                action="delete",
                reason=NOT_IN_FILE,
                in_use=name in observation.running,
            )
            for name, model in observation.models.items()
            if name not in named
        ]
    return dataclasses.replace(
        found,
        version=opened.destination.version.text,
        transport=opened.destination.transport,
        changes=tuple(changes),
        free_bytes=observation.free_bytes,
        model_count=len(observation.models),
    )


def _plan_model(planner: Planner, entry: ModelEntry, observation: Observation, promised: set[str]) -> Change:
    name = entry.name.full.lower()
    change = Change(model=entry.name.short, action="keep", in_use=name in observation.running)
    is_there = name in observation.models
    if entry.state == "absent":
        return dataclasses.replace(change, action="delete", reason="state: absent") if is_there else change
    if is_there and entry.update == "never":
        return change
    try:
        if entry.pull is not None:
            return _plan_pull(change, entry, is_there=is_there)
        return _plan_build(planner, change, entry, observation, promised)
    except Gguf2OllamaError as error:
        if not error.message.startswith(str(entry.place)):
            error = placed(error, entry)
        return dataclasses.replace(
            change, action="fail", reason=error.message, hint=error.hint, exit_code=error.exit_code
        )


def _plan_pull(change: Change, entry: ModelEntry, *, is_there: bool) -> Change:
    assert entry.pull is not None  # noqa: S101 - the caller's promise
    if is_there and entry.update != "always":
        return change
    reason = "update: always" if is_there else f"pulled as {entry.pull.short}"
    return dataclasses.replace(
        change, action="update" if is_there else "create", reason=reason, bytes_to_send=0
    )


def _plan_build(
    planner: Planner, change: Change, entry: ModelEntry, observation: Observation, promised: set[str]
) -> Change:
    opened, name = observation.opened, entry.name.full.lower()
    assert opened is not None  # noqa: S101 - of a host that was observed
    destination = opened.destination
    if name not in observation.models:
        planned = planner.plan_build(entry, observation, destination)
        return dataclasses.replace(
            _targeted(change, planner, planned),
            action="create",
            bytes_to_send=_missing_bytes(planner, planned, observation, promised),
        )
    info = observation.shown.get(name)
    if info is None:
        planned = planner.plan_build(entry, observation, destination)
        return dataclasses.replace(
            _targeted(change, planner, planned),
            action="update",
            reason="the host lists it and cannot show it",
            bytes_to_send=_missing_bytes(planner, planned, observation, promised),
        )
    record = BuildRecord.find(info.license)
    if record is not None:  # what it became depends on how it got there
        transport = destination.transport if record.transport == "store" else record.transport
        destination = dataclasses.replace(destination, transport=transport)
    planned = planner.plan_build(entry, observation, destination)
    layers = planner.layer_digests(planned)
    made = planned.build.inspection.recipe.made
    digest = "" if made is None else made.digest
    if made is not None and layers is not None:
        digest = weights_digest(made, [layers[layer.name] for layer in planned.image.weights])
    rewrites = destination.by_upload and destination.features.rewrites_gguf
    models = frozenset(
        layers[layer.name].hex
        for layer in planned.image.weights
        if layers is not None and layer.media_type is MediaType.MODEL
    )
    differences = compare(info, planned.build, digest=digest, layers=frozenset() if rewrites else models)
    if not differences and entry.update != "always":
        return change
    return dataclasses.replace(
        _targeted(change, planner, planned),
        action="update",
        reason="" if differences else "update: always",
        differences=differences,
        bytes_to_send=_missing_bytes(planner, planned, observation, promised),
    )


def _targeted(change: Change, planner: Planner, planned: Planned) -> Change:
    """Return the change with what it makes: its source, and a target that differs if that does."""
    made, layers = planned.build.inspection.recipe.made, planner.layer_digests(planned)
    if made is None:
        return change
    if layers is not None:
        made = made.with_digests(layers[layer.name] for layer in planned.image.weights)
    commit = f" at {made.commit[:12]}" if made.commit else ""
    return dataclasses.replace(change, reason=f"from {made.source}{commit}", target=str(made))


def _missing_bytes(
    planner: Planner, planned: Planned, observation: Observation, promised: set[str]
) -> int | None:
    """Return the bytes of weights that a host lacks; those of a layer whose digest is not known all count.

    Args:
        planner: The planner.
        planned: The plan.
        observation: The host.
        promised: The digests of layers that it is sent with other models; those of this are added.
    """
    opened = observation.opened
    if opened is None or opened.client is None:
        return None
    if opened.destination.transport == "link":
        return 0
    layers = planner.layer_digests(planned)
    if layers is None:
        return sum(layer.size for layer in planned.image.weights)
    count = 0
    for layer in planned.image.weights:
        digest = layers[layer.name]
        if digest.hex not in promised and not opened.client.has_blob(digest):
            count += layer.size
        promised.add(digest.hex)
    return count
