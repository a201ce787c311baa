"""Make a model through the server's REST interface: upload the files, then create."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.progress import Progress, Update
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.at_once import at_once
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.hashing import hash_weights
from gguf2ollama.usecases.image import Image, Weights

__all__ = ["UploadRoute"]

_UPLOADS = 4  # at the same time; the server hashes each on one core


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRoute:
    """The way that needs nothing but the interface; the server may put a template of its own before ours."""

    client: Client
    image: Image
    recipe: Recipe
    cache: DigestCache
    progress: Progress

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            ServerProblem: The server cannot be reached, or refuses.
        """
        digests = hash_weights(self.image, cache=self.cache, progress=self.progress)
        at_once(
            lambda layer, check: self._upload(layer, digests[layer.name], check=check),
            self.image.weights,
            most=_UPLOADS,
        )
        wanted = self.recipe.modelfile
        self.client.create(
            name,
            files=digests,
            template=wanted.template,
            system=wanted.system,
            parameters=wanted.parameters_json(),
            messages=[{"role": one.role, "content": one.content} for one in wanted.messages],
            licenses=wanted.licenses,
        ).drain()

    def _upload(self, layer: Weights, digest: Digest, *, check: Callable[[], None]) -> None:
        def report(update: Update) -> None:
            check()
            self.progress(update)

        self.client.upload_blob(layer.open, digest=digest, size=layer.size, label=layer.name, progress=report)
