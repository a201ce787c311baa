"""Make a model on a server so that it takes its name only when it is what was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gguf2ollama.errors import (
    Gguf2OllamaError,
    NotFound,
    ServerProblem,
    ServerRefused,
    VerificationFailed,
)
from gguf2ollama.ollama import Client, ModelInfo
from gguf2ollama.progress import Progress, ignore
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.readback import differences
from gguf2ollama.usecases.temporary_models import temporary_name

if TYPE_CHECKING:
    from gguf2ollama.usecases.try_templates import Tried

__all__ = ["FirstThatWorks", "MayBeClosed", "Route", "ServerBuild", "WayClosed"]


class Route(Protocol):
    """A way of making a model on a server."""

    def make(self, name: ModelName) -> None:
        """Make the model under a name."""


class WayClosed(Exception):
    """The server could not go a way that was uncertain from the start; nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MayBeClosed:
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
            raise WayClosed(error.message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstThatWorks:
    """A way that the server may not be able to go, and the one to take then.

    A server at a loopback address may sit in a container or behind a tunnel, and then cannot reach us.
    """

    first: Route
    otherwise: Route
    tell: Callable[[str], None]

    def make(self, name: ModelName) -> None:
        """Make the model under a name, by the first way or else by the other."""
        try:
            self.first.make(name)
        except (ServerProblem, NotFound) as error:
            self.tell(f"that did not work ({error}), so it is uploaded")
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
    tell: Callable[[str], None]
    tried: Tried | None = None
    progress: Progress = ignore

    def run(self, route: Route) -> tuple[str, ...]:
        """Make the model; give the differences between what was asked for and what the server made.

        Raises:
            ServerProblem: The server cannot be reached, or refuses.
            VerificationFailed: The server made something else, and that is not allowed.
        """
        with temporary_name(self.client, self.name) as temporary, self._removed_at_the_end(temporary):
            self.tell("making the model")
            route.make(temporary)
            info = self.client.show(temporary)
            found = differences(info, recipe=self.recipe)
            if found and not self.allow_mismatch:
                raise VerificationFailed(
                    f"the server made something else of {self.name.short}: {'; '.join(found)}",
                    hint="no model was made; --template FILE sets a template, --via pull or link keeps the"
                    " one in the GGUF, --allow-mismatch takes what was made",
                )
            if self.load:
                with self._loaded(temporary):
                    found = (*found, *self._compare_prompts(temporary, info))
            elif self.tried is not None:
                self.tell("the model is not loaded, so no prompt is compared on the server")
            self._take_name(temporary)
        return found

    @contextlib.contextmanager
    def _loaded(self, name: ModelName) -> Iterator[None]:
        """Load the model for as long as the block runs."""
        self.tell("loading the model")
        try:
            with contextlib.suppress(ServerRefused):  # see compare_on_server
                self.client.unload(name)
            self.client.load(name, tokens=1)
            yield
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self.client.unload(name)

    def _compare_prompts(self, name: ModelName, info: ModelInfo) -> tuple[str, ...]:
        """Compare the server's prompts with those that were meant, now that the model is loaded.

        What was told beforehand to come out in another way is no surprise, unless it is a plain conversation.

        Raises:
            VerificationFailed: One is not as meant, and that is not allowed.
        """
        if self.tried is None:
            return ()
        from gguf2ollama.usecases.prompts import surprising_prompts  # noqa: PLC0415 - where they are compared

        self.tell("comparing prompts")
        surprises = surprising_prompts(
            self.client, name, info, tried=self.tried, recipe=self.recipe, progress=self.progress
        )
        if surprises and not self.allow_mismatch:
            raise VerificationFailed(
                f"{self.name.short} is not prompted as its authors meant: {'; '.join(surprises)}",
                hint="no model was made; --allow-mismatch makes it all the same, and `gguf2ollama verify`"
                " then shows what differs",
            )
        return surprises

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
