"""Write values as Go's ``encoding/json`` does, and convert JSON values to Go's ``any``."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput
from gguf2ollama.gotmpl.strconv import format_json_float
from gguf2ollama.gotmpl.values import NOTHING, Byte, Map, Pointer, Struct, Value, is_true

__all__ = ["MAX_JSON_DEPTH", "Json", "OrderedEntries", "as_any", "go_bytes", "marshal"]

Json: TypeAlias = Any
"""A value as Python's ``json`` returns it."""
MAX_JSON_DEPTH = 100
_ESCAPED = lazy_pattern('["\\\\\0-\x1f<>&\u2028\u2029\udc80-\udcff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_BAD_BYTE = "\udc80"


def marshal(value: Value) -> bytes:  # noqa: PLR0911  # one for each kind of value
    """Write a value as compact JSON: keys of maps sorted, ``< > &`` escaped."""
    kind = type(value)
    if kind is bytes:
        return _quoted(value)
    if value is None or value is NOTHING:
        return b"null"
    if kind is bool:
        return b"true" if value else b"false"
    if kind is float:
        return format_json_float(value).encode()
    if isinstance(value, int):
        return b"%d" % value
    if kind is dict:
        return _object((key, value[key]) for key in sorted(value))
    if kind is list:
        return _array(value)
    return _marshal_typed(value)


def _marshal_typed(value: Value) -> bytes:  # noqa: PLR0911  # as above
    if isinstance(value, Pointer):
        return b"null" if value.target is None else marshal(value.target)
    if value.type.marshal is not None:
        written = value.type.marshal(value)
        if isinstance(written, OrderedEntries):
            return _object(written.entries.items())
        return marshal(written)
    if isinstance(value, Struct):
        return _object(
            (key.encode(), value.fields[name])
            for name, (key, omits) in value.type.tags.items()
            if not (omits and _is_left_out(value.fields[name], omits))
        )
    if isinstance(value, Map):
        entries = value.entries
        return b"null" if entries is None else _object((key, entries[key]) for key in sorted(entries))
    if value.items is None:
        return b"null"
    if isinstance(value.type.zero(), Byte):
        return b'"' + b64encode(bytes(value.items)) + b'"'
    return _array(value.items)


class OrderedEntries:
    """Entries to write as an object in their own order."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[bytes, Value]) -> None:
        self.entries = entries


def _is_left_out(value: Value, omits: str) -> bool:
    """Return whether ``omitempty`` omits a value: a field of type ``any`` only when it is nil."""
    if omits == "nil":
        return value is None
    return not isinstance(value, Struct) and not is_true(value)


def _object(entries: Iterable[tuple[bytes, Value]]) -> bytes:
    return b"{" + b",".join(_quoted(key) + b":" + marshal(value) for key, value in entries) + b"}"


def _array(items: list[Value]) -> bytes:
    return b"[" + b",".join(map(marshal, items)) + b"]"


def _quoted(text: bytes) -> bytes:
    decoded = text.decode(errors="surrogateescape")
    return b'"' + _ESCAPED.sub(_escape, decoded).encode() + b'"'


def _escape(match: re.Match[str]) -> str:
    sign = match.group()
    if sign >= _FIRST_BAD_BYTE:
        return "\\ufffd"
    return _SHORT.get(sign) or f"\\u{ord(sign):04x}"


def go_bytes(text: str) -> bytes:
    """Return a string as Go reads it from JSON: lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def as_any(value: Json, *, path: str, depth: int = 0) -> Value:
    """Convert a value of Python's ``json`` to Go's ``any``: numbers become floats.

    Raises:
        InvalidInput: It is not a JSON value, or nested deeper than :data:`MAX_JSON_DEPTH`.
    """
    if depth > MAX_JSON_DEPTH:
        raise InvalidInput(f"{path}: nested more than {MAX_JSON_DEPTH} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return go_bytes(value)
    if isinstance(value, int | float):
        return _as_float(value, path)
    if isinstance(value, dict):
        return {
            go_bytes(key): as_any(item, path=f"{path}.{key}", depth=depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_any(item, path=f"{path}[{at}]", depth=depth + 1) for at, item in enumerate(value)]
    raise InvalidInput(f"{path}: a Python {type(value).__name__} is not a JSON value")


def _as_float(value: float, path: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number - number != 0:
        raise InvalidInput(f"{path}: number out of range for float64")
    return number
