"""Make a model on a server so that it takes its name only when it is what was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gguf2ollama.errors import (
    Gguf2OllamaError,
    NotFound,
    ServerProblem,
    ServerRefused,
    VerificationFailed,
)
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.readback import differences, missing_capabilities, renders_with
from gguf2ollama.install.temporary_models import temporary_name
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.target import Rendering

if TYPE_CHECKING:
    from gguf2ollama.planning.template_selection import Tried
    from gguf2ollama.verification.baseline import ByItself, LeftOut
    from gguf2ollama.verification.prompt_check import Mismatches

__all__ = [
    "FirstThatWorks",
    "MayBeUnavailable",
    "OtherRendering",
    "Route",
    "ServerBuild",
    "ServerResult",
    "TransportUnavailable",
]


class Route(Protocol):
    """A way of making a model on a server."""

    def make(self, name: ModelName) -> None:
        """Make the model under a name."""


class OtherRendering(Exception):
    """The server renders every model with the same kind of template, other than planned; nothing was made.

    Attributes:
        rendering: What it renders with.
    """

    def __init__(self, rendering: Rendering) -> None:
        super().__init__(rendering)
        self.rendering = rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerResult:
    """What came of a build on a server.

    Attributes:
        differences: What was asked for and is not so, which was allowed.
        warnings: What else may surprise, one sentence each.
    """

    differences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class TransportUnavailable(Exception):
    """The server could not go a way that was uncertain from the start; nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MayBeUnavailable:
    """A way that the server may not be able to go.

    A server at a loopback address may sit in a container or behind a tunnel, and then cannot reach us.
    """

    route: Route

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            WayClosed: The server cannot go this way.
        """
        try:
            self.route.make(name)
        except (ServerProblem, NotFound) as error:
            raise TransportUnavailable(error.message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstThatWorks:
    """A way that the server may not be able to go, and the one to take then.

    A server at a loopback address may sit in a container or behind a tunnel, and then cannot reach us.
    """

    first: Route
    otherwise: Route
    notify: Callable[[str], None]

    def make(self, name: ModelName) -> None:
        """Make the model under a name, by the first way or else by the other."""
        try:
            self.first.make(name)
        except (ServerProblem, NotFound) as error:
            self.notify(f"that did not work ({error}), so it is uploaded")
            self.otherwise.make(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBuild:
    """One model on one server.

    It is made under a temporary name, read back and loaded, and takes its own name only then, so that a
    failure leaves a model that is there already as it was.
    """

    client: Client
    name: ModelName
    recipe: Recipe
    load: bool
    allow_mismatch: bool
    notify: Callable[[str], None]
    ollama_default: Callable[[], ByItself | LeftOut]
    rendering: Rendering = "by capabilities"
    tried: Tried | None = None
    progress: Progress = ignore

    def run(self, route: Route) -> ServerResult:
        """Make the model.

        Raises:
            OtherRendering: The server renders every model with what was not planned; no model was made.
            ServerProblem: The server cannot be reached, or refuses.
            VerificationFailed: The server made something else, and that is not allowed.
        """
        with temporary_name(self.client, self.name) as temporary, self._removed_at_the_end(temporary):
            self.notify("making the model")
            route.make(temporary)
            info = self.client.show(temporary)
            self._require_rendering(info)
            found = differences(info, recipe=self.recipe)
            if found and not self.allow_mismatch:
                raise VerificationFailed(
                    f"{self.name.short} on the server differs from what was asked for: {'; '.join(found)}",
                    hint="no model was made; --via link or pull keeps more than an upload,"
                    " --allow-mismatch keeps the model as the server made it",
                )
            warnings = list(self._replaced(info))
            if self.load:
                with self._loaded(temporary):
                    unmatched, more = self._check(temporary, info)
                found, warnings = (*found, *unmatched), [*warnings, *more]
            elif self.tried is not None:
                self.notify("prompt check skipped (--no-load)")
            self._take_name(temporary)
        return ServerResult(differences=found, warnings=tuple(warnings))

    def _replaced(self, info: ModelInfo) -> Iterator[str]:
        """Return what the server uses in the place of the template that was planned."""
        kept = "--via link or pull keeps the file's own"
        match renders_with(info, recipe=self.recipe):
            case "renderer":
                yield f"Ollama renders its chats with the built-in renderer {info.renderer} ({kept})"
            case "TEMPLATE":
                yield (f"a TEMPLATE of the server's own is used, not the chat template in the GGUF ({kept})")
            case "chat template":
                yield "the server uses the chat template in the GGUF instead of the TEMPLATE that was planned"

    def _require_rendering(self, info: ModelInfo) -> None:
        """Check that a server that is set up to prefer one kind of template was planned for.

        Raises:
            OtherRendering: It was not.
        """
        renders = renders_with(info, recipe=self.recipe)
        if self.rendering != "by capabilities" or self.recipe.template_origin == "user":
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
    def _loaded(self, name: ModelName) -> Iterator[None]:
        """Load the model for as long as the block runs."""
        self.notify("loading the model")
        try:
            with contextlib.suppress(ServerRefused):  # see compare_on_server
                self.client.unload(name)
            self.client.load(name, tokens=1)
            yield
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self.client.unload(name)

    def _check(self, name: ModelName, info: ModelInfo) -> tuple[tuple[str, ...], list[str]]:
        """Compare prompts and capabilities with what was planned, now that the model is loaded.

        What users meet and a plain ``ollama create`` gets right is a reason to make no model; all else is
        said. So is what a renderer of Ollama's own prints, which a server puts before whatever there is.

        Returns:
            What was allowed to differ, and warnings.

        Raises:
            VerificationFailed: The model is worse than what ``ollama create`` makes, and that is not allowed.
        """
        if self.tried is None:
            return (), []
        from gguf2ollama.verification.prompt_check import mismatches  # noqa: PLC0415 - where they are compared

        self.notify("comparing prompts")
        found = mismatches(
            self.client, name, info, tried=self.tried, recipe=self.recipe, progress=self.progress
        )
        if info.renderer and not self.recipe.modelfile.renderer:
            return (), [f"{found} render differently with {info.renderer}"] if found else []
        missing = missing_capabilities(info, recipe=self.recipe)
        worse = self._worse_than_default(found.usual, missing) if found.usual or missing else ""
        if worse and not self.allow_mismatch:
            raise VerificationFailed(
                f"prompt check failed: {worse}",
                hint="no model was made; please report this with the --verbose output; --allow-mismatch makes"
                " the model, and `gguf2ollama verify` then shows what differs",
            )
        differing = found.rare if worse else found
        warnings = []
        if differing:
            warnings.append(f"{differing} render differently from the model's chat template on this server")
        if missing and not worse:
            warnings.append(f"this server does not see that the model supports {', '.join(sorted(missing))}")
        return ((worse,) if worse else ()), warnings

    def _worse_than_default(self, usual: Mismatches, missing: Collection[str]) -> str:
        """Return what is wrong with this model, and right after a plain ``ollama create``; else ``""``."""
        from gguf2ollama.verification.baseline import LeftOut  # noqa: PLC0415 - it makes use of this module

        if self.recipe.template_origin == "user" or self.recipe.is_chat_template_given:
            # a plain `create` does not have it
            return f"{usual} render differently than your template should" if usual else ""
        default = self.ollama_default()
        if isinstance(default, LeftOut):
            return ""
        missed = usual.without({case.conversation.name for case in default.parity.faults})
        lost = sorted(set(missing) & set(default.capabilities))
        parts = [f"{missed} render differently from the model's chat template"] if missed else []
        parts += [f"the model should support {', '.join(lost)}"] if lost else []
        return f"{', and '.join(parts)}, where a plain `ollama create` is right" if parts else ""

    def _take_name(self, temporary: ModelName) -> None:
        """Copy to the final name; what had it before is removed with its blobs, or stays on a failure."""
        backup = temporary.with_tag(f"{temporary.tag}-old")
        try:
            self.client.copy(self.name, to=backup)
        except NotFound:
            self.client.copy(temporary, to=self.name)
            return
        with self._removed_at_the_end(backup):
            # a runner of the old model would render chats of the new one with the old settings
            with contextlib.suppress(ServerRefused):  # a broken one runs nowhere
                self.client.unload(self.name)
            self.client.copy(temporary, to=self.name)

    @contextlib.contextmanager
    def _removed_at_the_end(self, name: ModelName) -> Iterator[None]:
        try:
            yield
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self.client.delete(name)
