"""Make a variant of a model that a server has (``create FROM``): its weights, projector and draft stay."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.install.server_model import PASSED_OVER
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import recipe_parameters
from gguf2ollama.planning.plan import BuildPlan

__all__ = ["VariantTransport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTransport:
    """The transport for a model of the server whose files only the server can read.

    By this a text layer or a parameter can be replaced, and not removed; licences are added.

    Attributes:
        client: The server.
        plan: The plan.
    """

    client: Client
    plan: BuildPlan

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            ServerProblem: The server cannot be reached, or refuses.
        """
        source, modelfile = self.plan.inspection.files.variant_of, self.plan.inspection.recipe.modelfile
        assert source is not None  # noqa: S101 - it is chosen for variants alone
        self.client.create(
            name,
            from_=source.name,
            template=modelfile.template or (None if source.is_native else PASSED_OVER),
            parser=modelfile.parser,
            requires=modelfile.requires,
            system=modelfile.system,
            parameters=recipe_parameters(modelfile),
            messages=[{"role": message.role, "content": message.content} for message in modelfile.messages],
            licenses=self.plan.options.licenses,
        ).drain()
