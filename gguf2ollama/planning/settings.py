"""What the user and the publishers ask of a model: settled before any template is chosen."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.sources.model import Published, Value

if TYPE_CHECKING:
    from gguf2ollama.families import Detection
    from gguf2ollama.families.fill_in import FillIn
    from gguf2ollama.memory.context import ContextChoice
    from gguf2ollama.modelfiles import Message, Parameter

__all__ = ["ModelSettings", "TemplateOrigin", "choose_system"]

TemplateOrigin: TypeAlias = Literal["user", "native", "patched", "profile", "synthesised", "none"]
"""Whose template renders a chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What the user requests, which precedes everything else, and what the publishers recommend.

    Attributes:
        context: ``num_ctx`` and its reason; ``None`` for none.
        parameters: PARAMETER values in the order given; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none at all, ``None`` for the default.
        template: The TEMPLATE text, or ``None``.
        chat_template: The chat template that replaces the file's own in the header, and so in the metadata;
            ``None`` where it is the file's own.
        chat_template_reason: Why it replaces that.
        template_problem: Why Ollama would not render with the TEMPLATE, and what was done about it, a
            sentence; ``""`` where it would.
        default_system: The system prompt of the chat template's own that prompts have although the user wants
            none; ``""`` for none.
        licenses: LICENSE texts.
        messages: MESSAGE values.
        draft_tokens: How many tokens MTP layers in the model predict at a time; ``None`` for none.
        published: What the publishers recommend; the user's options precede it.
        exact: Whether prompts are to be exact at any price, even that of a copy of the weights.
        fill_in: How the model fills in the middle; ``None`` if it does not.
        prefers_insert: Whether that goes before how chats are rendered.
    """

    context: ContextChoice | None = None
    parameters: tuple[Parameter, ...] = ()
    system: str | None = None
    template: str | None = None
    chat_template: str | None = None
    chat_template_reason: str = "given with --chat-template"
    template_problem: str = ""
    default_system: str = ""
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    draft_tokens: Value | None = None
    published: Published = field(default_factory=Published)
    exact: bool = False
    fill_in: FillIn | None = None
    prefers_insert: bool = False

    @property
    def given_template(self) -> Value | None:
        """The TEMPLATE to use in any case: the user's, else the publishers'."""
        if self.template is not None:
            return Value(value=self.template, source="--template")
        return self.published.template

    @property
    def given_system(self) -> Value | None:
        """The system prompt to use in any case: the user's, else the publishers'."""
        if self.system is not None:
            return Value(value=self.system or None, source="--system")
        return self.published.system

    @property
    def chat_template_note(self) -> str:
        """What is to be said of the chat template of the model: empty where it is the file's own."""
        return "" if self.chat_template is None else f" ({self.chat_template_reason})"


def choose_system(detection: Detection, *, settings: ModelSettings) -> Value:
    """Return the system prompt: the user's, else the publishers', else the family's own."""
    if settings.given_system is not None:
        return settings.given_system
    if detection.kind != "embedding" and detection.profile is not None and detection.system is not None:
        return Value(value=detection.system.text, source=detection.system.source)
    return Value(value=None, source="none is known")
