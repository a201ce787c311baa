"""Find stop strings that would cut an answer before its end."""

from __future__ import annotations

from collections.abc import Iterable

from gguf2ollama.chat.answers import answers_of
from gguf2ollama.chat.authors import AuthorsTemplate
from gguf2ollama.chat.reference import ReferenceTemplate

__all__ = ["stops_that_cut"]


def stops_that_cut(stops: Iterable[str], *, template: AuthorsTemplate | ReferenceTemplate) -> tuple[str, ...]:
    """Give the stop strings that stand within an answer as the template writes it, before it is over.

    Raises:
        InvalidInput: The template broke a limit.
    """
    answers = [answer.text[: answer.end] for answer in answers_of(template)]
    return tuple(stop for stop in stops if stop and any(stop in answer for answer in answers))
