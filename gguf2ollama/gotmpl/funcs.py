"""Go's own template functions (``text/template/funcs.go`` of Go 1.24 to 1.26).

Each takes the list of its arguments, and raises an :class:`EvaluationError` without a position.
``and`` and ``or`` are in :mod:`gguf2ollama.gotmpl.eval`, since they may skip arguments. Functions that
templates call often (those that walk over bytes) have specialised code, see :func:`frequent`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote_plus

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.fmt import print_values, printf, println
from gguf2ollama.gotmpl.nodes import Position
from gguf2ollama.gotmpl.state import BYTES_PER_STEP, Evaluate, Frame, Run
from gguf2ollama.gotmpl.strconv import is_bad_byte
from gguf2ollama.gotmpl.values import (
    BYTES,
    NOTHING,
    Byte,
    Map,
    Pointer,
    Slice,
    Value,
    entries_of,
    is_nil,
    is_true,
    items_of,
    kind_of,
    type_name,
)

__all__ = [
    "GO_FUNCTIONS",
    "Call",
    "Function",
    "equal",
    "frequent",
    "index",
    "is_equal",
    "is_less",
    "length",
    "slice_",
]


Call: TypeAlias = Callable[[list[Value]], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that templates can call.

    Attributes:
        call: The function itself: from a list of arguments to a value.
        least, most: The number of arguments it takes; ``None`` for any number.
        texts: The number of leading arguments that must be strings; -1 for all.
        bytes_per_step: How many bytes of its result cost as much as a step.
    """

    call: Call
    least: int
    most: int | None
    texts: int = 0
    bytes_per_step: int = BYTES_PER_STEP


def is_equal(first: Value, others: list[Value]) -> bool:
    """Return whether a value equals any of the others."""
    if not others:
        raise EvaluationError("missing argument for comparison", hint="eq takes two or more arguments")
    kind = type(first)
    for other in others:
        is_plain = kind is type(other) and kind in _PLAIN
        if first == other if is_plain else _is_equal(first, other):
            return True
    return False


_PLAIN = frozenset({bytes, int, bool, float})
_BASIC = frozenset({"bool", "int", "uint", "float", "string"})
_INTEGERS = frozenset({"int", "uint"})


def _is_equal(first: Value, other: Value) -> bool:
    kinds = kind_of(first), kind_of(other)
    basics = [kind if kind in _BASIC else "" for kind in kinds]
    if basics[0] != basics[1]:
        if set(kinds) == _INTEGERS:
            return bool(first == other)
        if "invalid" in kinds:
            return False
        raise EvaluationError(
            f"incompatible types for comparison: {type_name(first)} and {type_name(other)}",
            hint="compare values of one type; `printf` converts a number to a string",
        )
    if basics[0]:
        return bool(first == other)
    if kinds[0] != kinds[1] and "invalid" not in kinds:
        raise EvaluationError(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
    if is_nil(first) or is_nil(other):
        return is_nil(first) and is_nil(other)
    if isinstance(first, Pointer) and isinstance(other, Pointer):
        return first.target is other.target
    raise EvaluationError(f"cannot compare values of type {type_name(other)}")


def is_less(first: Value, second: Value) -> bool:
    """Return whether a number or string comes before another."""
    kinds = kind_of(first), kind_of(second)
    for kind, value in zip(kinds, (first, second), strict=True):
        if kind not in _BASIC:
            raise EvaluationError(f"cannot order values of type {type_name(value)}")
    if kinds[0] != kinds[1] and set(kinds) != _INTEGERS:
        raise EvaluationError(
            f"incompatible types for comparison: {type_name(first)} and {type_name(second)}"
        )
    if kinds[0] == "bool":
        raise EvaluationError("cannot order values of type bool")
    return bool(first < second)


def _less_or_equal(first: Value, second: Value) -> bool:
    return is_less(first, second) or is_equal(first, [second])


def length(value: Value) -> int:
    """Return the length of a string (in bytes), slice or map."""
    if type(value) is bytes:
        return len(value)
    sized: Value = items_of(value)
    sized = entries_of(value) if sized is None else sized
    if sized is None:
        raise EvaluationError(f"cannot take the length of a value of type {_shown_type(value)}")
    return len(sized)


def _shown_type(value: Value) -> str:
    return "missing value" if is_nil(value) else type_name(value)


def _position(value: Value, end: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise EvaluationError(f"cannot index with type {_shown_type(value)}")
    if not 0 <= value <= end:
        raise EvaluationError(
            f"index out of range: {int(value)} (of 0 to {end})", hint="check the length first with `len`"
        )
    return int(value)


def index(item: Value, keys: list[Value]) -> Value:
    """Return the item at an index or key, or at several, one within the other."""
    if item is None or item is NOTHING:
        raise EvaluationError("cannot index a missing value")
    for key in keys:
        item = _item(item, key)
    return item


def _item(item: Value, key: Value) -> Value:
    if isinstance(item, Pointer):
        if item.target is None:
            raise EvaluationError("cannot index a nil pointer")
        item = item.target
    if type(item) is bytes:
        at = _position(key, len(item))
        if at == len(item):
            raise EvaluationError(f"index out of range: {at} (the length is {at})")
        return BYTES[item[at]]
    items = items_of(item)
    if items is not None:
        at = _position(key, len(items))
        if at == len(items):
            raise EvaluationError(f"index out of range: {at} (the length is {at})")
        return items[at]
    entries = entries_of(item)
    if entries is None:
        raise EvaluationError(f"cannot index a value of type {_shown_type(item)}")
    if type(key) is not bytes:
        raise EvaluationError(f"cannot index {type_name(item)} with a key of type {_shown_type(key)}")
    if key in entries:
        return entries[key]
    return item.type.zero() if isinstance(item, Map) else None


def slice_(item: Value, bounds: list[Value]) -> Value:
    """Return a part of a string (by bytes) or slice."""
    if isinstance(item, Pointer):
        item = item.target if item.target is not None else NOTHING
    items = item if type(item) is bytes else items_of(item)
    if items is None:
        raise EvaluationError(f"cannot slice a value of type {_shown_type(item)}")
    if len(bounds) > 2 and (type(item) is bytes or len(bounds) > 3):  # noqa: PLR2004  # as Go takes them
        raise EvaluationError(f"too many bounds for slice: {len(bounds)}")
    positions = [_position(bound, len(items)) for bound in bounds]
    start = positions[0] if positions else 0
    end = positions[1] if len(positions) > 1 else len(items)
    if start > end or (len(positions) > 2 and end > positions[2]):  # noqa: PLR2004  # as above
        raise EvaluationError(f"invalid slice: {start} > {end}")
    part = items[start:end]
    return Slice(item.type, list(part)) if isinstance(item, Slice) else part


def _escaper(escape: Callable[[bytes], bytes]) -> Call:
    def call(values: list[Value]) -> bytes:
        if len(values) == 1 and type(values[0]) is bytes:
            return escape(values[0])
        shown = [_printable(value) for value in values]
        return escape(print_values(shown))

    return call


def _printable(value: Value) -> Value:
    if isinstance(value, Pointer) and value.target is not None:
        return value if value.type.text_of_pointer else value.target
    return b"<no value>" if value is None or value is NOTHING else value


def _call(values: list[Value]) -> Value:
    raise EvaluationError(f"cannot call a value of type {_shown_type(values[0])}")


_HTML = {
    b"\0": "\ufffd".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"&": b"&amp;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_HTML_SIGN = lazy_pattern(rb"[\0\"'&<>]")


def _escape_html(text: bytes) -> bytes:
    """Escape for HTML."""
    return _HTML_SIGN.sub(lambda match: _HTML[match.group()], text)


_JAVASCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E"}
_JAVASCRIPT |= {"&": "\\u0026", "=": "\\u003D"}
_JAVASCRIPT_SIGN = lazy_pattern("[\\\\'\"<>&=\0-\x1f\x80-\U0010ffff]")


def _escape_javascript(text: bytes) -> bytes:
    """Escape for a string of JavaScript."""
    return _JAVASCRIPT_SIGN.sub(_javascript, text.decode(errors="surrogateescape")).encode(
        errors="surrogateescape"
    )


def _javascript(match: re.Match[str]) -> str:
    sign = match.group()
    if escaped := _JAVASCRIPT.get(sign):
        return escaped
    if is_bad_byte(sign):
        return sign  # Go reads it as U+FFFD, which is printable, and writes the byte
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04X}"


def _escape_query(text: bytes) -> bytes:
    """Escape for the query of a URL."""
    return quote_plus(text).encode()


GO_FUNCTIONS = {
    "call": Function(call=_call, least=1, most=None),
    "eq": Function(call=lambda values: is_equal(values[0], values[1:]), least=1, most=None),
    "ge": Function(call=lambda values: not is_less(*values), least=2, most=2),
    "gt": Function(call=lambda values: not _less_or_equal(*values), least=2, most=2),
    "html": Function(call=_escaper(_escape_html), least=0, most=None),
    "index": Function(call=lambda values: index(values[0], values[1:]), least=1, most=None),
    "js": Function(call=_escaper(_escape_javascript), least=0, most=None),
    "le": Function(call=lambda values: _less_or_equal(*values), least=2, most=2),
    "len": Function(call=lambda values: length(values[0]), least=1, most=1),
    "lt": Function(call=lambda values: is_less(*values), least=2, most=2),
    "ne": Function(call=lambda values: not is_equal(values[0], values[1:]), least=2, most=2),
    "not": Function(call=lambda values: not is_true(values[0]), least=1, most=1),
    "print": Function(call=print_values, least=0, most=None),
    "printf": Function(call=lambda values: printf(values[0], values[1:]), least=1, most=None, texts=1),
    "println": Function(call=println, least=0, most=None),
    "slice": Function(call=lambda values: slice_(values[0], values[1:]), least=1, most=None),
    "urlquery": Function(call=_escaper(_escape_query), least=0, most=None),
}


def frequent(name: str, arguments: list[Evaluate], position: Position) -> Evaluate | None:
    """Return the specialised code of a call, if there is one."""
    made = _FREQUENT.get((name, len(arguments)))
    return made(*arguments, position) if made is not None else None


def equal(left: Evaluate, constants: list[bytes] | list[int], position: Position) -> Evaluate:
    """Return code that compares with constants: all strings, or all integers."""
    kinds = (bytes,) if isinstance(constants[0], bytes) else (int, Byte)
    known = frozenset[bytes | int](constants)

    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        value = left(run, frame, dot)
        if type(value) in kinds:
            return value in known
        try:
            return is_equal(value, list(constants))
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


def _equal(left: Evaluate, right: Evaluate, position: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        first = left(run, frame, dot)
        second = right(run, frame, dot)
        if type(first) is bytes and type(second) is bytes:
            run.spend_on(first, position)
            return first == second
        try:
            return is_equal(first, [second])
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


def _compare(name: str) -> Callable[[Evaluate, Evaluate, Position], Evaluate]:
    holds, compare = _OF_NUMBERS[name], GO_FUNCTIONS[name].call

    def made(left: Evaluate, right: Evaluate, position: Position) -> Evaluate:
        def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
            first = left(run, frame, dot)
            second = right(run, frame, dot)
            if type(first) in _INTEGER_TYPES and type(second) in _INTEGER_TYPES:
                return holds(first, second)
            return run.call(compare, [first, second], position)

        return evaluate

    return made


_INTEGER_TYPES = frozenset({int, Byte})
_OF_NUMBERS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}


def _not(argument: Evaluate, _place: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        value = argument(run, frame, dot)
        return not (value if type(value) is bool else is_true(value))

    return evaluate


def _length(argument: Evaluate, position: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> int:
        value = argument(run, frame, dot)
        if type(value) is bytes:
            return len(value)
        try:
            return length(value)
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


def _index(item: Evaluate, key: Evaluate, position: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        at = key(run, frame, dot)
        if type(value) is bytes and type(at) is int and 0 <= at < len(value):
            return BYTES[value[at]]
        try:
            return index(value, [at])
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


def _slice_from(item: Evaluate, start: Evaluate, position: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        at = start(run, frame, dot)
        if type(value) is bytes and type(at) is int and 0 <= at <= len(value):
            run.spend_on(value, position)
            return value[at:]
        try:
            return slice_(value, [at])
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


def _slice_between(item: Evaluate, start: Evaluate, end: Evaluate, position: Position) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        first = start(run, frame, dot)
        last = end(run, frame, dot)
        if type(value) is bytes and type(first) is type(last) is int and 0 <= first <= last <= len(value):
            run.spend_on(value, position)
            return value[first:last]
        try:
            return slice_(value, [first, last])
        except EvaluationError as error:
            error.position = error.position or position
            raise

    return evaluate


_FREQUENT: dict[tuple[str, int], Value] = {
    ("eq", 2): _equal,
    ("not", 1): _not,
    ("len", 1): _length,
    ("index", 2): _index,
    ("slice", 2): _slice_from,
    ("slice", 3): _slice_between,
    **{(name, 2): _compare(name) for name in _OF_NUMBERS},
}
