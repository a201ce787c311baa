"""What rules tell of an answer's own text: white space at its ends, and thinking that stands in it."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Message

__all__ = ["MARKS", "Inline", "Trim"]

MARKS = _THOUGHT, _THOUGHT_END = "<think>", "</think>"
"""What thinking in a text stands between."""


class Trim(StrEnum):
    """What is taken off one end of a text, as Python's ``str.strip`` does."""

    nothing = "nothing"
    newlines = "newlines"
    space = "white space"

    def left(self, text: str) -> str:
        """Take it off the beginning of a text."""
        return text if self is Trim.nothing else text.lstrip("\n" if self is Trim.newlines else None)

    def right(self, text: str) -> str:
        """Take it off the end of a text."""
        return text if self is Trim.nothing else text.rstrip("\n" if self is Trim.newlines else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """What becomes of thinking that stands in an answer's text, before ``</think>``.

    Attributes:
        told: Whether it counts as the message's thinking, where it has no other; else it is left out.
        left: What is taken off the beginning of the rest.
        paired: Whether a text without ``<think>`` is left as it is.
        again: Whether the rest is trimmed like any other text, too.
    """

    told: bool
    left: Trim
    paired: bool = False
    again: bool = True

    def cuts(self, message: Message) -> bool:
        """Whether there is thinking in the text of a message."""
        return _THOUGHT_END in message.content and (not self.paired or _THOUGHT in message.content)

    def split(self, message: Message) -> Message:
        """Return the message with its text cut."""
        thoughts = message.content.partition(_THOUGHT_END)[0]
        rest = self.left.left(message.content.rpartition(_THOUGHT_END)[2])
        if not self.told or message.thinking:
            return replace(message, content=rest)
        return replace(message, content=rest, thinking=thoughts.rpartition(_THOUGHT)[2].strip("\n"))
