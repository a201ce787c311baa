"""The metadata of a GGUF: validated when read, decoded on access."""

from __future__ import annotations

import array as arrays
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gguf2ollama.ggufio.cursor import DAMAGED, Cursor
from gguf2ollama.ggufio.values import ByteOrder, GgufArray, Value, ValueType, decode_text

__all__ = ["LEAST_KEY_BYTES", "MAX_KEYS", "Entry", "Metadata", "read_entries"]

MAX_KEYS = 1 << 16
MAX_KEY_BYTES = (1 << 16) - 1  # of the specification
MAX_STRING_BYTES = 16 << 20  # of Ollama's reader
MAX_ARRAY_ELEMENTS = 64 << 20  # of Ollama's reader
MAX_ARRAY_DEPTH = 4
LEAST_KEY_BYTES = 8 + 1 + 4 + 1  # the minimum bytes of a key with its value

_VALUE_TYPES = {int(kind): kind for kind in ValueType}


class Entry(NamedTuple):
    """The position of a key and its value in the header, in bytes from the start of the file."""

    type: ValueType
    start: int
    """The offset of the key's length."""
    value_start: int
    """The offset of the value's content; for strings and arrays, after length and element type."""
    end: int
    marks: arrays.array[int] | None = None
    """For a long array of strings, where each run begins."""


class Metadata(Mapping[str, Value]):
    """Keys and values of a GGUF, in the order of the file.

    Numbers and bools are returned as such and arrays as :class:`GgufArray`. Strings are decoded as UTF-8 with
    ``surrogateescape``: invalid bytes survive, and
    ``value.encode("utf-8", "surrogateescape")`` returns them.
    """

    __slots__ = ("_arrays", "_buffer", "_digest", "_entries", "_order")

    def __init__(self, buffer: bytearray, entries: dict[str, Entry], order: ByteOrder) -> None:
        self._buffer = buffer
        self._entries = entries
        self._order = order
        self._arrays: dict[str, GgufArray] = {}
        self._digest = ""

    def __getitem__(self, key: str) -> Value:
        entry = self._entries[key]
        if entry.type is ValueType.ARRAY:
            return self._array(key, entry)
        if entry.type is ValueType.STRING:
            return decode_text(self._buffer[entry.value_start : entry.end])
        code = ("<" if self._order == "little" else ">") + entry.type.code
        value: Value = struct.unpack_from(code, self._buffer, entry.value_start)[0]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Metadata of {len(self)} keys>"

    def type_of(self, key: str) -> ValueType:
        """Return the type of a value; ``KeyError`` if the key does not exist.

        The type of an array's elements is its ``element_type``.
        """
        return self._entries[key].type

    def raw(self, key: str) -> bytes:
        """Return the bytes of key, type and value, to write them again without decoding."""
        entry = self._entries[key]
        return bytes(memoryview(self._buffer)[entry.start : entry.end])

    def digest(self) -> str:
        """Return the sha256 of the header, 64 hexadecimal digits: the same metadata have the same."""
        import hashlib  # noqa: PLC0415 - slow to import, and most headers are only read

        self._digest = self._digest or hashlib.sha256(self._buffer).hexdigest()
        return self._digest

    def _array(self, key: str, entry: Entry) -> GgufArray:
        if key not in self._arrays:
            where = entry.value_start - ValueType.ARRAY.size
            code = "<IQ" if self._order == "little" else ">IQ"
            number, length = struct.unpack_from(code, self._buffer, where)
            kind = ValueType(number)
            self._arrays[key] = GgufArray(
                self._buffer,
                start=entry.value_start,
                end=entry.end,
                element_type=kind,
                length=length,
                order=self._order,
                marks=entry.marks,
            )
        return self._arrays[key]


def read_entries(cursor: Cursor, count: int) -> dict[str, Entry]:
    """Validate and skip all keys and values; return their positions."""
    entries: dict[str, Entry] = {}
    cursor.section = "key"
    for number in range(count):
        start = cursor.position
        cursor.label = number
        key = cursor.name_text("its name", MAX_KEY_BYTES)
        if not key:
            raise cursor.error("its name is empty", at=start, hint=DAMAGED)
        cursor.label = key
        if key in entries:
            raise cursor.error("duplicate key", at=start, hint=DAMAGED)
        kind = _read_value_type(cursor)
        cursor.marks = None
        value_start = _skip_value(cursor, kind)
        entries[key] = Entry(kind, start, value_start, cursor.position, cursor.marks)
    cursor.section, cursor.label = "header", None
    return entries


def _read_value_type(cursor: Cursor) -> ValueType:
    at = cursor.position
    number = cursor.uint32()
    if number not in _VALUE_TYPES:
        raise cursor.error(f"unknown value type {number}", at=at, hint=DAMAGED)
    return _VALUE_TYPES[number]


def _skip_value(cursor: Cursor, kind: ValueType) -> int:
    """Validate and skip a value; return the offset of its content."""
    if kind is ValueType.ARRAY:
        return _skip_array(cursor, depth=1)
    if kind is ValueType.STRING:
        at = cursor.position
        length = cursor.uint64()
        if length > MAX_STRING_BYTES and length <= cursor.size - cursor.position:
            raise cursor.error(
                f"a string of {length:,} bytes exceeds the limit of {MAX_STRING_BYTES:,}", at=at
            )
        return cursor.skip(length)
    start = cursor.skip(kind.size)
    if kind is ValueType.BOOL:
        _check_bools(cursor, start)
    return start


def _skip_array(cursor: Cursor, *, depth: int) -> int:
    """Validate and skip an array; return the offset of its elements."""
    at = cursor.position
    kind = _read_value_type(cursor)
    count = cursor.uint64()
    start = cursor.position
    left = cursor.size - start
    if count * kind.size > left:
        raise cursor.error(
            f"an array of {count:,} {kind.name} does not fit into the remaining {left:,} bytes of the file",
            at=at,
            hint=DAMAGED,
        )
    if count > MAX_ARRAY_ELEMENTS:
        raise cursor.error(f"an array of {count:,} exceeds the limit of {MAX_ARRAY_ELEMENTS:,}", at=at)
    if kind is ValueType.STRING:
        cursor.skip_strings(count)
    elif kind is ValueType.ARRAY:
        if depth == MAX_ARRAY_DEPTH:
            raise cursor.error(f"arrays are nested more than {MAX_ARRAY_DEPTH} deep", at=at)
        for _ in range(count):
            _skip_array(cursor, depth=depth + 1)
        cursor.marks = None
    else:
        cursor.skip(count * kind.size)
        if kind is ValueType.BOOL:
            _check_bools(cursor, start)
    return start


def _check_bools(cursor: Cursor, start: int) -> None:
    """Check the bytes from ``start`` to the position."""
    for wrong in cursor.since(start).translate(None, b"\x00\x01")[:1]:
        raise cursor.error(f"invalid bool {wrong}: expected 0 or 1", at=start, hint=DAMAGED)
