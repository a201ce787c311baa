"""What a model is to be: what the user and its publishers ask for, and the Ollama that will run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf2ollama.memory.context import ContextChoice
    from gguf2ollama.modelfiles import Parameter

__all__ = ["ModelSettings", "Published", "Target", "Value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What matters of the Ollama that will run the model.

    Attributes:
        version: Its version; ``None`` where the Modelfile is for any.
        native_templates: Whether it can render with the chat template of the GGUF itself.
        create_replaces_template: Whether it may put its own template first, as ``create`` does.
        header_is_editable: Whether the header of the GGUF may be changed on the way.
        takes_templates: Whether a TEMPLATE can render chats.
        has_companions: Whether a TEMPLATE may go with the chat template that is passed over for it.
        model_name: The model part of the name that the model will have there; ``""`` where it is not known.
    """

    version: str | None = None
    native_templates: bool = True
    create_replaces_template: bool = True
    header_is_editable: bool = False
    takes_templates: bool = True
    has_companions: bool = False
    model_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value, and where it came from."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the publishers of a model recommend beside the GGUF.

    Attributes:
        parameters: What they say of this very GGUF; it goes before what stands in it.
        fallbacks: What the authors say of the model that it was made from; it goes behind that.
        stops: Stop strings, and where each came from.
        system, template: Texts that they want a chat to have.
        chat_template: The chat template of the model that it was made from, as it is today.
    """

    parameters: Mapping[str, Value] = field(default_factory=dict)
    fallbacks: Mapping[str, Value] = field(default_factory=dict)
    stops: Mapping[str, str] = field(default_factory=dict)
    system: Value | None = None
    template: Value | None = None
    chat_template: Value | None = None


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
