"""Make a model on a server in one transaction: it gets its name only after it was checked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused, VerificationFailed
from gguf2ollama.install.locks import name_lock, weights_lock
from gguf2ollama.install.readback import differences, missing_capabilities, renders_with
from gguf2ollama.install.temporary_models import copy_made, found_again, temporary_name, unload_unless_in_use
from gguf2ollama.install.transport import Transport
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.target import Rendering

__all__ = ["Check", "Findings", "OtherRendering", "install_model"]


class OtherRendering(Exception):
    """The server renders all models with one kind of template, not as planned; nothing was made.

    Attributes:
        rendering: That kind.
    """

    def __init__(self, rendering: Rendering) -> None:
        super().__init__(rendering)
        self.rendering = rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found of a model on a server.

    Attributes:
        differences: Differences from the plan that were allowed.
        warnings: Further warnings, one sentence each.
    """

    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Check: TypeAlias = Callable[[ModelName, ModelInfo], Findings]
"""A check of a loaded model; it raises ``VerificationFailed`` if the model is not to be kept."""


def install_model(
    client: Client,
    plan: BuildPlan,
    transport: Transport,
    *,
    check: Check | None,
    notify: Callable[[str], None],
) -> Findings:
    """Make the model of a plan on a server.

    It is made under a temporary name, read back, loaded and checked, and gets its own name only then: a
    failure leaves an existing model unchanged.

    Args:
        client: The server.
        plan: The plan.
        transport: How it gets there.
        check: Checks the loaded model; ``None`` for no check.
        notify: Called with a line about each step.

    Raises:
        OtherRendering: The server renders all models otherwise than planned; no model was made.
        ServerProblem: The server cannot be reached, or refuses.
        VerificationFailed: The model differs from the plan, and that is not allowed.
    """
    return _Transaction(client=client, plan=plan, check=check, notify=notify).run(transport)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transaction:
    client: Client
    plan: BuildPlan
    check: Check | None
    notify: Callable[[str], None]

    @property
    def name(self) -> ModelName:
        return self.plan.name

    @property
    def recipe(self) -> Recipe:
        return self.plan.inspection.recipe

    def run(self, transport: Transport) -> Findings:
        options = self.plan.options
        with temporary_name(self.client, self.name) as temporary, self._removed_after(temporary):
            self.notify(f"Creating {self.name.short}")
            transport.make(temporary)
            info = found_again(lambda: self.client.show(temporary))
            self._require_rendering(info)
            found = Findings(
                differences=differences(info, recipe=self.recipe), warnings=tuple(self._replaced(info))
            )
            if found.differences and not options.allow_mismatch:
                raise VerificationFailed(
                    f"verification failed: {self.name.short} on the server differs from the plan:"
                    f" {'; '.join(found.differences)}",
                    hint="no model was made; use --via link or pull, which preserve more than an upload, or"
                    " --allow-mismatch to keep the model as it is",
                )
            if options.load:
                with self._loaded(temporary, info):
                    checked = Findings() if self.check is None else self.check(temporary, info)
                found = Findings(
                    differences=(*found.differences, *checked.differences),
                    warnings=(*found.warnings, *checked.warnings),
                )
            elif self.plan.inspection.selection is not None:
                self.notify("Prompt check skipped (--no-load)")
            with name_lock(self.client, self.name):
                self._take_name(temporary)
        return found

    def _replaced(self, info: ModelInfo) -> Iterator[str]:
        """Return a warning if the server uses something else than the planned template."""
        kept = "--via link or pull keeps the file's own"
        match renders_with(info, recipe=self.recipe):
            case "renderer":
                yield f"Ollama renders its chats with the built-in renderer {info.renderer} ({kept})"
            case "TEMPLATE":
                yield f"a TEMPLATE of the server's own is used, not the chat template in the GGUF ({kept})"
            case "chat template":
                yield "the server uses the chat template in the GGUF instead of the TEMPLATE that was planned"
        if self.check is None and "insert" in missing_capabilities(info, recipe=self.recipe):
            yield "this server does not see that the model fills in the middle"

    def _require_rendering(self, info: ModelInfo) -> None:
        """Check that the server is not configured for one kind of template, unless the plan is for that.

        Raises:
            OtherRendering: It is.
        """
        renders = renders_with(info, recipe=self.recipe)
        if self.plan.destination.rendering != "by capabilities" or self.recipe.template_origin == "user":
            return
        if (
            renders == "TEMPLATE"
            and self.recipe.companion is not None
            and info.template == self.recipe.companion
        ):
            raise OtherRendering("TEMPLATE")
        if renders == "chat template" and info.template == self.recipe.chat_template:
            raise OtherRendering("chat template")

    @contextlib.contextmanager
    def _loaded(self, name: ModelName, info: ModelInfo) -> Iterator[None]:
        """Load the model for as long as the block runs."""
        with weights_lock(self.client, info, notify=self.notify):
            self.notify("Loading the model")
            try:
                with contextlib.suppress(ServerRefused):  # see compare_on_server
                    found_again(lambda: self.client.unload(name))
                found_again(lambda: self.client.load(name, tokens=1))
                yield
            finally:
                with contextlib.suppress(Gguf2OllamaError):
                    self.client.unload(name)

    def _take_name(self, temporary: ModelName) -> None:
        """Copy to the final name; an older model of that name is removed, or stays on a failure."""
        backup = temporary.with_tag(f"{temporary.tag}-old")
        try:
            self.client.copy(self.name, to=backup)
        except NotFound:
            copy_made(self.client, temporary, to=self.name)
            return
        with self._removed_after(backup):
            # a runner of the old model would render chats of the new one with the old settings
            with contextlib.suppress(ServerRefused):  # a broken one is not loaded
                found_again(lambda: unload_unless_in_use(self.client, self.name))
            copy_made(self.client, temporary, to=self.name)

    @contextlib.contextmanager
    def _removed_after(self, name: ModelName) -> Iterator[None]:
        try:
            yield
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self._delete(name)

    def _delete(self, name: ModelName) -> None:
        try:
            found_again(lambda: self.client.delete(name))
        except ServerRefused:  # its manifest cannot be read: another program was just writing the original
            self.client.copy(self.name, to=name)
            self.client.delete(name)
