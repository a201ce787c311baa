"""Make a model by letting the server pull it from us: no template detection, no rewriting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gguf2ollama.errors import Gguf2OllamaError, ServerProblem
from gguf2ollama.ggufio import FileRange, GivenBytes
from gguf2ollama.oci import Digest, Manifest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.private_registry import BlobPiece, FilePiece, PrivateRegistry
from gguf2ollama.progress import Progress, Update
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.hashing import hash_weights
from gguf2ollama.usecases.image import Image, Weights

__all__ = ["PullRoute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRoute:
    """The way for a server on this machine whose store is not ours to write."""

    client: Client
    image: Image
    cache: DigestCache
    progress: Progress

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            InvalidGguf: A file was changed since its header was read.
            ServerProblem: The server cannot be reached, cannot reach us, or refuses.
        """
        digests = hash_weights(self.image, cache=self.cache, progress=self.progress)
        manifest = self.image.manifest(digests)
        with PrivateRegistry(manifest, dict(self._blobs(digests))) as registry:
            try:
                self._follow(registry.name, manifest)
                self.client.copy(registry.name, to=name)
            except ServerProblem:
                for layer in self.image.weights:
                    layer.require_unchanged()  # which the server could only call a wrong digest
                raise
            finally:
                with contextlib.suppress(Gguf2OllamaError):
                    self.client.delete(registry.name)

    def _follow(self, name: ModelName, manifest: Manifest) -> None:
        titles = {str(layer.digest): layer.from_ for layer in manifest.layers if layer.from_}
        for status in self.client.pull(name, insecure=True):
            if title := titles.get(status.digest):
                self.progress(Update(task=f"pulling {title}", done=status.completed, total=status.total))

    def _blobs(self, digests: Mapping[str, Digest]) -> Iterator[tuple[Digest, tuple[BlobPiece, ...]]]:
        for layer in self.image.weights:
            yield digests[layer.name], tuple(_pieces(layer))
        for text in (*self.image.texts, self.image.config):
            yield text.descriptor.digest, (text.content,)


def _pieces(layer: Weights) -> Iterator[BlobPiece]:
    for piece in layer.ranges:
        if isinstance(piece, FileRange):
            yield FilePiece(path=piece.path, offset=piece.offset, length=piece.length)
        elif isinstance(piece, GivenBytes):
            yield piece.content
        else:
            yield bytes(piece.length)
