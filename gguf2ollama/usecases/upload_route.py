"""Make a model through the server's REST interface: upload the files, then create."""

from __future__ import annotations

from dataclasses import dataclass

from gguf2ollama.ollama import Client
from gguf2ollama.progress import Progress
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.hashing import hash_weights
from gguf2ollama.usecases.image import Image

__all__ = ["UploadRoute"]


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
        for layer in self.image.weights:
            self.client.upload_blob(
                layer.open,
                digest=digests[layer.name],
                size=layer.size,
                label=layer.name,
                progress=self.progress,
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
