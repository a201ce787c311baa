"""What stands after ``is``, and the other comparisons of llama.cpp's Jinja engine.

Source: ``test_is_*`` and ``value_compare`` in ``common/jinja/value.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gguf2ollama.chat.llamacpp.jinja_engine.arguments import at, expect_count, expect_type
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Function,
    Undefined,
    Value,
    are_equal,
    as_key,
    is_number,
    to_text,
    type_name,
)

__all__ = ["TESTS", "compare", "contains"]

Run: TypeAlias = Callable[[Sequence[Any]], bool]
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "gt": operator.gt,
    "ge": operator.ge,
}


def compare(left: Value, right: Value, how: str) -> bool:
    """Compare two values in the way of ``sort``, ``min`` and ``is eq``; what cannot be compared is false.

    Raises:
        TemplateFault: Two booleans are to be ordered.
    """
    if is_number(left) and is_number(right):
        return _COMPARISONS[how](float(left), float(right))
    texts = isinstance(left, str) + isinstance(right, str)
    if texts and texts + is_number(left) + is_number(right) > 1:
        return _COMPARISONS[how](to_text(left), to_text(right))
    if isinstance(left, bool) and isinstance(right, bool):
        if how not in {"eq", "ne"}:
            raise TemplateFault("Unsupported comparison operator for bool type")
        return _COMPARISONS[how](left, right)
    return False


def contains(needle: Value, haystack: Value) -> bool:
    """Return whether ``needle in haystack``.

    Raises:
        TemplateFault: It cannot be told.
    """
    if haystack is UNDEFINED:
        return False
    if isinstance(haystack, (list, tuple)):
        return any(are_equal(needle, one) for one in haystack)
    if isinstance(haystack, str):
        if not isinstance(needle, str):
            raise TemplateFault(f"'in' expects a string, got {type_name(needle)}")
        return needle in haystack
    if isinstance(haystack, dict):
        return as_key(needle) in haystack
    raise TemplateFault(f"'in' expects an iterable, got {type_name(haystack)}")


def _of_type(*kinds: type) -> Run:
    def run(arguments: Sequence[Any]) -> bool:
        value = at(arguments, 0)
        return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))

    return run


def _compared(how: str) -> Run:
    def run(arguments: Sequence[Any]) -> bool:
        expect_count(arguments, 2, 2)
        return compare(arguments[0], arguments[1], how)

    return run


def _has_remainder(arguments: Sequence[Any]) -> bool:
    expect_type(at(arguments, 0), int)
    return bool(arguments[0] % 2)


def _divides(arguments: Sequence[Any]) -> bool:
    expect_type(at(arguments, 0), int)
    expect_type(at(arguments, 1), int)
    if not arguments[1]:
        raise NotForeseen("a division by zero, at which llama.cpp may crash")
    return math.fmod(arguments[0], arguments[1]) == 0


def _has_no(case: str) -> Run:
    def run(arguments: Sequence[Any]) -> bool:
        expect_type(at(arguments, 0), str)
        low, high = ("A", "Z") if case == "upper" else ("a", "z")
        return not any(low <= character <= high for character in arguments[0])

    return run


def _is_exactly(wanted: bool) -> Run:  # noqa: FBT001 - the value itself
    return lambda arguments: at(arguments, 0) is wanted


def _is_in(arguments: Sequence[Any]) -> bool:
    return contains(at(arguments, 0), at(arguments, 1))


def _is_test(arguments: Sequence[Any]) -> bool:
    expect_type(at(arguments, 0), str)
    return arguments[0] in TESTS


def _not_implemented(arguments: Sequence[Any]) -> bool:
    raise TemplateFault(f"this test is not implemented for {len(arguments)} arguments")


TESTS: Final[Mapping[str, Run]] = {
    "boolean": _of_type(bool),
    "callable": _of_type(Function),
    "odd": _has_remainder,
    "even": lambda arguments: not _has_remainder(arguments),
    "false": _is_exactly(False),
    "true": _is_exactly(True),
    "divisibleby": _divides,
    "string": _of_type(str),
    "integer": _of_type(int),
    "float": _of_type(float),
    "number": _of_type(int, float),
    "iterable": _of_type(list, tuple, str, Undefined),
    "sequence": _of_type(list, tuple, str, Undefined),
    "mapping": _of_type(dict),
    "lower": _has_no("upper"),
    "upper": _has_no("lower"),
    "none": lambda arguments: at(arguments, 0) is None,
    "defined": lambda arguments: at(arguments, 0) is not UNDEFINED,
    "undefined": lambda arguments: at(arguments, 0) is UNDEFINED,
    "eq": _compared("eq"),
    "equalto": _compared("eq"),
    "ge": _compared("ge"),
    "gt": _compared("gt"),
    "greaterthan": _compared("gt"),
    "lt": _compared("lt"),
    "lessthan": _compared("lt"),
    "ne": _compared("ne"),
    "in": _is_in,
    "test": _is_test,
    "sameas": _not_implemented,
    "escaped": _not_implemented,
    "filter": _not_implemented,
}
