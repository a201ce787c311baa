"""Read a header: bounded reads in chunks, and errors with positions."""

from __future__ import annotations

import array as arrays
import re
import struct
from functools import cache
from itertools import repeat
from operator import length_hint
from typing import BinaryIO

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.ggufio.values import RUN, ByteOrder

__all__ = ["CHUNK_BYTES", "CONVERT", "CUT", "DAMAGED", "MAX_HEADER_BYTES", "Cursor", "printable"]

CHUNK_BYTES = 1 << 20
"""The bytes read at a time, and so the most that is read beyond the end of a header."""

MAX_HEADER_BYTES = 128 << 20
"""The limit of a header; that of a model with 262,144 tokens and half a million merges has 20 MB."""

CUT = "the file is incomplete: copy or download it again"
DAMAGED = "the file is corrupt, or its converter is broken: download it again or from another source"
CONVERT = "get a newer GGUF of the model, or convert it with a current llama.cpp"

_WORTH_A_PATTERN = 1 << 15  # strings; with fewer, compiling it takes longer than the walk


@cache
def _short_strings(order: ByteOrder) -> re.Pattern[bytes]:
    """Compile a pattern for a run of strings of 1 to 63 bytes, each after its length.

    The usual lengths of tokens and merges come first among the alternatives. The run must be possessive, or
    it would remember each string to come back to it.
    """
    lengths = sorted(range(1, 64), key=lambda length: abs(length - 8))
    strings = (re.escape(length.to_bytes(8, order)) + b".{%d}" % length for length in lengths)
    return re.compile(b"(?s:" + b"|".join(strings) + b"){%d}+" % RUN)


class Cursor:
    """A position in a stream whose bytes are read in chunks as the position advances, and kept.

    Attributes:
        name: The name of the file for errors.
        size: Bytes of the whole file.
        position: The offset of the next value, in bytes from the start of the file.
        order: Byte order of the numbers.
        section: What is being read, for errors: ``"key"``, ``"tensor"`` or ``"header"``.
        label: Its name, or its index from 0 while the name is unknown.
        marks: Where each run of strings begins in the array that was skipped last, if it is a long one.
    """

    def __init__(self, stream: BinaryIO, *, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.position = 0
        self.section = "header"
        self.label: str | int | None = None
        self.marks: arrays.array[int] | None = None
        self._stream = stream
        self._buffer = bytearray()
        self.order: ByteOrder = "little"

    @property
    def order(self) -> ByteOrder:
        """Byte order of the numbers."""
        return self._order

    @order.setter
    def order(self, order: ByteOrder) -> None:
        mark = "<" if order == "little" else ">"
        self._order: ByteOrder = order
        self._uint32 = struct.Struct(f"{mark}I")
        self._uint64 = struct.Struct(f"{mark}Q")

    def take_header(self) -> bytearray:
        """Return all bytes up to the position, without those read beyond; it ends the reading."""
        del self._buffer[self.position :]
        return self._buffer

    def peek(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the file, without advancing."""
        self._fill(min(self.position + count, self.size))
        return bytes(self._buffer[self.position : self.position + count])

    def uint32(self) -> int:
        """Read an unsigned number of 4 bytes."""
        start = self.skip(4)
        number: int = self._uint32.unpack_from(self._buffer, start)[0]
        return number

    def uint64(self) -> int:
        """Read an unsigned number of 8 bytes."""
        start = self.skip(8)
        number: int = self._uint64.unpack_from(self._buffer, start)[0]
        return number

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Read numbers with a layout."""
        start = self.skip(layout.size)
        return layout.unpack_from(self._buffer, start)

    def raw(self, count: int) -> bytes:
        """Read a number of bytes."""
        start = self.skip(count)
        return bytes(self._buffer[start : start + count])

    def since(self, start: int) -> bytes:
        """Return the bytes from ``start`` up to the position."""
        return bytes(self._buffer[start : self.position])

    def name_text(self, what: str, limit: int) -> str:
        """Read a name: strict UTF-8, at most ``limit`` bytes, no NUL."""
        at = self.position
        length = self.uint64()
        if length > limit:
            raise self.error(f"{what} is {length:,} bytes long, the format allows {limit:,}", at=at)
        content = self.raw(length)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise self.error(
                f"{what} {printable(repr(content))} is not valid UTF-8 ({error.reason})", at=at
            ) from None
        if "\x00" in text:
            raise self.error(f"{what} {printable(repr(text))} contains a NUL byte", at=at)
        return text

    def skip(self, count: int) -> int:
        """Skip a number of bytes, which must exist; return their offset."""
        start = self.position
        end = start + count
        if end > len(self._buffer):
            self._fill(end)
        self.position = end
        return start

    def skip_strings(self, count: int) -> None:
        """Skip a number of strings: the hot loop of opening a GGUF, some 35 ns per string.

        A vocabulary with its merges has 300,000 strings, and hardly anything else in a header takes time.
        Runs of short strings are matched by one regular expression, 64 at a time (a third faster than
        reading each length); where it does not match, the lengths are read.
        """
        start = position = self.position
        marks = arrays.array("Q")
        pattern = _short_strings(self._order) if count >= _WORTH_A_PATTERN else None
        step = RUN if pattern else count
        while count:
            marks.append(position)
            run = pattern.match(self._buffer, position) if pattern and count >= RUN else None
            position = run.end() if run else self._walk_strings(start, position, min(count, step))
            count -= min(count, step)
        if position > self.size:
            raise self._string_beyond_end(start)
        self._fill(position)
        self.position = position
        self.marks = marks if pattern else None

    def _walk_strings(self, start: int, position: int, count: int) -> int:
        """Return the end of the last of ``count`` strings that begin at ``position``; some may be unread.

        ``start`` is the offset of their array, for errors.
        """
        unpack = self._uint64.unpack_from
        remaining = repeat(None, count)
        while True:
            try:
                for _ in remaining:
                    (length,) = unpack(self._buffer, position)
                    position += length + 8
            except (struct.error, OverflowError):
                # this length extends beyond the bytes read so far: read more, and try the same string again
                if position + 8 > self.size:
                    raise self._string_beyond_end(start) from None
                self._fill(position + 8)
                remaining = repeat(None, length_hint(remaining) + 1)
            else:
                return position

    def error(self, problem: str, *, at: int | None = None, hint: str | None = None) -> InvalidGguf:
        """Return an error with a problem of the current subject and its position."""
        where = self.position if at is None else at
        subject = self.section
        if isinstance(self.label, int):
            subject += f" {self.label + 1:,}"
        elif self.label is not None:
            subject += f" {printable(repr(self.label))}"
        return InvalidGguf(f"{self.name}: {subject} (at byte {where:,}): {problem}", hint=hint)

    def _fill(self, end: int) -> None:
        """Read until all bytes up to ``end`` are in the buffer."""
        if end > self.size:
            raise self.error(f"it extends {end - self.size:,} bytes beyond the end of the file", hint=CUT)
        if end > MAX_HEADER_BYTES:
            raise self.error(f"the header exceeds the limit of {MAX_HEADER_BYTES:,} bytes")
        while len(self._buffer) < end:
            chunk = self._stream.read(min(CHUNK_BYTES, self.size - len(self._buffer)))
            if not chunk:
                raise self.error(f"unexpected end of file at byte {len(self._buffer):,}", hint=CUT)
            self._buffer += chunk

    def _string_beyond_end(self, start: int) -> InvalidGguf:
        """Return the error of the string in an array that extends beyond the end of the file."""
        number, position = 0, start
        while True:
            self._fill(position + 8)
            (length,) = self._uint64.unpack_from(self._buffer, position)
            if position + 8 + length > self.size:
                break
            number, position = number + 1, position + 8 + length
        return self.error(
            f"its element {number:,} is a string of {length:,} bytes that extends beyond the end of the file",
            at=position,
            hint=CUT,
        )


def printable(text: str, limit: int = 80) -> str:
    """Shorten text from a hostile file, so that an error stays one sentence."""
    return text if len(text) <= limit else f"{text[:limit]}…"
