"""Find stop strings that would cut an answer before its end."""

from __future__ import annotations

from collections.abc import Iterable

from gguf2ollama.chat.model_output import Answer

__all__ = ["stops_that_cut"]


def stops_that_cut(stops: Iterable[str], *, answers: Iterable[Answer]) -> tuple[str, ...]:
    """Return the stop strings that stand within one of the answers that a model writes, before it is over."""
    texts = [answer.text[: answer.end] for answer in answers]
    return tuple(stop for stop in stops if stop and any(stop in text for text in texts))
