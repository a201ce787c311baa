"""What a model is to be, as the user and its publishers have it: decided before any template is chosen."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.sources.model import Published, Value

if TYPE_CHECKING:
    from gguf2ollama.memory.context import ContextChoice
    from gguf2ollama.modelfiles import Parameter

__all__ = ["ModelSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What the user asked for; it goes before everything else.

    Attributes:
        context: ``num_ctx`` and its reason; ``None`` leaves it to the server.
        parameters: PARAMETER values in the order given; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none at all, ``None`` for the default.
        template: The TEMPLATE text, or ``None``.
        chat_template: The chat template that was put into the header, which the metadata holds; ``None``
            where it is the file's own.
        licenses: LICENSE texts.
        published: What the publishers recommend, where the user asks for nothing else.
    """

    context: ContextChoice | None = None
    parameters: tuple[Parameter, ...] = ()
    system: str | None = None
    template: str | None = None
    chat_template: str | None = None
    licenses: tuple[str, ...] = ()
    published: Published = field(default_factory=Published)

    @property
    def given_template(self) -> Value | None:
        """The TEMPLATE that is wanted whatever else there is: the user's, else the publishers'."""
        if self.template is not None:
            return Value(value=self.template, source="--template")
        return self.published.template

    @property
    def given_system(self) -> Value | None:
        """The SYSTEM text that is wanted whatever else there is: the user's, else the publishers'."""
        if self.system is not None:
            return Value(value=self.system or None, source="--system")
        return self.published.system
