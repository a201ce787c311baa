"""Values of metadata: their types, and arrays that are decoded only where they are looked at."""

from __future__ import annotations

import array as arrays
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias, overload

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ByteOrder", "GgufArray", "Value", "ValueType", "decode_text"]

ByteOrder: TypeAlias = Literal["little", "big"]
Value: TypeAlias = "int | float | bool | str | GgufArray"


class ValueType(IntEnum):
    """The type of a metadata value, by its number in the file (``enum gguf_type`` in gguf.h).

    Attributes:
        code: Code of :mod:`struct` for a value of fixed size; empty for strings and arrays.
        size: Bytes of a value; of a string, of its length; of an array, of element type and length.
    """

    code: str
    size: int

    def __new__(cls, number: int, code: str = "", size: int = 0) -> Self:
        """Make a member; the defaults are for type checkers, which take ``ValueType(8)`` for a call."""
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
    """An array of a GGUF's metadata, over the bytes of the header; nothing is decoded before it is used.

    Elements are numbers, bools, strings, or arrays of their own. A slice gives a tuple.
    Access by index to an array of strings or arrays walks over it, once, up to that element; iteration never
    needs that.
    """

    __slots__ = ("_buffer", "_end", "_length", "_order", "_start", "_starts", "_type")

    def __init__(
        self,
        buffer: bytearray,
        *,
        start: int,
        end: int,
        element_type: ValueType,
        length: int,
        order: ByteOrder,
    ) -> None:
        self._buffer = buffer
        self._start = start
        self._end = end
        self._type = element_type
        self._length = length
        self._order = order
        self._starts: arrays.array[int] | None = None

    @property
    def element_type(self) -> ValueType:
        """The type of every element."""
        return self._type

    @property
    def raw(self) -> bytes:
        """The elements as they stand in the file, without the array's own type and length."""
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

    def _at(self, number: int) -> Value:
        if self._type.code:
            where = self._start + number * self._type.size
            value: Value = struct.unpack_from(_mark(self._order) + self._type.code, self._buffer, where)[0]
            return value
        if self._starts is None:
            self._starts = arrays.array("L", (self._start,))
        if number >= len(self._starts):
            self._starts.extend(self._walk(self._starts[-1], number + 1 - len(self._starts)))
        return self._variable(self._starts[number])[0]

    def _walk(self, position: int, count: int) -> Iterator[int]:
        """Return where the next elements begin after the one at a position."""
        if self._type is ValueType.STRING:
            # a vocabulary: some 100 ns a string
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
        """Decode the string or array at a position; give also where the next element begins."""
        if self._type is ValueType.STRING:
            return read_text(self._buffer, position, self._order)
        return read_array(self._buffer, position, self._order)


def read_text(buffer: bytearray, position: int, order: ByteOrder) -> tuple[str, int]:
    """Decode the string whose length stands at ``position``; give also where it ends."""
    (length,) = struct.unpack_from(_mark(order) + "Q", buffer, position)
    start = position + ValueType.STRING.size
    return decode_text(buffer[start : start + length]), start + length


def read_array(buffer: bytearray, position: int, order: ByteOrder) -> tuple[GgufArray, int]:
    """Make the array whose type and length stand at ``position``; give also where it ends.

    The bytes have been validated before; only arrays of arrays are walked over, to find the end.
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
    """Decode UTF-8; bytes that are none become lone surrogates, so that encoding gives them back."""
    return raw.decode("utf-8", "surrogateescape")


def _mark(order: ByteOrder) -> str:
    return "<" if order == "little" else ">"
