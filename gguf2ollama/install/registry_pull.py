"""Make a model by having the server pull it from us: no template detection, no rewriting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, ServerProblem
from gguf2ollama.events import Progress
from gguf2ollama.install.blobs import send_weights
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import require_server_space
from gguf2ollama.install.temporary_models import copy_made, leased_name
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Manifest, MediaType, ModelConfig
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.manifest_server import PrivateRegistry
from gguf2ollama.planning.layers import Image, Text

__all__ = ["PullTransport", "require_pull"]

_TEST = ModelName.parse("transport-test")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullTransport:
    """The transport for a server on this machine whose model directory this user cannot write.

    The weights are uploaded as blobs first; then the server pulls the manifest, config, texts and parameters,
    and finds the weights in its store. Ollama checks the digest of an uploaded blob while it writes it, but
    reads pulled weights once more for that (``server/images.go`` of 0.34.4 and 0.32.15); existing blobs it
    does not read.

    Attributes:
        client: The server.
        image: The model.
        hashing: Finds its digests.
        progress: Called with the bytes sent.
        notify: Called with a line for each damaged blob.
    """

    client: Client
    image: Image
    hashing: Hashing
    progress: Progress
    notify: Callable[[str], None]

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotEnoughSpace: The server's disk has too little space.
            ServerProblem: The server cannot be reached, cannot reach us, or refuses.
        """
        layers = self.image.weights
        self.hashing.keep_only(layers)
        require_server_space(self.client, self.image, digests=lambda: self.hashing.digests(self.image))
        digests = send_weights(
            self.client, layers, hashing=self.hashing, progress=self.progress, notify=self.notify
        ).digests
        image = self.image.recorded(digests)
        texts = (*image.texts, image.config)
        with (
            PrivateRegistry(label=_label(name)) as registry,
            _pulled(self.client, image.manifest(digests), texts, registry=registry) as pulled,
        ):
            copy_made(self.client, pulled, to=name)


def require_pull(client: Client) -> None:
    """Check that a server can pull from this machine, with a temporary model without weights.

    Raises:
        ServerProblem: It cannot.
    """
    config = Text(
        media_type=MediaType.CONFIG,
        content=ModelConfig(family="", families=(), parameter_size="", file_type="").to_bytes(),
    )
    with leased_name(_TEST) as name, PrivateRegistry(label=_label(name)) as registry:
        manifest = Manifest(config=config.descriptor, layers=())
        with _pulled(client, manifest, (config,), registry=registry):
            pass


@contextlib.contextmanager
def _pulled(
    client: Client, manifest: Manifest, texts: Sequence[Text], *, registry: PrivateRegistry
) -> Iterator[ModelName]:
    """Have the server pull a model; yield its temporary name, which is removed at the end of the block."""
    name = registry.offer(manifest, {text.descriptor.digest: (text.content,) for text in texts})
    try:
        client.pull(name, insecure=True).drain()
        if not registry.has_served(name):
            raise ServerProblem(
                "the server pulled from another program",
                hint="it seems to run in a container or behind a tunnel: use --via upload",
            )
        yield name
    finally:
        with contextlib.suppress(Gguf2OllamaError):
            client.delete(name)


def _label(name: ModelName) -> str:
    """Return the token in a temporary name, by which leftovers of an interrupted build are found."""
    return name.tag.partition("-")[0]
