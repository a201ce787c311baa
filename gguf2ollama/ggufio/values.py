"""Metadata values: their types, and arrays that are decoded on access."""

from __future__ import annotations

import array as arrays
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias, overload

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ByteOrder", "GgufArray", "Value", "ValueType", "decode_text"]

ByteOrder: TypeAlias = Literal["little", "big"]
Value: TypeAlias = "int | float | bool | str | GgufArray"

RUN = 64
"""After how many strings their place is marked: access by index walks over fewer than that."""


class ValueType(IntEnum):
    """The type of a metadata value, by its number in the file (``enum gguf_type`` in gguf.h).

    Attributes:
        code: The :mod:`struct` format of a value of fixed size; empty for strings and arrays.
        size: The bytes of a value; for a string, of its length; for an array, of element type and length.
    """

    code: str
    size: int

    def __new__(cls, number: int, code: str = "", size: int = 0) -> Self:
        """Create a member; the defaults are for type checkers, which consider ``ValueType(8)`` a call."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.code = code
        member.size = size
        return member

    UINT8 = 0, "B", 1
    INT8 = 1, "b", 1
    UINT16 = 2, "H", 2
    INT16 = 3, "h", 2
    UINT32 = 4, "I", 4
    INT32 = 5, "i", 4
    FLOAT32 = 6, "f", 4
    BOOL = 7, "?", 1
    STRING = 8, "", 8
    ARRAY = 9, "", 12
    UINT64 = 10, "Q", 8
    INT64 = 11, "q", 8
    FLOAT64 = 12, "d", 8


class GgufArray(Sequence["Value"]):
    """An array in a GGUF's metadata, as a view of the header; elements are decoded on access.

    Elements are numbers, bools, strings, or arrays. A slice returns a tuple.
    Access by index to an array of strings or arrays walks over it, once, up to that element, if reading the
    header has not left marks; iteration never needs that. Whether a text is in an array is searched in the
    bytes, since to decode all tokens of a vocabulary takes a hundred times as long.

    Args:
        buffer: The header.
        start, end: Where the elements stand in it.
        element_type: The type of every element.
        length: How many there are.
        order: Byte order of the numbers.
        marks: Where each 64th element begins, from the first on, as far as that is known.
    """

    __slots__ = ("_buffer", "_end", "_length", "_marks", "_order", "_start", "_type")

    def __init__(
        self,
        buffer: bytearray,
        *,
        start: int,
        end: int,
        element_type: ValueType,
        length: int,
        order: ByteOrder,
        marks: arrays.array[int] | None = None,
    ) -> None:
        self._buffer = buffer
        self._start = start
        self._end = end
        self._type = element_type
        self._length = length
        self._order = order
        self._marks = arrays.array("Q", (start,)) if marks is None else marks

    @property
    def element_type(self) -> ValueType:
        """The type of every element."""
        return self._type

    def find_duplicate(self) -> tuple[str, int, int] | None:
        """Return a text that an array of strings holds twice, with both indices; ``None`` if all differ.

        Empty texts do not count: llama.cpp gives each of them a name of its own.
        """
        raw, position = self.raw, 0
        length = struct.Struct(_mark(self._order) + "Q").unpack_from
        seen: set[bytes] = set()
        for index in range(self._length):
            end = position + 8 + length(raw, position)[0]
            text = raw[position + 8 : end]
            position = end
            if text in seen:
                shown = decode_text(bytearray(text))
                return shown, next(number for number, other in enumerate(self) if other == shown), index
            if text:
                seen.add(text)
        return None

    @property
    def raw(self) -> bytes:
        """The bytes of the elements, without the array's type and length."""
        return bytes(memoryview(self._buffer)[self._start : self._end])

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<GgufArray of {self._length:,} {self._type.name}>"

    @overload
    def __getitem__(self, index: int) -> Value: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Value, ...]: ...

    def __getitem__(self, index: int | slice) -> Value | tuple[Value, ...]:
        if isinstance(index, slice):
            chosen = range(self._length)[index]
            if chosen == range(self._length):
                return tuple(self)
            return tuple(self._at(number) for number in chosen)
        number = index + self._length if index < 0 else index
        if not 0 <= number < self._length:
            raise IndexError(f"index {index} is outside of {self!r}")
        return self._at(number)

    def __iter__(self) -> Iterator[Value]:
        if self._type.code:
            view = memoryview(self._buffer)[self._start : self._end]
            for (value,) in struct.iter_unpack(_mark(self._order) + self._type.code, view):
                yield value
            return
        position = self._start
        for _ in range(self._length):
            value, position = self._variable(position)
            yield value

    def __contains__(self, value: object) -> bool:
        if self._type is not ValueType.STRING or not isinstance(value, str):
            return super().__contains__(value)
        try:
            raw = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # a surrogate that stands for no byte
            return False
        if decode_text(bytearray(raw)) != value:  # its surrogates stand for what is UTF-8
            return False
        sought = struct.pack(f"{_mark(self._order)}Q", len(raw)) + raw
        position = self._buffer.find(sought, self._start, self._end)
        while position >= 0 and not self._is_start(position):
            position = self._buffer.find(sought, position + 1, self._end)
        return position >= 0

    def _at(self, number: int) -> Value:
        if self._type.code:
            where = self._start + number * self._type.size
            value: Value = struct.unpack_from(_mark(self._order) + self._type.code, self._buffer, where)[0]
            return value
        run, further = divmod(number, RUN)
        while run >= len(self._marks):
            self._mark_next()
        start = self._marks[run]
        return self._variable((start, *self._walk(start, further))[-1])[0]

    def _mark_next(self) -> None:
        """Mark where the run after the last one marked begins."""
        *_, position = self._walk(self._marks[-1], RUN)
        self._marks.append(position)

    def _is_start(self, position: int) -> bool:
        """Return whether an element begins at a position."""
        while self._marks[-1] < position and len(self._marks) * RUN < self._length:
            self._mark_next()
        run = bisect_right(self._marks, position) - 1
        start = self._marks[run]
        return start == position or position in self._walk(start, min(RUN, self._length - run * RUN) - 1)

    def _walk(self, position: int, count: int) -> Iterator[int]:
        """Yield the offsets of the elements after the one at a position."""
        if self._type is ValueType.STRING:
            # a vocabulary: some 100 ns per string
            buffer, prefix = self._buffer, ValueType.STRING.size
            unpack = struct.Struct(_mark(self._order) + "Q").unpack_from
            for _ in range(count):
                position += prefix + unpack(buffer, position)[0]
                yield position
            return
        for _ in range(count):
            position = self._variable(position)[1]
            yield position

    def _variable(self, position: int) -> tuple[Value, int]:
        """Decode the string or array at a position; return it with the offset of the next element."""
        if self._type is ValueType.STRING:
            return read_text(self._buffer, position, self._order)
        return read_array(self._buffer, position, self._order)


def read_text(buffer: bytearray, position: int, order: ByteOrder) -> tuple[str, int]:
    """Decode the string whose length is at ``position``; return it with the offset of its end."""
    (length,) = struct.unpack_from(_mark(order) + "Q", buffer, position)
    start = position + ValueType.STRING.size
    return decode_text(buffer[start : start + length]), start + length


def read_array(buffer: bytearray, position: int, order: ByteOrder) -> tuple[GgufArray, int]:
    """Return the array whose type and length are at ``position``, with the offset of its end.

    The bytes are valid already; only arrays of arrays are scanned, to find the end.
    """
    number, length = struct.unpack_from(_mark(order) + "IQ", buffer, position)
    kind = ValueType(number)
    start = position + ValueType.ARRAY.size
    end = start
    if kind.code:
        end += length * kind.size
    else:
        for _ in range(length):
            if kind is ValueType.STRING:
                (size,) = struct.unpack_from(_mark(order) + "Q", buffer, end)
                end += ValueType.STRING.size + size
            else:
                end = read_array(buffer, end, order)[1]
    array = GgufArray(buffer, start=start, end=end, element_type=kind, length=length, order=order)
    return array, end


def decode_text(raw: bytearray) -> str:
    """Decode UTF-8; invalid bytes become lone surrogates, so that encoding restores them."""
    return raw.decode("utf-8", "surrogateescape")


def _mark(order: ByteOrder) -> str:
    return "<" if order == "little" else ">"
