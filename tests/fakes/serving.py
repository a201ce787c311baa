"""What all fakes that speak HTTP have in common: a listener in a thread, and the heads of requests.

Thousands of requests are answered in a run of the tests. So nothing polls, the name of 127.0.0.1 is not
looked up, and heads are not read by the parser of mails that ``http.server`` uses for them.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Headers", "LoopbackHandler", "LoopbackServer"]


class LoopbackServer(ThreadingHTTPServer):
    """Takes connections on a free port of 127.0.0.1 from ``start`` to ``stop``.

    Args:
        handler: Answers the requests of one connection.
        certificate: A PEM file with certificate and key, to speak TLS.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[LoopbackHandler], *, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self._take_connections)
        self._is_stopped = False

    def server_bind(self) -> None:
        """Bind, and ask nobody what 127.0.0.1 is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def start(self) -> None:
        """Take connections, each in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no new connection; those that are open are left alone."""
        self._is_stopped = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()

    def _take_connections(self) -> None:
        while not self._is_stopped:
            self._handle_request_noblock()  # blocks: its socket does

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


class Headers(Mapping[str, str]):
    """The headers of a request; names are found in any case."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, str]] = {}

    def add(self, name: str, value: str) -> None:
        """Take one more; the last of a name counts."""
        self._found[name.lower()] = name, value

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._found.values())

    def __len__(self) -> int:
        return len(self._found)


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads requests; a class of its own for each fake answers them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    headers: Headers  # type: ignore[assignment]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        """Read the head of a request."""
        self.requestline = self.raw_requestline.decode("latin-1").rstrip("\r\n")
        self.command, self.path, self.request_version = self.requestline.split(" ")
        self.headers = Headers()
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                return False  # the client went away
            name, _, value = line.decode("latin-1").partition(":")
            self.headers.add(name, value.strip())
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        return self.headers.get("Expect") != "100-continue" or self.handle_expect_100()

    def send_whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send an answer at once; its length and the date are added, and to HEAD the body is not sent."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        always = {"Date": self.date_time_string(), "Content-Length": str(len(body))}
        lines += [f"{name}: {value}" for name, value in {**always, **headers}.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head if self.command == "HEAD" else head + body)
