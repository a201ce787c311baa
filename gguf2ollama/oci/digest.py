"""The sha256 digest that names a blob."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput

__all__ = ["Digest", "hash_stream"]

_HEX = lazy_pattern(r"[0-9a-f]{64}\Z")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256 digest; ``hex`` is its 64 lower-case hexadecimal digits."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise InvalidInput(
                f"{self.hex[:80]!r} is not a sha256 digest", hint="use 64 lower-case hexadecimal digits"
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parse ``sha256:<hex>``, or ``sha256-<hex>`` as in file names.

        Raises:
            InvalidInput: It is neither.
        """
        algorithm, separator, digits = text[:7], text[6:7], text[7:]
        if algorithm[:6] != "sha256" or separator not in {":", "-"}:
            raise InvalidInput(f"{text[:80]!r} is not a sha256 digest", hint="use sha256:<64 hex digits>")
        return cls(digits)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Return the digest of some bytes."""
        return cls(hashlib.sha256(content).hexdigest())

    @property
    def blob_name(self) -> str:
        """The file name of the blob in a store: ``sha256-<hex>``."""
        return f"sha256-{self.hex}"

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


def hash_stream(stream: BinaryIO, *, advance: Callable[[int], None]) -> tuple[Digest, int]:
    """Read a stream to its end; return its digest and its length in bytes.

    ``advance`` is called with the number of bytes of each chunk as it is hashed.
    """
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    length = 0
    readinto = getattr(stream, "readinto", None)
    while True:
        if readinto is not None:
            count = readinto(buffer)
            piece: memoryview | bytes = buffer[:count]
        else:
            piece = stream.read(_CHUNK)
            count = len(piece)
        if not count:
            return Digest(state.hexdigest()), length
        state.update(piece)
        length += count
        advance(count)
