"""Make a model through the server's REST API: upload the files, then create."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidGguf, ServerRefused
from gguf2ollama.events import Progress
from gguf2ollama.install.blobs import send_weights
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import require_server_space
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import Image, Weights, recipe_parameters
from gguf2ollama.planning.recipe import Recipe

__all__ = ["UploadTransport", "create_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTransport:
    """The transport that needs nothing but the API; the server may use a template of its own instead of ours.

    Attributes:
        client: The server.
        image: The model.
        recipe: Its Modelfile.
        hashing: Finds its digests.
        quantization: What it is shown as.
        copies: The most copies of the model that the server's store holds at one time.
        progress: Called with the bytes sent.
        notify: Called with a line for each damaged blob.
    """

    client: Client
    image: Image
    recipe: Recipe
    quantization: str | None
    hashing: Hashing
    copies: int
    progress: Progress
    notify: Callable[[str], None]

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotEnoughSpace: The server's disk has too little space.
            ServerProblem: The server cannot be reached, or refuses.
        """
        layers = self.image.weights
        self.hashing.keep_only(layers)
        require_server_space(
            self.client, self.image, digests=lambda: self.hashing.digests(self.image), copies=self.copies
        )
        sent = send_weights(
            self.client, layers, hashing=self.hashing, progress=self.progress, notify=self.notify
        )
        recipe = self.recipe.recorded(sent.digests[layer.name] for layer in layers)
        try:
            create_model(
                self.client,
                name,
                layers=layers,
                digests=sent.digests,
                recipe=recipe,
                quantization=self.quantization,
            )
        except InvalidGguf as error:
            if not sent.existing:
                raise
            # our reader accepts the file, so it is a blob that the server had and has not verified
            raise ServerRefused(
                f"{error.message}; a blob that it had already is damaged: "
                f"{', '.join(sorted(f'sha256-{digest.hex}' for digest in sent.existing))}",
                hint="delete that file from the folder `blobs` of the server's model directory "
                "(OLLAMA_MODELS, or ~/.ollama/models), then build again",
            ) from error


def create_model(
    client: Client,
    name: ModelName,
    *,
    layers: Sequence[Weights],
    digests: Mapping[str, Digest],
    recipe: Recipe,
    quantization: str | None,
) -> None:
    """Have a server create a model from blobs that it has.

    Args:
        client: The server.
        name: The model's name.
        layers: Its weights.
        digests: The digest of each by its name.
        recipe: Its Modelfile.
        quantization: What it is shown as.

    Raises:
        ServerProblem: The server cannot be reached, or refuses.
    """
    modelfile = recipe.modelfile
    drafts = {layer.name for layer in layers if layer.media_type is MediaType.DRAFT}
    client.create(
        name,
        files={name: digest for name, digest in digests.items() if name not in drafts},
        draft_files={name: digest for name, digest in digests.items() if name in drafts},
        template=modelfile.template,
        renderer=modelfile.renderer,
        parser=modelfile.parser,
        requires=modelfile.requires,
        system=modelfile.system,
        parameters=recipe_parameters(modelfile),
        messages=[{"role": message.role, "content": message.content} for message in modelfile.messages],
        licenses=recipe.licenses,
        quantization=quantization,
    ).drain()
