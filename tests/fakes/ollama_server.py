"""A fake Ollama on a real socket: quick, without weights, and able to fail in every way that a server can.

::

    with FakeOllama(version="0.34.4") as server:
        server.inject("POST /api/blobs/", Die(after_bytes=1000))
        Client(server.url).upload_blob(...)

It takes models in by the rules of its version, reads them back and "runs" them by giving a
fixed reply. The contract suite in ``tests/live`` runs the same tests against it and against real servers; of
0.40 there is no real one here, so what it does by those rules alone is held to nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from gguf2ollama.ollama import ServerFeatures, ServerVersion
from tests.fakes.ollama_routes import Line, answer_to, merged
from tests.fakes.ollama_store import FakeStore, Refusal
from tests.fakes.ollama_store_v2 import FakeStoreV2
from tests.fakes.serving import LoopbackHandler, LoopbackServer

if TYPE_CHECKING:
    from typing import Self

_CHUNK = 64 << 10
_TICK = 0.01


@dataclass(frozen=True)
class Answer:
    """Answer with this and nothing else."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Die:
    """Take this many bytes of the body, then drop the connection without an answer."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Choke:
    """Take this many bytes of the body, then read no more and answer nothing."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Stall:
    """Send this many lines of the answer (``None``: not even its head), then nothing any more."""

    after_lines: int | None = None


@dataclass(frozen=True)
class Pause:
    """Be silent before the answer until such a request (``METHOD /path``) came, and live all the while."""

    until: str


@dataclass(frozen=True)
class Cut:
    """Send this many lines, then end: with an error line, or else properly, or else in the middle."""

    after_lines: int = 0
    error: str = ""
    is_proper: bool = False


Fault: TypeAlias = Answer | Die | Choke | Stall | Pause | Cut


@dataclass(frozen=True)
class Seen:
    """A request that arrived; ``content`` is its JSON, or the number of bytes of a blob."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: Any

    @property
    def endpoint(self) -> str:
        return f"{self.method} {urlsplit(self.target).path}"


class FakeOllama:
    """A fake server; a context manager that leaves no thread and no socket behind.

    Args:
        version: What it says it is; its features follow from that.
        path: A prefix of all its endpoints, as behind a reverse proxy.
        certificate: A PEM file with certificate and key, to speak TLS.
        disk_bytes: How many bytes of blobs there is room for.

    Attributes:
        store: Its blobs and models.
        seen: The requests that arrived, in order.
        reply: The pieces of the message that every chat gets.
        altered: Fields that ``show`` gives instead of the true ones.
        is_deaf: While it is true, connections are taken and nothing is answered.
    """

    def __init__(
        self,
        *,
        version: str = "0.34.4",
        path: str = "",
        certificate: Path | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        self.path = path
        has_v2 = ServerFeatures.of(ServerVersion.reported(version)).manifests_v2
        self.store = (FakeStoreV2 if has_v2 else FakeStore)(version, disk_bytes=disk_bytes)
        self.seen: list[Seen] = []
        self.reply: list[dict[str, object]] = [{"content": "Hello"}, {"content": " there"}, {"content": "!"}]
        self.altered: dict[str, object] = {}
        self.is_deaf = False
        self.closing = threading.Event()
        self._faults: list[tuple[str, Fault]] = []
        self._lock = threading.Lock()
        self._scheme = "https" if certificate else "http"
        self._server = _Server(self, certificate=certificate)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, as OLLAMA_HOST takes it."""
        return f"{self._scheme}://127.0.0.1:{self.port}{self.path}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._server.mishaps:
            raise AssertionError("the fake server itself failed") from self._server.mishaps[0]

    def stop(self) -> None:
        """Drop all connections and take no new ones."""
        self.closing.set()
        self._server.stop()
        self._server.drop_connections()
        self._server.server_close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._server.connections)

    def wait_until_left(self) -> None:
        """Wait until every client has closed its connections."""
        for _ in range(500):
            if not self.connections:
                return
            self.closing.wait(_TICK)
        raise AssertionError(f"{self.connections} connections are still open")

    def inject(self, endpoint: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next requests whose ``METHOD /path`` begins so fail in that way."""
        with self._lock:
            self._faults += [(endpoint, fault)] * times

    def take_fault(self, endpoint: str) -> Fault | None:
        """Return the fault that is due, once."""
        with self._lock:
            for index, (start, fault) in enumerate(self._faults):
                if endpoint.startswith(start):
                    del self._faults[index]
                    return fault
        return None

    def endpoints(self) -> list[str]:
        """Return ``METHOD /path`` of the requests that arrived, in order."""
        return [seen.endpoint for seen in self.seen]


class _Server(LoopbackServer):
    daemon_threads = False

    def __init__(self, fake: FakeOllama, *, certificate: Path | None) -> None:
        self.fake = fake
        self.connections: set[socket.socket] = set()
        self.mishaps: list[BaseException] = []
        super().__init__(_Handler, certificate=certificate)

    def handle_error(self, *_: object) -> None:
        """Keep what went wrong here; that a client left is no mishap."""
        problem = sys.exc_info()[1]
        if problem is not None and not isinstance(problem, OSError):
            self.mishaps.append(problem)

    def drop_connections(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Left(ConnectionError):
    """The client has left, or the server is told to."""


class _Handler(LoopbackHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.fake = self.server.fake
        self.server.connections.add(self.connection)
        if self.fake.closing.is_set():
            self.server.drop_connections()

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def __getattr__(self, name: str) -> Any:
        """Serve every method (``do_GET`` and so on) in one way."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        path = urlsplit(self.path).path.removeprefix(self.fake.path)
        endpoint = f"{self.command} {path}"
        fault = self.fake.take_fault(endpoint)
        if isinstance(fault, Die | Choke):
            self._read_body(limit=fault.after_bytes)
            if isinstance(fault, Choke):
                self._be_silent()
            self._drop()
            return
        body = self._read_body()
        is_blob = path.startswith("/api/blobs/")
        try:
            content = len(body) if is_blob else json.loads(body or b"{}")
        except ValueError:
            content = body
        seen_before = len(self.fake.seen)
        self.fake.seen.append(Seen(self.command, self.path, dict(self.headers), content))
        if self.fake.is_deaf or (isinstance(fault, Stall) and fault.after_lines is None):
            self._be_silent()
        if isinstance(fault, Pause):
            self._be_silent(lambda: fault.until in self.fake.endpoints()[seen_before:])
        if isinstance(fault, Answer):
            self._send(fault.status, fault.body.encode(), fault.content_type, fault.headers)
            return
        try:
            self._answer(endpoint, body if is_blob else content, fault)
        except Refusal as refusal:
            self._send_json(refusal.status, {"error": refusal.text})

    def _answer(self, endpoint: str, content: Any, fault: Fault | None) -> None:
        """Find what answers, and send what it gives: lines, one object, or only a status."""
        answer = answer_to(self.fake.store, self.fake.reply, endpoint, content)
        if answer is None:
            self._send(404, b"404 page not found")
        elif isinstance(answer, int):
            self._send(answer, b"")
        elif isinstance(answer, Mapping):
            altered = self.fake.altered if endpoint == "POST /api/show" else {}
            self._send_json(200, {**answer, **altered})
        elif content.get("stream", True):
            self._send_lines(answer, fault)
        else:
            self._send_json(200, merged(list(answer)))

    def _send_lines(self, lines: Iterator[Line], fault: Fault | None) -> None:
        first = next(lines)  # a refusal before the first line is an answer with a status
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for sent, line in enumerate(itertools.chain([first], lines)):
                if isinstance(fault, Cut | Stall) and sent == fault.after_lines:
                    self._break_off(fault)
                    return
                self._send_line(line)
        except Refusal as refusal:
            self._send_line({"error": refusal.text})
        self._end_lines()

    def _break_off(self, fault: Cut | Stall) -> None:
        if isinstance(fault, Stall):
            self._be_silent()
        elif fault.error:
            self._send_line({"error": fault.error})
            self._end_lines()
        elif fault.is_proper:
            self._end_lines()
        else:
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _end_lines(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _send_line(self, line: Line) -> None:
        encoded = json.dumps(line).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(encoded), encoded))

    def _send_json(self, status: int, content: Line) -> None:
        self._send(status, json.dumps(content).encode(), "application/json; charset=utf-8")

    def _send(
        self, status: int, body: bytes, kind: str = "text/plain", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_whole(status, {"Content-Type": kind, **(headers or {})}, body)

    def _read_body(self, *, limit: int | None = None) -> bytes:
        left = int(self.headers.get("Content-Length", 0))
        left = left if limit is None else min(left, limit)
        body = bytearray()
        while left:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                raise _Left
            body += piece
            left -= len(piece)
        return bytes(body)

    def _be_silent(self, is_over: Callable[[], bool] = bool) -> None:
        """Wait until it is over, unless the client leaves or the server is told to stop."""
        while not is_over():
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise _Left
            if self.fake.closing.wait(_TICK):
                raise _Left
