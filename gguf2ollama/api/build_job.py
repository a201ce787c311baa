"""One model that is being made of a GGUF: in the folder of a store, or on a server by the way that works."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import ServerRefused, VerificationFailed
from gguf2ollama.events import Progress
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.link import StoreRoute
from gguf2ollama.install.migration import warn_of_second_copy
from gguf2ollama.install.open_transport import open_route
from gguf2ollama.install.transaction import ServerBuild, TransportUnavailable
from gguf2ollama.install.transport import Choice, Via, choose_route
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.ollama import Client, ServerFeatures, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.default_name import suggest_name
from gguf2ollama.planning.lock import LockCheck
from gguf2ollama.planning.plan import Inspection, Preferences, inspect
from gguf2ollama.planning.target import NEWEST_TESTED, Rendering, parse_version, require_uploads, target_of
from gguf2ollama.sources.local import ModelFiles

if TYPE_CHECKING:
    from gguf2ollama.verification.baseline import ByItself, LeftOut

__all__ = ["BuildJob", "Built"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was made, or with ``dry_run`` would be.

    Attributes:
        name: The model's name.
        inspection: What the GGUF is, and the recipe.
        version: The Ollama it is for.
        features: What that Ollama can do.
        where: The server's address, or the folder of the store.
        via: The way it went, or would go.
        differences: Where the server made something else, which was allowed.
        warnings: What else may surprise of what the server made, one sentence each.
        is_done: Whether the model is there; false for a dry run.
    """

    name: ModelName
    inspection: Inspection
    version: ServerVersion
    features: ServerFeatures
    where: str
    via: str = "store"
    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """One model to be made, wherever that is; its attributes are arguments of :func:`~.build.build`.

    But for ``rendering``: what the server is known to render with, from an attempt before.
    """

    files: ModelFiles
    name: ModelName | None
    lock: LockCheck
    hashing: Hashing
    load: bool
    verify: bool
    allow_mismatch: bool
    stream: bool
    progress: Progress
    notify: Callable[[str], None]
    preferences: Preferences
    rendering: Rendering = "by capabilities"

    def to_store(self, folder: Path, *, for_ollama: str | None, dry_run: bool) -> Built:
        """Make it in the folder of a store, for a version of Ollama or the newest that was tested."""
        version = parse_version(for_ollama or NEWEST_TESTED)
        if version.note:
            self.notify(version.note)
        plan = self._plan(version, where=str(folder), create_replaces_template=False, runs_locally=True)
        if not dry_run:
            StoreRoute(
                store=LocalStore(folder),
                image=plan.inspection.lay_out_image(takes_shards=plan.features.keeps_shards),
                hashing=self.hashing,
                progress=self.progress,
                notify=self.notify,
            ).make(plan.name)
        return dataclasses.replace(plan, is_done=not dry_run)

    def to_server(self, address: ServerAddress, *, ca_file: Path | None, via: Via, dry_run: bool) -> Built:
        """Make it on a server; where that cannot pull from us after all, by an upload."""
        with Client(address, ca_file=ca_file, notify=self.notify) as client:
            return self._to_server(client, via=via, dry_run=dry_run)

    def _to_server(self, client: Client, *, via: Via, dry_run: bool) -> Built:
        version = client.version()
        if version.note:
            self.notify(version.note)
        if dry_run:
            may_upload = via == "upload" or not client.address.is_loopback
            if may_upload:
                require_uploads(version)
            plan = self._plan_for(client, version, create_replaces_template=may_upload)
            if may_upload:
                warnings = warn_of_second_copy(version, self.files.model)
                return dataclasses.replace(plan, via="upload", warnings=warnings)
            return plan
        choice = choose_route(client, via=via)
        self.notify(f"way: {choice.via}, {choice.reason}")
        try:
            return self._make(client, version, choice)
        except TransportUnavailable as closed:
            self.notify(f"that did not work ({closed}), so it is uploaded")
            return self._make(client, version, Choice(via="upload", reason="the server cannot pull from us"))

    def _make(self, client: Client, version: ServerVersion, choice: Choice) -> Built:
        if choice.via == "upload":
            require_uploads(version)
        # `create`, which ends an upload, looks for a template of its own
        plan = self._plan_for(client, version, create_replaces_template=choice.via == "upload")
        route = open_route(
            plan.inspection,
            plan.features,
            choice,
            client=client,
            hashing=self.hashing,
            stream=self.stream,
            progress=self.progress,
            notify=self.notify,
        )
        server_build = ServerBuild(
            client=client,
            name=plan.name,
            recipe=plan.inspection.recipe,
            load=self.load,
            allow_mismatch=self.allow_mismatch,
            notify=self.notify,
            ollama_default=partial(self._ollama_default, client, plan),
            rendering=self.rendering,
            tried=plan.inspection.tried,
            progress=self.progress,
        )
        try:
            made = server_build.run(route)
        except ServerRefused as error:  # by an upload it might have had a TEMPLATE of its own
            _require_loadable(plan, cause=error)
            raise
        doubled = warn_of_second_copy(version, self.files.model) if choice.via == "upload" else ()
        return dataclasses.replace(
            plan,
            via=choice.via,
            differences=made.differences,
            warnings=(*made.warnings, *doubled),
            is_done=True,
        )

    def _ollama_default(self, client: Client, plan: Built) -> ByItself | LeftOut:
        """Return what a plain ``ollama create`` of the same GGUF comes to on that server."""
        from gguf2ollama.chat.reference import Renderer  # noqa: PLC0415 - for what is seldom needed
        from gguf2ollama.verification.baseline import LeftOut, ollama_by_itself  # noqa: PLC0415

        tried = plan.inspection.tried
        if tried is None:
            return LeftOut("no prompts were compared")
        self.notify("comparing with what a plain `ollama create` makes")
        with Renderer() as renderer:
            return ollama_by_itself(
                client,
                plan.name,
                self.files.model.metadata,
                authors=tried.authors,
                template=tried.authors.load(renderer),
                claims=tried.choice.claims,
                version=tried.version,
                progress=self.progress,
            )

    def _plan_for(self, client: Client, version: ServerVersion, *, create_replaces_template: bool) -> Built:
        address = client.address
        return self._plan(
            version,
            where=address.base_url,
            create_replaces_template=create_replaces_template,
            runs_locally=address.is_loopback,
        )

    def _plan(
        self, version: ServerVersion, *, where: str, create_replaces_template: bool, runs_locally: bool
    ) -> Built:
        name = self.name or suggest_name(self.files.model.name)
        target = target_of(
            version,
            create_replaces_template=create_replaces_template,
            header_is_editable=not self.stream,
            rendering=self.rendering,
        )
        inspection = inspect(
            self.files,
            target=dataclasses.replace(target, model_name=name.model),
            free_bytes="here" if runs_locally else None,
            verify=self.verify,
            **self.preferences,
        )
        plan = Built(
            name=name,
            inspection=inspection,
            version=version,
            features=ServerFeatures.of(version),
            where=where,
        )
        self.lock.require_plan(plan)
        is_predicted = version <= parse_version(NEWEST_TESTED)  # newer ones may well load it
        if not create_replaces_template and is_predicted and not self.allow_mismatch:
            _require_loadable(plan)
        return plan


def _require_loadable(plan: Built, *, cause: Exception | None = None) -> None:
    """Check that nothing is known that keeps the server from loading the model.

    Raises:
        VerificationFailed: Its chat template does, and no TEMPLATE takes its place.
    """
    unserved = plan.inspection.unserved
    if unserved is not None and unserved.refusal:
        raise VerificationFailed(
            f"Ollama {plan.version} cannot load {plan.name.short}: {unserved.refusal}",
            hint="--chat-template FILE gives it another chat template (upstream: that of the original model)",
        ) from cause
