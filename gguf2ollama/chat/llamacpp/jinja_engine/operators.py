"""Operators as llama.cpp computes them: numbers by way of floats, ``None`` and undefined as empty text.

Source: ``binary_expression`` in ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.value_tests import contains
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    CAP_CHARACTERS,
    UNDEFINED,
    Joined,
    Value,
    capped,
    is_number,
    to_text,
    type_name,
)

__all__ = ["apply"]

_INT64 = 1 << 63
_CAP_ITEMS = 1_000_000
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def _joined(left: str, right: str) -> str:
    """Put two texts together."""
    if not left or not right:
        return left or right
    return Joined(capped(left + right))


def apply(how: str, left: Value, right: Value, *, looks_up_none: bool) -> Value:
    """Return what an operator makes of two values; ``and``, ``or``, ``==`` and ``!=`` are none of these.

    Args:
        how: The operator.
        left: What stands before it.
        right: What stands after it.
        looks_up_none: Whether ``none in …`` is asked at all, as it is since b11081; before, it is an error.

    Raises:
        NotForeseen: It is not modelled.
        TemplateFault: It is an error.
    """
    if left is UNDEFINED or right is UNDEFINED:
        return _with_undefined(how, left, right)
    if left is None or right is None:
        return _with_none(how, left, right, looks_up_none=looks_up_none)
    if is_number(left) and is_number(right) and (how in _ARITHMETIC or how in _COMPARISONS):
        return _computed(how, left, right)
    return _with_lists(how, left, right)


def _with_lists(how: str, left: Value, right: Value) -> Value:
    is_list = isinstance(left, (list, tuple)), isinstance(right, (list, tuple))
    if all(is_list) and how == "+":
        return _chained(left, right)
    if is_list == (False, True) and how in {"in", "not in"}:
        return contains(left, right) is (how == "in")
    return _with_text(how, left, right)


def _with_text(how: str, left: Value, right: Value) -> Value:
    texts = isinstance(left, str), isinstance(right, str)
    if any(texts) and how in {"~", "+"}:
        return _joined(to_text(left), to_text(right))
    if how == "*" and any(texts) and (_is_integer(left) or _is_integer(right)):
        text, times = (left, right) if texts[0] else (right, left)
        if len(text) * times > CAP_CHARACTERS:
            raise NotForeseen("a string repeated too often")
        return Joined(text * times)
    if how in {"in", "not in"} and (all(texts) or isinstance(right, dict)):
        return contains(left, right) is (how == "in")
    raise TemplateFault(f'Unknown operator "{how}" between {type_name(left)} and {type_name(right)}')


def _is_integer(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _chained(left: Value, right: Value) -> list[Any]:
    if len(left) + len(right) > _CAP_ITEMS:
        raise NotForeseen(f"a list of more than {_CAP_ITEMS:,} items")
    return [*left, *right]


def _with_undefined(how: str, left: Value, right: Value) -> Value:
    if right is UNDEFINED and how in {"in", "not in"}:
        return how == "not in"
    return _as_empty(how, left, right, f"Cannot perform operation {how} on undefined values")


def _with_none(how: str, left: Value, right: Value, *, looks_up_none: bool) -> Value:
    if looks_up_none and right is not None and how in {"in", "not in"}:
        return contains(left, right) is (how == "in")
    return _as_empty(how, left, right, "Cannot perform operation on null values")


def _as_empty(how: str, left: Value, right: Value, problem: str) -> str:
    """Join a text with nothing.

    Raises:
        TemplateFault: It is another operator, or no text.
    """
    if how in {"+", "~"}:
        if isinstance(left, str) and not isinstance(right, str):
            return left
        if isinstance(right, str) and not isinstance(left, str):
            return right
    raise TemplateFault(problem)


def _computed(how: str, left: float, right: float) -> Value:
    one, other = float(left), float(right)
    if one != left or other != right:
        raise NotForeseen("an integer too large for a float")
    if how in _COMPARISONS:
        return _COMPARISONS[how](one, other)
    if how in "/%" and not other:
        raise NotForeseen("a division by zero")
    result = _ARITHMETIC[how](one, other)
    if how == "/":
        return result
    if float in {type(left), type(right)}:
        return result
    if abs(result) >= _INT64:
        raise NotForeseen("an integer of more than 64 bits")
    return int(result)
