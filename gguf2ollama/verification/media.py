"""A picture and a sound, made in memory, to send to a model."""

from __future__ import annotations

import math
import struct
import zlib

__all__ = ["picture", "sound"]

_SIDE = 224  # pixels, as encoders of images have them
_RATE, _SECONDS, _HERTZ = 16_000, 1, 440
_LOUDNESS = 8_000


def picture() -> bytes:
    """Return a PNG of 224 x 224 pixels, in colours that change from left to right and from top to bottom."""
    rows = b"".join(
        b"\0" + b"".join(bytes((column, row, 128)) for column in range(_SIDE)) for row in range(_SIDE)
    )
    size = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)  # 8 bits each of red, green and blue
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def sound() -> bytes:
    """Return a WAV of one second: a tone of 440 Hz, mono, 16 bits at 16 kHz."""
    samples = (
        round(_LOUDNESS * math.sin(2 * math.pi * _HERTZ * number / _RATE))
        for number in range(_RATE * _SECONDS)
    )
    data = b"".join(struct.pack("<h", sample) for sample in samples)
    form = struct.pack("<HHIIHH", 1, 1, _RATE, 2 * _RATE, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
