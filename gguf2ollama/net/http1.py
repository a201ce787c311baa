"""Read HTTP/1.1 responses (RFC 9112): the heads and bodies that Ollama sends.

:mod:`http.client` does that for 10 ms of import, as it brings the parser of e-mails, and TLS. This reads the
same and is stricter: what is malformed is an error.
"""

from __future__ import annotations

import io

from gguf2ollama.net.transport import join_headers

__all__ = ["ResponseReader"]

_MAX_LINE_BYTES = 64 << 10
_MAX_HEADERS = 100
_CHUNK = 64 << 10
_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304
_BLANK = b" \t"


class ResponseReader:
    """A response: its head is read at once, its body in pieces.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case; those that come several times are joined by commas.

    Args:
        stream: What arrives.
        method: The method of the request.

    Raises:
        ConnectionError: The connection ended before the response did; reading the body raises that too.
        ValueError: It is not a valid response, as above.
    """

    def __init__(self, stream: io.BufferedReader, *, method: str) -> None:
        self._stream = stream
        version, self.status = self._read_status()
        self.headers = self._read_headers()
        while self.status < _OK:  # announces the response
            version, self.status = self._read_status()
            self.headers = self._read_headers()
        options = self.headers.get("connection", "").lower()
        self._ends = "close" in options if version == "1.1" else "keep-alive" not in options
        self._is_chunked = self._has_begun = False
        self._left: int | None = 0  # bytes of the body, or of a chunk of it; None until the connection ends
        if method != "HEAD" and self.status not in {_NO_CONTENT, _NOT_MODIFIED}:
            self._read_framing()
        self._is_over = self._left == 0 and not self._is_chunked

    @property
    def is_reusable(self) -> bool:
        """Whether the body was read to its end, and the connection may serve another request."""
        return self._is_over and not self._ends

    def read(self) -> bytes:
        """Return what has arrived of the body, waiting for some; empty at its end."""
        if self._is_over:
            return b""
        if self._is_chunked and self._left == 0 and not self._begin_chunk():
            self._is_over = True
            return b""
        found = self._stream.read1(_CHUNK if self._left is None else min(_CHUNK, self._left))
        if self._left is None:
            self._is_over = not found
            return found
        if not found:
            raise ConnectionResetError("the response ended before it was complete")
        self._left -= len(found)
        self._is_over = self._left == 0 and not self._is_chunked
        return found

    def _read_status(self) -> tuple[str, int]:
        line = self._read_line(is_first=True)
        protocol, _, rest = line.partition(b" ")
        status = rest.strip().partition(b" ")[0]
        name, _, version = protocol.partition(b"/")
        if name != b"HTTP" or version not in {b"1.0", b"1.1"}:
            raise ValueError(f"not an HTTP/1.1 response: it begins with {line[:40]!r}")
        if len(status) != 3 or not status.isdigit() or status < b"100":  # noqa: PLR2004 - as the standard has it
            raise ValueError(f"invalid HTTP status {status[:40]!r}")
        return version.decode(), int(status)

    def _read_headers(self) -> dict[str, str]:
        headers: list[tuple[str, str]] = []
        for _ in range(_MAX_HEADERS + 1):
            line = self._read_line()
            if not line:
                return join_headers(headers)
            name, colon, value = line.partition(b":")
            if line[:1] in {b" ", b"\t"} and headers:  # the value goes on, which is allowed no more
                before = headers.pop()
                headers.append((before[0], f"{before[1]} {_text(line)}".strip()))
            elif colon and name and name == name.strip(_BLANK):
                headers.append((_text(name), _text(value)))
            else:
                raise ValueError(f"invalid HTTP header {line[:40]!r}")
        raise ValueError(f"more than {_MAX_HEADERS} HTTP headers")

    def _read_framing(self) -> None:
        """Find out where the body ends."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked":
                raise ValueError(f"unsupported transfer encoding {coding[:40]!r}")
            self._is_chunked = True
        elif length is not None:
            lengths = {one.strip() for one in length.split(",")}  # the same may come twice
            digits = lengths.pop()
            if lengths or not (digits.isascii() and digits.isdigit()):
                raise ValueError(f"invalid Content-Length {length[:40]!r}")
            self._left = int(digits)
        else:
            self._left, self._ends = None, True

    def _begin_chunk(self) -> bool:
        """Read the end of a chunk and the size of the next; return whether there is one."""
        if self._has_begun and self._read_line():
            raise ValueError("a chunk of the response is longer than its size")
        self._has_begun = True
        digits = self._read_line().partition(b";")[0].strip(_BLANK)
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):
            raise ValueError(f"invalid size of a chunk {digits[:40]!r}")
        self._left = int(digits, 16)
        if self._left == 0:
            self._read_headers()  # trailers
        return self._left > 0

    def _read_line(self, *, is_first: bool = False) -> bytes:
        """Read a line; return it without its end."""
        line = self._stream.readline(_MAX_LINE_BYTES + 1)
        if len(line) > _MAX_LINE_BYTES:
            raise ValueError("a line of the response is too long")
        if not line.endswith(b"\n"):
            what = "without a response" if is_first and not line else "before the response was complete"
            raise ConnectionResetError(f"the connection was closed {what}")
        return line.removesuffix(b"\n").removesuffix(b"\r")


def _text(content: bytes) -> str:
    return content.strip(_BLANK).decode("latin-1")
