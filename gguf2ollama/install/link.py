"""Make a model in a store on this machine, with links where possible; needs no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.events import Progress
from gguf2ollama.ggufio.copying import Meter
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest
from gguf2ollama.ollama.store import BlobResult, LocalStore
from gguf2ollama.planning.layers import Image, Weights

__all__ = ["StoreTransport"]

_OUTCOMES: dict[BlobResult | Literal["existing"], str] = {
    "existing": "already exists",
    "reflinked": "reflinked (0 bytes copied)",
    "hardlinked": "hard-linked (0 bytes copied)",
    "symlinked": "symbolically linked (0 bytes copied; keep that file where it is)",
    "copied": "copied",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTransport:
    """The transport into a model directory that this user may write."""

    store: LocalStore
    image: Image
    hashing: Hashing
    progress: Progress
    notify: Callable[[str], None]
    makes_symlinks: bool = False

    def make(self, name: ModelName) -> None:
        """Write blobs, then the manifest.

        Raises:
            InvalidInput: A file changed while it was being read.
            NotEnoughSpace: The disk has too little space.
            UsageProblem: The store cannot be written.
        """
        self.hashing.keep_only(self.image.weights)
        digests = self.hashing.digests(self.image)
        results = {layer.name: self._find_or_link(layer, digests[layer.name]) for layer in self.image.weights}
        to_copy = [layer for layer in self.image.weights if results[layer.name] is None]
        self.store.require(sum(layer.size for layer in to_copy))
        for layer in to_copy:
            results[layer.name] = self._copy(layer, digests[layer.name])
        for layer in self.image.weights:
            if results[layer.name] != "existing":
                blob, head_bytes = self.store.blob_path(digests[layer.name]), layer.shards[0].gguf.data_offset
                self.hashing.cache.learn_blob(blob, digests[layer.name], head_bytes=head_bytes)
        self.hashing.cache.save()
        for title, result in results.items():
            self.notify(f"{title}: {_OUTCOMES[result or 'copied']}")
        image = self.image.recorded(digests)
        for text in (*image.texts, image.config):
            self.store.add_bytes(text.content)
        written = self.store.write_manifest(name, image.manifest(digests))
        if written.full != name.full:
            self.notify(f"Kept the spelling {written.short}, which the store already has")

    def _find_or_link(self, layer: Weights, digest: Digest) -> BlobResult | Literal["existing"] | None:
        """Return how the store has a layer now; ``None`` if it has to be copied."""
        source = layer.shards[0].path if layer.is_file else None
        state = self.store.check_blob(digest, size=layer.size, source=source, progress=self.progress)
        if state == "intact":
            return "existing"
        if state == "damaged":
            self.notify(f"{layer.name}: the model directory has a damaged copy, which is replaced")
        if source is None:
            return None
        result = self.store.link_file(source, digest, symbolic=self.makes_symlinks)
        if result is not None:
            try:
                layer.require_unchanged()  # since it was hashed
            except Gguf2OllamaError:
                self.store.discard(digest)
                raise
        return result

    def _copy(self, layer: Weights, digest: Digest) -> BlobResult:
        meter = Meter(f"writing {layer.name}", layer.size, self.progress)
        return self.store.add_file(
            lambda target: layer.write_to(target, report=meter), digest, size=layer.size
        )
