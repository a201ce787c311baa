"""Ranges of a file over HTTP (RFC 9110, section 14): the one place that requests and checks them."""

from __future__ import annotations

from collections.abc import Mapping

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = ["ByteRange", "check_content_range", "content_length"]

_CONTENT_RANGE = lazy_pattern(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")
_LENGTH = lazy_pattern(r"[0-9]{1,18}")
_PARTIAL, _NO_SUCH_RANGE = 206, 416


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes of a file.

    Attributes:
        start: The first.
        end: The one behind the last; ``None``: to the end of the file.
    """

    start: int
    end: int | None = None

    @property
    def header(self) -> str:
        """The value of ``Range``."""
        return f"bytes={self.start}-{'' if self.end is None else self.end - 1}"


def check_content_range(
    status: int, headers: Mapping[str, str], *, wanted: ByteRange, size: int | None = None
) -> tuple[ByteRange | None, int]:
    """Check that a 206 or 416 matches the range that was requested.

    Args:
        status: 206 or 416.
        headers: Of the answer, their names in lower case.
        wanted: The requested range.
        size: The bytes of the whole file where they are known.

    Returns:
        The range in the response, which may be shorter than requested (``None`` for a 416), and the size of
        the whole file.

    Raises:
        ValueError: It is another range, or of a file of another size; the message is for the user.
    """
    text = headers.get("content-range", "")
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None or (match[1] is None) is not (status == _NO_SUCH_RANGE):
        raise ValueError(f"invalid Content-Range {text[:80]!r}")
    total = int(match[3])
    if size is not None and total != size:
        raise ValueError(f"the file has {total:,} bytes, expected {size:,}")
    if match[1] is None:
        if wanted.start < total:
            raise ValueError(f"the server has no bytes at {wanted.start:,} of {total:,}")
        return None, total
    first, end = int(match[1]), int(match[2]) + 1
    most = total if wanted.end is None else min(wanted.end, total)
    if first != wanted.start or not first < end <= most:
        raise ValueError(f"the server sent {text[:80]!r} where {wanted.header!r} was requested")
    length = content_length(headers)
    if length is not None and length != end - first:
        raise ValueError(f"the server sent {length:,} bytes where {end - first:,} were announced")
    return ByteRange(start=first, end=end), total


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the bytes that an answer announces; ``None`` where it does not, or not as a number."""
    text = headers.get("content-length", "")
    return int(text) if _LENGTH.fullmatch(text) else None
