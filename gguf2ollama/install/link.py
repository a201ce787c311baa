"""Make a model in a store on this machine, with links where possible; needs no server."""

from __future__ import annotations

from collections.abc import Callable

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

_OUTCOMES: dict[BlobResult, str] = {
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
            InvalidInput: A file changed while it was being read, or an existing blob is damaged.
            NotEnoughSpace: The disk has too little space.
            UsageProblem: The store cannot be written.
        """
        self.hashing.keep_only(self.image.weights)
        digests = self.hashing.digests(self.image)
        results = {layer.name: self._link(layer, digests[layer.name]) for layer in self.image.weights}
        to_copy = [layer for layer in self.image.weights if results[layer.name] is None]
        self.store.require(sum(layer.size for layer in to_copy))
        for layer in to_copy:
            results[layer.name] = self._copy(layer, digests[layer.name])
        for title, result in results.items():
            self.notify(f"{title}: {_OUTCOMES[result or 'copied']}")
        image = self.image.recorded(digests)
        for text in (*image.texts, image.config):
            self.store.add_bytes(text.content)
        written = self.store.write_manifest(name, image.manifest(digests))
        if written.full != name.full:
            self.notify(f"Kept the spelling {written.short}, which the store already has")

    def _link(self, layer: Weights, digest: Digest) -> BlobResult | None:
        if not layer.is_file:
            return None
        result = self.store.link_file(
            layer.shards[0].path, digest, size=layer.size, symbolic=self.makes_symlinks
        )
        if result in {"reflinked", "hardlinked", "symlinked"}:
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
