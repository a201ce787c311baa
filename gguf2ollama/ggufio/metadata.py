"""The metadata of a GGUF as a mapping that decodes a value when it is asked for."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gguf2ollama.ggufio.values import ByteOrder, GgufArray, Value, ValueType, decode_text

__all__ = ["Entry", "Metadata"]


class Entry(NamedTuple):
    """Where one key and its value stand in the header, in bytes from the start of the file."""

    type: ValueType
    start: int
    """Where the key's length stands."""
    value_start: int
    """Where the value's content begins; for strings and arrays, after length and element type."""
    end: int


class Metadata(Mapping[str, Value]):
    """Keys and values of a GGUF, in the order of the file.

    Numbers and bools come as such and arrays as :class:`GgufArray`. Strings are decoded as UTF-8 with
    ``surrogateescape``: bytes that are no UTF-8 survive, as
    ``value.encode("utf-8", "surrogateescape")`` gives them back.
    """

    __slots__ = ("_arrays", "_buffer", "_entries", "_order")

    def __init__(self, buffer: bytearray, entries: dict[str, Entry], order: ByteOrder) -> None:
        self._buffer = buffer
        self._entries = entries
        self._order = order
        self._arrays: dict[str, GgufArray] = {}

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
        """Give the type of a value; ``KeyError`` when the key is not there.

        What an array holds is its own ``element_type``.
        """
        return self._entries[key].type

    def raw(self, key: str) -> bytes:
        """Give key, type and value as they stand in the file, to be written again without decoding."""
        entry = self._entries[key]
        return bytes(self._buffer[entry.start : entry.end])

    def _array(self, key: str, entry: Entry) -> GgufArray:
        if key not in self._arrays:
            where = entry.value_start - ValueType.ARRAY.size
            code = "<IQ" if self._order == "little" else ">IQ"
            number, length = struct.unpack_from(code, self._buffer, where)
            kind = ValueType(number)
            self._arrays[key] = GgufArray(
                self._buffer, entry.value_start, entry.end, kind, length, self._order
            )
        return self._arrays[key]
