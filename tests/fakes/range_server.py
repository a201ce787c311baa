"""A server of one file on a real socket, with the faults that servers and the ways to them have."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.fakes.serving import LoopbackHandler, LoopbackServer

__all__ = ["RangeServer", "Reply", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked.

    Attributes:
        path: With the query.
        headers: By their names in lower case.
    """

    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> tuple[int, int] | None:
        """The first byte and the one behind the last."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) + 1 if match[2] else sys.maxsize) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered; ``sent`` is how many bytes of the body really come before the connection ends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int | None = None


class RangeServer:
    """Serves ``content`` at every path, as a good server does; ``change`` may make any answer another one.

    Attributes:
        content: The file.
        tag: Its ETag; none, if empty.
        requests: What was asked so far.
        change: Gets a request and the right answer; gives the answer, or ``None`` to hang up without one.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.tag = '"one"'
        self.requests: list[Request] = []
        self.change: Callable[[Request, Reply], Reply | None] = lambda _request, reply: reply
        self._server = _Server(self)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._server.server_close()

    def url(self, path: str = "/model.gguf", *, host: str = "127.0.0.1") -> str:
        """Return an address of the file."""
        return f"http://{host}:{self._server.server_port}{path}"

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        return self.change(request, self.right_answer(request))

    def right_answer(self, request: Request) -> Reply:
        """Return what RFC 9110 asks for."""
        size = len(self.content)
        headers = {"Accept-Ranges": "bytes"} | ({"ETag": self.tag} if self.tag else {})
        wanted = request.range
        if wanted is None or request.headers.get("if-range", self.tag) != self.tag:
            return Reply(headers=headers, body=self.content)
        start, end = wanted[0], min(wanted[1], size)
        if start >= end:
            return Reply(status=416, headers=headers | {"Content-Range": f"bytes */{size}"})
        place = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
        return Reply(status=206, headers=headers | place, body=self.content[start:end])


class _Server(LoopbackServer):
    def __init__(self, owner: RangeServer) -> None:
        self.owner = owner
        super().__init__(_Handler)


class _Handler(LoopbackHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - found by that name
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.answer(Request(path=self.path, headers=headers))
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body[: reply.sent])
        self.close_connection = self.close_connection or reply.sent is not None
