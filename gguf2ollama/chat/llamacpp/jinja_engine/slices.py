"""Slices as llama.cpp cuts them: like Python's, but a stop of -1 with a negative step goes on to the start.

Source: ``slice`` in ``common/jinja/value.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from gguf2ollama.chat.llamacpp.jinja_engine.arguments import as_integer, at, expect_type
from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault

__all__ = ["sliced"]

Item = TypeVar("Item")


def sliced(items: Sequence[Item], bounds: Sequence[Any]) -> list[Item]:
    """Return the items between bounds.

    Args:
        items: A list, or the characters of a text.
        bounds: Start, stop and step.

    Raises:
        TemplateFault: A bound is no number, or the step is 0.
    """
    expect_type(at(bounds, 0), int)
    start, stop, step = bounds[0], as_integer(at(bounds, 1)), as_integer(at(bounds, 2))
    count = len(items)
    if step == 0:
        raise TemplateFault("slice step cannot be zero")
    if step > 0:
        first = max(count + start, 0) if start < 0 else min(start, count)
        last = max(count + stop, 0) if stop < 0 else min(stop, count)
    else:
        first = max(count + start, 0) if start < 0 else min(start, count - 1)
        last = max(count + stop, -1) if stop < -1 else min(stop, count - 1)
    return [items[at] for at in range(first, last, step) if 0 <= at < count]
