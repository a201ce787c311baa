"""Put a tiny probe of a model on its server, for as long as its prompts are compared."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.events import ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.temporary_models import temporary_name
from gguf2ollama.install.transport import Transport, choose_transport
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, MediaType, ModelConfig
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import Image, Text, lay_out_weights
from gguf2ollama.planning.target import Via
from gguf2ollama.sources.local import find_model
from gguf2ollama.verification.probe_model import make_probe_model

__all__ = ["Settings", "probe_on_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What apart from the GGUF decides how a server prompts a model.

    Attributes:
        family: The architecture; Ollama has special cases for some.
        template: The TEMPLATE; ``""`` for none.
        system: The SYSTEM text; ``""`` for none.
        renderer, parser: Built-in ones; ``""`` for none.
    """

    family: str
    template: str = ""
    system: str = ""
    renderer: str = ""
    parser: str = ""


@contextlib.contextmanager
def probe_on_server(
    client: Client, name: ModelName, metadata: Mapping[str, Any], *, settings: Settings, via: Via = "auto"
) -> Iterator[ModelName]:
    """Create and load a probe model, yield its name, and remove it when the block ends.

    Args:
        client: The server.
        name: The model that it represents.
        metadata: The metadata of that model's GGUF.
        settings: What else it has in common with that model.
        via: The transport. Only after ``upload`` the server looks for a template of its own.

    Raises:
        ServerProblem: The server cannot be reached, refuses, or cannot run a model with that chat template.
    """
    with temporary_name(client, name) as temporary, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.gguf"
        # llama.cpp has special checks for files named phi-3, so the model's own name is not used
        path.write_bytes(make_probe_model(metadata, name=temporary.tag))
        cache = DigestCache(Path(folder) / "digests.json", is_trusted=False)
        with Hashing(cache=cache, progress=ignore) as hashing:
            try:
                _transport(client, path, settings, via=via, hashing=hashing).make(temporary)
                client.load(temporary)
                yield temporary
            finally:
                for remove in (client.unload, client.delete):
                    with contextlib.suppress(Gguf2OllamaError):
                        remove(temporary)


def _transport(client: Client, path: Path, settings: Settings, *, via: Via, hashing: Hashing) -> Transport:
    choice = choose_transport(client, via=via)
    if choice.transport == "upload":
        return _Create(client=client, path=path, settings=settings)
    image = _image(path, settings)
    if choice.store is not None:
        from gguf2ollama.install.link import StoreTransport  # noqa: PLC0415 - only where a store is ours

        return StoreTransport(
            store=choice.store, image=image, hashing=hashing, progress=ignore, notify=ignore
        )
    from gguf2ollama.install.registry_pull import PullTransport  # noqa: PLC0415 - an HTTP server

    return PullTransport(client=client, image=image, hashing=hashing, progress=ignore, notify=ignore)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Create:
    """The transport that needs nothing but the API."""

    client: Client
    path: Path
    settings: Settings

    def make(self, name: ModelName) -> None:
        content, settings = self.path.read_bytes(), self.settings
        digest = Digest.of(content)
        self.client.upload_blob((content,), digest=digest, size=len(content), label="the probe model")
        self.client.create(
            name,
            files={self.path.name: digest},
            template=settings.template or None,
            system=settings.system or None,
            renderer=settings.renderer or None,
            parser=settings.parser or None,
            family=settings.family or None,
        ).drain()


def _image(path: Path, settings: Settings) -> Image:
    layers = {MediaType.TEMPLATE: settings.template, MediaType.SYSTEM: settings.system}
    config = ModelConfig(
        family=settings.family,
        families=(settings.family,),
        parameter_size="26K",
        file_type="F32",
        renderer=settings.renderer,
        parser=settings.parser,
    )
    return Image(
        weights=lay_out_weights(find_model(path), takes_shards=True),
        texts=tuple(
            Text(media_type=kind, content=text.encode("utf-8", "surrogatepass"))
            for kind, text in layers.items()
            if text
        ),
        config=Text(media_type=MediaType.CONFIG, content=config.to_bytes()),
    )
