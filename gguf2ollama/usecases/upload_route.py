"""Make a model through the server's REST interface: upload the files, then create."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gguf2ollama.errors import InvalidInput, ServerProblem
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.progress import Progress, Update
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.at_once import at_once
from gguf2ollama.usecases.hashing import Hashing
from gguf2ollama.usecases.image import Image, Weights
from gguf2ollama.usecases.pieces import pieces_of
from gguf2ollama.usecases.server_space import require_server_space

__all__ = ["UploadRoute"]

_UPLOADS = 4  # at the same time; the server hashes each on one core


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRoute:
    """The way that needs nothing but the interface; the server may put a template of its own before ours.

    Attributes:
        client: The server.
        image: The model.
        recipe: What is made of it.
        hashing: Where its digests come from.
        copies: How many copies of the model the server's store holds at once while it is made.
        progress: Told the bytes sent.
    """

    client: Client
    image: Image
    recipe: Recipe
    hashing: Hashing
    copies: int
    progress: Progress

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            NotEnoughSpace: The server's disk is too small.
            ServerProblem: The server cannot be reached, or refuses.
        """
        self.hashing.begin_only(self.image.weights)
        self.hashing.take_turns()
        require_server_space(self.client, self.image, hashing=self.hashing, copies=self.copies)
        layers = self.image.weights
        digests = at_once(lambda layer, check: self._upload(layer, check=check), layers, most=_UPLOADS)
        wanted = self.recipe.modelfile
        self.client.create(
            name,
            files={layer.name: digest for layer, digest in zip(layers, digests, strict=True)},
            template=wanted.template,
            renderer=wanted.renderer,
            parser=wanted.parser,
            requires=wanted.requires,
            system=wanted.system,
            parameters=wanted.parameters_json(),
            messages=[{"role": one.role, "content": one.content} for one in wanted.messages],
            licenses=wanted.licenses,
        ).drain()

    def _upload(self, layer: Weights, *, check: Callable[[], None]) -> Digest:
        """Send a layer as soon as its digest is known; give that."""
        digest = self.hashing.digest(layer, check=check)

        def report(update: Update) -> None:
            check()
            self.progress(update)

        pieces = pieces_of(layer)
        try:
            self.client.upload_blob(pieces, digest=digest, size=layer.size, label=layer.name, progress=report)
        except (InvalidInput, ServerProblem):
            layer.require_unchanged()  # which the server could only call a wrong digest
            raise
        return digest
