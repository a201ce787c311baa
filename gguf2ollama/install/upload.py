"""Make a model through the server's REST API: upload the files, then create."""

from __future__ import annotations

from collections.abc import Mapping

from gguf2ollama._dataclass import dataclass
from gguf2ollama.events import Progress
from gguf2ollama.install.blobs import send_weights
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import require_server_space
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import Image
from gguf2ollama.planning.recipe import Recipe

__all__ = ["UploadTransport", "create_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTransport:
    """The transport that needs nothing but the API; the server may put a template of its own before ours.

    Attributes:
        client: The server.
        image: The model.
        recipe: What is made of it.
        hashing: Where its digests come from.
        copies: How many copies of the model the server's store holds at once while it is made.
        progress: Called with the bytes sent.
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
            FileChanged: A file was changed since its header was read.
            NotEnoughSpace: The server's disk is too small.
            ServerProblem: The server cannot be reached, or refuses.
        """
        layers = self.image.weights
        self.hashing.keep_only(layers)
        require_server_space(
            self.client, self.image, digests=lambda: self.hashing.digests(self.image), copies=self.copies
        )
        files = send_weights(self.client, layers, hashing=self.hashing, progress=self.progress)
        create_model(self.client, name, files=files, recipe=self.recipe)


def create_model(client: Client, name: ModelName, *, files: Mapping[str, Digest], recipe: Recipe) -> None:
    """Have a server make a model of blobs that it has.

    Raises:
        ServerProblem: The server cannot be reached, or refuses.
    """
    wanted = recipe.modelfile
    client.create(
        name,
        files=files,
        template=wanted.template,
        renderer=wanted.renderer,
        parser=wanted.parser,
        requires=wanted.requires,
        system=wanted.system,
        # without this list the model would get the stops of a template that the server detects
        parameters={"stop": [], **wanted.parameters_json()},
        messages=[{"role": message.role, "content": message.content} for message in wanted.messages],
        licenses=wanted.licenses,
    ).drain()
