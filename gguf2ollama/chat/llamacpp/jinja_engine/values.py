"""The values of llama.cpp's Jinja engine, told with Python's own.

String, integer, float, boolean, ``None``, list, tuple and dict stand for themselves; ``UNDEFINED`` and the
classes below for the rest. Text is told byte by byte: each character is one byte of its UTF-8 form, since
llama.cpp counts, slices and compares bytes.

Source: ``common/jinja/value.h`` and ``value.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault

__all__ = [
    "CAP_CHARACTERS",
    "UNDEFINED",
    "Function",
    "Joined",
    "Keyword",
    "LoopState",
    "Undefined",
    "Value",
    "are_equal",
    "as_bytes_text",
    "as_key",
    "as_text",
    "bounded",
    "capped",
    "from_json",
    "is_number",
    "is_true",
    "to_json",
    "to_text",
    "type_name",
]

CAP_CHARACTERS: Final = 2 << 20
"""The longest text, in bytes, that a prediction makes."""

Value: TypeAlias = Any
"""What a template computes with: one of the types above."""

_CAP_INDENT = 1 << 10
_CAP_ITEMS = 100_000
_INT64 = 1 << 64


class Undefined:
    """The type of ``UNDEFINED``."""

    __slots__ = ()


UNDEFINED: Final = Undefined()


class Joined(str):
    """A text put together of several, each of which ``capitalize`` and ``title`` treat by itself."""

    __slots__ = ()


class LoopState(dict[Any, Any]):
    """The variable ``loop``, an object without methods."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """What can be called with a context and arguments, keyword arguments among them."""

    name: str
    run: Callable[[Any, list[Any]], Any]


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword argument."""

    key: str
    value: Value


def as_bytes_text(text: str) -> str:
    """Return a text byte by byte.

    Raises:
        NotForeseen: It holds half a surrogate pair, which no UTF-8 has.
    """
    if text.isascii():
        return text
    try:
        return text.encode().decode("latin-1")
    except UnicodeEncodeError as error:
        raise NotForeseen("a string that is not valid UTF-8") from error


def as_text(text: str) -> str:
    """Return a text that is told byte by byte as it reads.

    Raises:
        NotForeseen: A character was cut apart.
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise NotForeseen("a character that the template splits") from error


def from_json(value: Value) -> Value:
    """Return a JSON value as the engine holds it; every string and container is a new object."""
    if isinstance(value, str):
        return as_bytes_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(_INT64 >> 1) <= value < _INT64:
            return float(value)
        return (value + (_INT64 >> 1)) % _INT64 - (_INT64 >> 1)
    if isinstance(value, (list, tuple)):
        return [from_json(one) for one in value]
    if isinstance(value, (dict, Mapping)):  # the first of the two is soon told
        return {as_bytes_text(key): from_json(one) for key, one in value.items()}
    return value


def capped(text: str) -> str:
    """Return a text that is not too long.

    Raises:
        NotForeseen: It is.
    """
    if len(text) > CAP_CHARACTERS:
        raise NotForeseen(f"a string of more than {CAP_CHARACTERS >> 20} MB")
    return text


def bounded(value: Value) -> Value:
    """Return a value that holds not too many others, counted as often as they are held.

    Raises:
        NotForeseen: It holds too many, or itself.
    """
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list, tuple)):
            count += len(one)
            if count > _CAP_ITEMS:
                raise NotForeseen(f"a value that contains more than {_CAP_ITEMS:,} others, or itself")
            waiting += one.values() if isinstance(one, dict) else one
    return value


def is_number(value: Value) -> bool:
    """Whether it is an integer or a float, and no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_true(value: Value) -> bool:
    """Return the truth of a value.

    Raises:
        TemplateFault: It has none: a function.
    """
    if value is True or value is False:
        return value
    if value is UNDEFINED:
        return False
    if isinstance(value, (Function, Keyword)):
        raise TemplateFault("a function is not a bool value")
    return bool(value)


def type_name(value: Value) -> str:
    """Return the name of a type as llama.cpp's errors tell it."""
    return _TYPE_NAMES.get(type(value), "Undefined")


_TYPE_NAMES: Mapping[type, str] = {
    str: "String",
    Joined: "String",
    bool: "Boolean",
    int: "Integer",
    float: "Float",
    tuple: "Tuple",
    list: "Array",
    dict: "Object",
    LoopState: "Object",
    Function: "Function",
    Keyword: "KwArg",
    type(None): "None",
}


def _is_fixed(value: Value) -> bool:
    """Whether a value can be a key, and be compared within a list: nothing that can be changed."""
    if isinstance(value, tuple):
        return all(map(_is_fixed, value))
    return value is not UNDEFINED and not isinstance(value, (list, dict, Function))


def are_equal(left: Value, right: Value) -> bool:
    """Compare as ``==`` does: lists and objects that hold lists or objects are never equal to anything."""
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str) and left == right
    if isinstance(left, (list, tuple, dict)):
        return _are_alike(bounded(left), bounded(right))
    if isinstance(left, Function) or isinstance(right, Function):
        raise NotForeseen("a comparison of functions")
    if isinstance(left, float) and not math.isfinite(left):
        raise NotForeseen("a float that is not finite")
    return bool(left == right)


def _are_alike(left: Value, right: Value) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        keys = len(left) == len(right) and all(map(are_equal, left.keys(), right.keys()))
        return keys and _are_alike(list(left.values()), list(right.values()))
    if not all(map(_is_fixed, left)) or not all(map(_is_fixed, right)):
        return False
    return len(left) == len(right) and all(map(are_equal, left, right))


def as_key(value: Value) -> Value:
    """Return a value that is a key of an object.

    Raises:
        TemplateFault: It cannot be one.
    """
    if not _is_fixed(value):
        raise TemplateFault(f"Object key of unhashable type: {type_name(value)}")
    return value


def to_text(value: Value) -> str:
    """Print a value, in the way of ``~`` and ``string``.

    Raises:
        NotForeseen: How it is printed is not modelled.
        TemplateFault: It cannot be printed: undefined, a function.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{value:f}".rstrip("0")
        return text + "0" if text.endswith(".") else text
    bounded(value)
    if isinstance(value, (list, tuple)):
        opening, closing = ("(", ",)" if len(value) == 1 else ")") if isinstance(value, tuple) else ("[", "]")
        return capped(opening + ", ".join(map(_shown, value)) + closing)
    if isinstance(value, dict):
        return capped("{" + ", ".join(f"{_shown(key)}: {_shown(one)}" for key, one in value.items()) + "}")
    raise TemplateFault(f"{type_name(value)} is not a string value")


def _shown(value: Value) -> str:
    """Print a value within a list or an object."""
    if isinstance(value, str):
        return to_json(value) if "'" in value else f"'{value}'"
    if value is UNDEFINED or isinstance(value, Function):
        raise NotForeseen(f"printing a list with a value of type {type_name(value)}")
    return to_text(value)


def to_json(value: Value, *, indent: int = -1, item: str | None = None, key: str = ": ") -> str:
    """Write JSON as ``tojson`` does: with spaces after separators, floats with six digits.

    Args:
        value: What to write.
        indent: Characters that each level is indented by; below 0 all stands on one line.
        item: What stands between items; ``None`` for ``, `` on one line and ``,`` on several.
        key: What stands after a key.

    Raises:
        NotForeseen: It is too long or nested too deeply.
    """
    if indent > _CAP_INDENT:
        raise NotForeseen(f"JSON that is indented by {indent} characters")
    writer = _JsonWriter(indent=indent, item=(", " if indent < 0 else ",") if item is None else item, key=key)
    try:
        writer.write(bounded(value), 0)
    except RecursionError as error:
        raise NotForeseen("JSON that is nested too deeply") from error
    return "".join(writer.pieces)


class _JsonWriter:
    def __init__(self, *, indent: int, item: str, key: str) -> None:
        self.pieces: list[str] = []
        self._indent = indent
        self._item = item
        self._key = key
        self._length = 0

    def write(self, value: Value, level: int) -> None:
        if isinstance(value, dict):
            self._write_many("{", [(key, one) for key, one in value.items()], "}", level)
        elif isinstance(value, (list, tuple)):
            self._write_many("[", [(None, one) for one in value], "]", level)
        else:
            self._put(_scalar(value))

    def _write_many(self, opening: str, items: list[tuple[Any, Any]], closing: str, level: int) -> None:
        self._put(opening)
        if items:
            newline = "\n" if self._indent >= 0 else ""
            inner = " " * (max(self._indent, 0) * (level + 1))
            self._put(newline)
            is_object = opening == "{"
            for number, (key, value) in enumerate(items, 1):
                self._put(inner)
                if is_object:
                    self._put(_scalar(to_text(key)) + self._key)
                self.write(value, level + 1)
                self._put((self._item if number < len(items) else "") + newline)
            self._put(" " * (max(self._indent, 0) * level))
        self._put(closing)

    def _put(self, text: str) -> None:
        self._length += len(text)
        if self._length > CAP_CHARACTERS:
            raise NotForeseen(f"JSON of more than {CAP_CHARACTERS >> 20} MB")
        self.pieces.append(text)


_JSON_ESCAPES = {chr(code): f"\\u{code:04x}" for code in range(0x20)} | {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_JSON_TABLE = str.maketrans(_JSON_ESCAPES)


def _scalar(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_JSON_TABLE)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "null"  # functions too
