"""The system prompt that a chat template prints where a chat has none, and how to have none printed."""

from __future__ import annotations

from collections.abc import Iterator

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp.segments import common_prefix
from gguf2ollama.chat.outcome import Outcome, Rendered
from gguf2ollama.chat.reference import ReferenceTemplate, Renderer, Request
from gguf2ollama.chat.reference_prompt import Authors

__all__ = ["DefaultSystem", "silence_default_system"]

_ASKED, _SYSTEM = "qzquestion", "qzsystem"
_MARKS = lazy_pattern(r"<[^<>]*>|\[/?[A-Z_]+\]")
_LETTERS = 4  # fewer are no text but marks
_BLANK = " "  # Ollama takes an empty text for none


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSystem:
    """The system prompt of a chat template's own, and how to have none printed.

    Attributes:
        text: The system prompt, as far as only chats without one have it.
        system: The SYSTEM text that keeps it out of prompts; ``""`` for none.
        chat_template: The chat template that does not print it; ``""`` for none that is known, or needed.
    """

    text: str
    system: str = ""
    chat_template: str = ""


def silence_default_system(authors: Authors, renderer: Renderer) -> DefaultSystem | None:
    """Find how to keep the system prompt of a chat template's own out of prompts; ``None`` where it has none.

    Chats without a system message are rendered as with an empty one, or else with a blank.

    Raises:
        InvalidInput: The chat template is invalid, or broke a limit.
    """

    def load(text: str) -> ReferenceTemplate:
        return renderer.load(text, bos=authors.bos, eos=authors.eos, tokens=authors.tokens)

    template = load(authors.chat_template)
    default = _default_text(template)
    if not default:
        return None
    empty, blank = _ask(template, ""), _ask(template, _BLANK)
    if _lacks(empty, default) and empty == blank:
        return DefaultSystem(text=default, system=_BLANK)
    for text in _changed(authors.chat_template):
        if _lacks(_ask(load(text), None), default):
            return DefaultSystem(text=default, chat_template=text)
    return DefaultSystem(text=default)


def _default_text(template: ReferenceTemplate) -> str:
    """Return what a prompt has where a system message would stand, if it is a text; else ``""``."""
    alone, both = _ask(template, None), _ask(template, _SYSTEM)
    if not isinstance(alone, Rendered) or not isinstance(both, Rendered) or _SYSTEM not in both.prompt:
        return ""
    before, _, after = both.prompt.partition(_SYSTEM)
    prompt = alone.prompt
    start = len(common_prefix(prompt, before))
    end = len(prompt) - len(common_prefix(prompt[::-1], after[::-1]))
    text = prompt[start:end].strip()
    letters = sum(character.isalpha() for character in _MARKS.sub("", text))
    return text if letters >= _LETTERS else ""


def _ask(template: ReferenceTemplate, system: str | None) -> Outcome:
    asked = Message(role="user", content=_ASKED)
    messages = (asked,) if system is None else (Message(role="system", content=system), asked)
    return template.render([Request(conversation=Conversation(name="default", messages=messages))])[0]


def _lacks(outcome: Outcome, text: str) -> bool:
    return isinstance(outcome, Rendered) and _ASKED in outcome.prompt and text not in outcome.prompt


def _changed(text: str) -> Iterator[str]:
    """Return the chat template with a system message that says nothing, in each of two ways."""
    for content in ("", _BLANK):
        message = f"{{'role': 'system', 'content': '{content}'}}"
        yield (
            "{%- if not messages or messages[0].role != 'system' -%}"
            f"{{%- set messages = [{message}] + messages -%}}{{%- endif -%}}{text}"
        )
