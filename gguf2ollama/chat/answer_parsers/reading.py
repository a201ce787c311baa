"""What is heard in an answer, and the steps that the parsers have in common."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["SPACE", "Call", "Heard", "Unread", "cut", "first_of", "without_begun"]

Call: TypeAlias = tuple[str, dict[str, Any]]

# what Go's unicode.IsSpace takes for white space
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Unread(Exception):
    """The server ends the answer with an error: a call in it is not written as it has to be."""


@dataclass(slots=True)
class Heard:
    """What a parser tells of an answer.

    Attributes:
        said: The content.
        thought: The thinking.
        calls: Each call of a tool: its name and its arguments.
    """

    said: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)


def cut(text: str, mark: str) -> tuple[str, str | None]:
    """Return what stands before a mark and what stands behind it; ``None`` where it is not there."""
    before, found, behind = text.partition(mark)
    return before, behind if found else None


def first_of(text: str, *marks: str) -> re.Match[str] | None:
    """Find the mark that comes first, as a parser does that is told the answer bit by bit."""
    return re.search("|".join(map(re.escape, marks)), text)


def without_begun(text: str, *marks: str) -> str:
    """Leave out what a parser holds back and then forgets: a mark that was begun, and white space."""
    begun = max(
        (
            length
            for mark in marks
            for length in range(1, min(len(mark), len(text)) + 1)
            if text.endswith(mark[:length])
        ),
        default=0,
    )
    return text[: len(text) - begun].rstrip(SPACE)
