"""Make a model by letting the server pull it from us: no template detection, no rewriting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gguf2ollama.errors import Gguf2OllamaError, ServerProblem
from gguf2ollama.oci import Descriptor, Digest, Manifest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.pieces import BlobPiece
from gguf2ollama.ollama.private_registry import PrivateRegistry
from gguf2ollama.progress import Progress, Update
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.at_once import at_once
from gguf2ollama.usecases.hashing import Hashing
from gguf2ollama.usecases.image import Image, Weights
from gguf2ollama.usecases.pieces import pieces_of
from gguf2ollama.usecases.server_space import require_server_space

__all__ = ["PullRoute"]

_PULLS = 4  # at the same time; the server checks what came of each on one core


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRoute:
    """The way for a server on this machine whose store is not ours to write.

    Ollama takes the layers of a model one after the other, and then checks their digests one after the
    other. So of several layers of weights each is pulled alone first, as soon as its digest is known, all at
    the same time; the model itself then finds them there.
    """

    client: Client
    image: Image
    hashing: Hashing
    progress: Progress

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            InvalidGguf: A file was changed since its header was read.
            NotEnoughSpace: The server's disk is too small.
            ServerProblem: The server cannot be reached, cannot reach us, or refuses.
        """
        self.hashing.begin_only(self.image.weights)
        self.hashing.take_turns()
        require_server_space(self.client, self.image, hashing=self.hashing)
        with PrivateRegistry() as registry:
            pull = _Pull(route=self, registry=registry, offered=[])
            try:
                digests = pull.bring_weights()
                self.client.copy(pull.bring_model(digests), to=name)
            except ServerProblem:
                for layer in self.image.weights:
                    layer.require_unchanged()  # which the server could only call a wrong digest
                raise
            finally:
                for one in pull.offered:
                    with contextlib.suppress(Gguf2OllamaError):
                        self.client.delete(one)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pull:
    """The pulls for one model.

    Attributes:
        route: What is made.
        registry: Where the server pulls from.
        offered: The names under which it was told to pull something.
    """

    route: PullRoute
    registry: PrivateRegistry
    offered: list[ModelName]

    def bring_weights(self) -> Mapping[str, Digest]:
        """Have the weights in the server's store, if they come in several layers; give their digests."""
        layers = self.route.image.weights
        if len(layers) == 1:
            return self.route.hashing.digests(self.route.image)
        digests = at_once(self._bring_layer, layers, most=_PULLS)
        return {layer.name: digest for layer, digest in zip(layers, digests, strict=True)}

    def bring_model(self, digests: Mapping[str, Digest]) -> ModelName:
        """Have the model in the server's store; give its name there."""
        image = self.route.image
        blobs = {digests[layer.name]: pieces_of(layer) for layer in image.weights}
        return self._bring(image.manifest(digests), blobs, check=lambda: None)

    def _bring_layer(self, layer: Weights, check: Callable[[], None]) -> Digest:
        digest = self.route.hashing.digest(layer, check=check)
        alone = Descriptor(
            media_type=layer.media_type.value, digest=digest, size=layer.size, from_=layer.name
        )
        manifest = Manifest(config=self.route.image.config.descriptor, layers=(alone,))
        self._bring(manifest, {digest: pieces_of(layer)}, check=check)
        return digest

    def _bring(
        self,
        manifest: Manifest,
        weights: Mapping[Digest, tuple[BlobPiece, ...]],
        *,
        check: Callable[[], None],
    ) -> ModelName:
        texts = (*self.route.image.texts, self.route.image.config)
        name = self.registry.offer(
            manifest, {**weights, **{text.descriptor.digest: (text.content,) for text in texts}}
        )
        self.offered.append(name)
        titles = {str(layer.digest): layer.from_ for layer in manifest.layers if layer.from_}
        with self.route.client.pull(name, insecure=True) as statuses:
            for status in statuses:
                check()
                if title := titles.get(status.digest):
                    self.route.progress(
                        Update(task=f"pulling {title}", done=status.completed, total=status.total)
                    )
        return name
