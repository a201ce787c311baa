"""The prompt of a chat for engines that take text, and the reasoning within what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Refused
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.errors import InvalidInput

if TYPE_CHECKING:
    from gguf2ollama.engines.engine import Texts

__all__ = ["ThoughtSplitter", "conversation", "render_prompt"]

_OPENING, _CLOSING = "<think>", "</think>"


def conversation(messages: Texts, *, think: bool | None) -> Conversation:
    """Return the messages of a chat, as chat templates take them."""
    return Conversation(
        name="chat",
        messages=tuple(
            Message(role=message["role"], content=message["content"])  # type: ignore[arg-type]
            for message in messages
        ),
        think=think,
    )


def render_prompt(authors: Authors | None, messages: Texts, *, think: bool | None) -> str:
    """Return the prompt that a chat becomes by the chat template of the model, without the BOS token.

    Args:
        authors: What the GGUF says of chats; ``None`` where it has no chat template, and the contents of the
            messages are the prompt.
        messages: The chat.
        think: Whether to reason first; the template decides when not given.

    Raises:
        InvalidInput: The template is invalid, or rejects the chat.
    """
    if authors is None:
        return "\n\n".join(message["content"] for message in messages)
    from gguf2ollama.chat.reference import Renderer  # noqa: PLC0415 - where it renders

    with Renderer() as renderer:
        (outcome,) = authors.meant(authors.load(renderer), [conversation(messages, think=think)])
    if isinstance(outcome, Refused):
        raise InvalidInput(
            f"the chat template rejects this chat: {outcome.reason}",
            hint="leave out --system, or use another file of the model",
        )
    return outcome.prompt


class ThoughtSplitter:
    """Separates the reasoning between think tags from an answer that arrives in pieces.

    Args:
        prompt: The prompt, which may have opened the reasoning.
    """

    def __init__(self, prompt: str) -> None:
        self._state: Literal["start", "thinking", "closed", "answer"] = "start"
        if prompt.rstrip().endswith(_OPENING):
            self._state = "thinking"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Return what is known of the answer, and of the reasoning, with this piece."""
        self._held += text
        thinking = ""
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(_OPENING):
                self._state, self._held = "thinking", begun.removeprefix(_OPENING)
            elif not _OPENING.startswith(begun):
                self._state = "answer"
        if self._state == "thinking":
            thinking, is_closed, after = self._held.partition(_CLOSING)
            if is_closed:
                self._state, self._held = "closed", after
            else:  # its end may be the first part of the tag
                kept = next(n for n in range(len(_CLOSING), -1, -1) if thinking.endswith(_CLOSING[:n]))
                self._held = thinking[len(thinking) - kept :]
                thinking = thinking[: len(thinking) - kept]
        if self._state == "closed":
            self._held = self._held.lstrip()
            self._state = "answer" if self._held else "closed"
        if self._state != "answer":
            return "", thinking
        content, self._held = self._held, ""
        return content, thinking

    def rest(self) -> tuple[str, str]:
        """Return what was held back, once the answer is whole."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinking" else (held, "")
