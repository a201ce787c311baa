"""A real server that is asked for prompts, of models made in the ways that there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.errors import Gguf2OllamaError, ServerUnreachable
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType, ModelConfig
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.live.servers import RunningOllama

__all__ = ["NAME", "Model", "PromptServer"]

NAME = ModelName.parse("parity")
"""What each model is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model on the server.

    Attributes:
        renders: The template that renders its chats: a TEMPLATE, or the chat template in the GGUF.
        has_template: Whether it has a TEMPLATE, rendered with or not.
        capabilities: What the server takes it to be able to do.
    """

    renders: str
    has_template: bool
    capabilities: tuple[str, ...]


class PromptServer:
    """A running server that has one model at a time.

    Args:
        ollama: The server; its store is written to.
        client: What asks it.
    """

    def __init__(self, ollama: RunningOllama, client: Client) -> None:
        self.version = ollama.version
        self.store = ollama.store
        self._client = client
        self._store = LocalStore(ollama.store)

    def create(self, gguf: bytes) -> None:
        """Have the server create a model of a file, with all that it finds out by itself.

        Raises:
            Gguf2OllamaError: It makes none.
        """
        digest = Digest.of(gguf)
        self._client.upload_blob([gguf], digest=digest, size=len(gguf), label="the model")
        with self._client.create(NAME, files={"model.gguf": digest}) as stream:
            for _ in stream:
                pass

    def write(self, gguf: bytes, *, go_template: str | None = None) -> None:
        """Write a model into the server's store: with this TEMPLATE, or with none."""
        layers = [self._layer(MediaType.MODEL, gguf)]
        if go_template is not None:
            layers.append(self._layer(MediaType.TEMPLATE, go_template.encode()))
        config = ModelConfig(family="llama", families=("llama",), parameter_size="50K", file_type="F32")
        manifest = Manifest(config=self._layer(MediaType.CONFIG, config.to_bytes()), layers=tuple(layers))
        self._store.write_manifest(NAME, manifest)

    @contextlib.contextmanager
    def made(self) -> Iterator[Model]:
        """Return the model that is there, and take it away again: the next one would wait for its memory."""
        manifest = self._store.read_manifest(NAME)
        kinds = {one.media_type for one in manifest.layers} if manifest else set()
        try:
            info = self._client.show(NAME)
            yield Model(
                renders=info.template,
                has_template=MediaType.TEMPLATE.value in kinds,
                capabilities=info.capabilities,
            )
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self._client.unload(NAME)
            self._client.delete(NAME)

    def prompts(self, conversations: Iterable[Conversation]) -> list[Outcome]:
        """Ask for the prompts that the model is given; where it cannot be loaded, none is given any."""
        try:
            self._client.load(NAME, keep_alive="5m")
        except ServerUnreachable:
            raise
        except Gguf2OllamaError as error:
            return [Refused(error.message) for _ in conversations]
        return [self._prompt(one) for one in conversations]

    def _prompt(self, conversation: Conversation) -> Outcome:
        asked = conversation.for_ollama()
        try:
            return Rendered(
                self._client.render(
                    NAME, asked["messages"], tools=asked.get("tools", ()), think=asked.get("think")
                )
            )
        except ServerUnreachable:
            raise
        except Gguf2OllamaError as error:
            return Refused(error.message)

    def _layer(self, kind: MediaType, content: bytes) -> Descriptor:
        return Descriptor(media_type=kind.value, digest=self._store.add_bytes(content), size=len(content))
