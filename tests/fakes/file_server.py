"""A site of the tests that keeps files, on two loopback sockets: itself and, under another name, its store.

What a site of that kind says is told by its handler: :class:`tests.fakes.hub_server.FakeHub`,
:class:`tests.fakes.modelscope_server.FakeModelScope`.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from tests.fakes.hub_content import Content, Repository, StoredFile
from tests.fakes.serving import LoopbackHandler, LoopbackServer

if TYPE_CHECKING:
    from typing import Self

_CHUNK = 256 << 10
_STEPS = 400  # in which a connection of limited speed sends what it may in a second
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")


@dataclass(frozen=True)
class Answer:
    """Answer with this and nothing else."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the body, then close the connection."""

    after_bytes: int


@dataclass(frozen=True)
class Stall:
    """Send so many bytes of the body, then nothing any more."""

    after_bytes: int


@dataclass(frozen=True)
class Spoil:
    """Send the file with one byte changed."""

    at: int = 0


@dataclass(frozen=True)
class NoRanges:
    """Send the whole file, whatever range was asked for."""


@dataclass(frozen=True)
class WrongRange:
    """Send another range than was asked for."""

    shift: int = 1


Fault: TypeAlias = Answer | Cut | Stall | Spoil | NoRanges | WrongRange

WEB_PAGE = Answer(
    body="<!doctype html><html><body>Sign in</body></html>", headers={"Content-Type": "text/html"}
)


@dataclass(frozen=True)
class Seen:
    """A request that arrived: ``GET site /owner/repo/…`` or ``GET cdn /…``; small letters for headers."""

    line: str
    headers: Mapping[str, str]


class RefusedError(Exception):
    """What a request is refused with; how that is told is the site's own."""

    def __init__(self, status: int, code: Any, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class FakeSite:
    """A context manager that leaves no thread and no socket behind.

    Args:
        certificate: A PEM file with certificate and key, to speak TLS.
        rate: Bytes of a body that a connection sends in a second; ``None``: as many as it can.

    Attributes:
        url: Its address.
        repositories: By their names.
        tokens: Those that are valid.
        seen: The requests that arrived, in order.
        sent: Bytes of bodies, by the path in the repository; counted before a client has them.
    """

    handler: ClassVar[type[SiteHandler]]
    branch: ClassVar[str] = "main"

    def __init__(self, *, certificate: Path | None = None, rate: int | None = None) -> None:
        self.rate = rate
        self.repositories: dict[str, Repository] = {}
        self.tokens: set[str] = set()
        self.seen: list[Seen] = []
        self.sent: dict[str, int] = {}
        self._faults: list[tuple[str, Fault, int]] = []
        self._lock = threading.Lock()
        self._bodies = 0
        self._no_body = threading.Condition(self._lock)
        self.closing = threading.Event()
        self._site = _Server(self, "site", certificate=certificate)
        self._cdn = _Server(self, "cdn", certificate=certificate)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._site.server_port}"
        self.cdn_url = f"{scheme}://localhost:{self._cdn.server_port}"

    def __enter__(self) -> Self:
        for server in (self._site, self._cdn):
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in (self._site, self._cdn):
            server.stop()
            server.server_close()

    def add(self, name: str, files: Mapping[str, Content], **options: Any) -> Repository:
        """Add a repository with one commit; ``options`` are fields of :class:`Repository`."""
        self.repositories[name] = Repository(**options)
        self.repositories[name].commit(files, branch=self.branch)
        return self.repositories[name]

    def inject(self, line: str, fault: Fault, *, times: int = 1) -> None:
        """Let requests whose line contains each word of ``line`` go wrong: so many of them, -1 for all."""
        with self._lock:
            self._faults.append((line, fault, times))

    def take_fault(self, line: str) -> Fault | None:
        with self._lock:
            for index, (wanted, fault, times) in enumerate(self._faults):
                if all(word in line for word in wanted.split()):
                    self._faults[index] = (wanted, fault, times - 1)
                    if times == 1:
                        del self._faults[index]
                    return fault
        return None

    def lines(self, *words: str) -> list[str]:
        """Return the lines of the requests that contain all these words."""
        return [one.line for one in self.seen if all(word in one.line for word in words)]

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def count(self, path: str, sent: int) -> None:
        with self._lock:
            self.sent[path] = self.sent.get(path, 0) + sent

    @contextlib.contextmanager
    def sending_body(self) -> Iterator[None]:
        with self._lock:
            self._bodies += 1
        try:
            yield
        finally:
            with self._no_body:
                self._bodies -= 1
                self._no_body.notify_all()

    def forget_sent(self) -> None:
        """Count from zero, once what is sent to clients that went away has ended too."""
        with self._no_body:
            assert self._no_body.wait_for(lambda: not self._bodies, timeout=10)
            self.sent.clear()


class _Server(LoopbackServer):
    block_on_close = False

    def __init__(self, hub: FakeSite, role: str, *, certificate: Path | None) -> None:
        super().__init__(hub.handler, certificate=certificate)
        self.hub = hub
        self.role = role


class SiteHandler(LoopbackHandler):
    server: _Server
    routes: ClassVar[tuple[tuple[re.Pattern[str], str], ...]]

    def do_GET(self) -> None:  # noqa: N802 - found by that name
        self._answer()

    def do_HEAD(self) -> None:  # noqa: N802 - found by that name
        self._answer()

    def _answer(self) -> None:
        line = f"{self.command} {self.server.role} {unquote(self.path)}"
        self.server.hub.note(Seen(line, {name.lower(): value for name, value in self.headers.items()}))
        self._fault = self.server.hub.take_fault(line)
        if isinstance(self._fault, Answer):
            self._send(self._fault.status, self._fault.body.encode(), self._fault.headers)
            return
        parts = urlsplit(self.path)
        try:
            if self.server.role == "cdn":
                self._send_signed(parts.query)
                return
            for pattern, action in self.routes:
                if match := pattern.fullmatch(parts.path):
                    named = {key: unquote(text or "") for key, text in match.groupdict().items()}
                    getattr(self, action)(query=parse_qs(parts.query), **named)
                    return
            self._refuse(404, None, "Not Found")
        except RefusedError as refused:
            self.send_refusal(refused)

    def send_refusal(self, refused: RefusedError) -> None:
        """Tell of a refusal."""
        raise NotImplementedError

    def _refuse(self, status: int, code: Any, message: str) -> NoReturn:
        raise RefusedError(status, code, message)

    def _send_signed(self, query: str) -> None:
        asked = dict(parse_qsl(query))
        if "Authorization" in self.headers:
            self._refuse(400, None, "only one way to authenticate is allowed")  # as S3 says
        file = self.server.hub.repositories[asked["repo"]].commits[asked["commit"]][asked["path"]]
        self._send_file(asked["path"], file, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"})

    def _send_redirect(
        self, repo: str, commit: str, path: str, file: StoredFile, headers: Mapping[str, str]
    ) -> None:
        """Send to the store, by an address that is signed."""
        signed = urlencode({"repo": repo, "commit": commit, "path": path, "X-Amz-Signature": "0123abcd"})
        place = f"{self.server.hub.cdn_url}/{quote(file.sha256 or '')}?{signed}"
        self._send(302, b"Found. Redirecting", {**headers, "Location": place})

    # bodies

    def _send_json(self, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_whole(status, headers, body)

    def _send_file(self, path: str, file: StoredFile, headers: Mapping[str, str]) -> None:
        start, end = 0, file.size
        match = _RANGE.match(self.headers.get("Range", ""))
        is_same = self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if match and is_same and not isinstance(self._fault, NoRanges):
            start = int(match[1])
            end = min(int(match[2] or file.size - 1) + 1, file.size)
            if start >= file.size:
                self._send(416, b"", {**headers, "Content-Range": f"bytes */{file.size}"})
                return
            shift = self._fault.shift if isinstance(self._fault, WrongRange) else 0
            start += shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{file.size}")
        else:
            self.send_response(200)
        for key, value in {**headers, "Content-Length": str(end - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            with self.server.hub.sending_body():
                self._send_body(path, file, start, end)

    def _send_body(self, path: str, file: StoredFile, start: int, end: int) -> None:
        is_cut = isinstance(self._fault, Cut | Stall) and self._fault.after_bytes < end - start
        if isinstance(self._fault, Cut | Stall) and is_cut:
            end = start + self._fault.after_bytes
        spoilt = self._fault.at if isinstance(self._fault, Spoil) else None
        rate = self.server.hub.rate
        chunk = _CHUNK if rate is None else max(rate // _STEPS, 1)
        due = time.monotonic()
        with file.open() as stream:
            stream.seek(start)
            while start < end:
                piece = bytearray(stream.read(min(chunk, end - start)))
                if rate is not None:
                    due = max(due, time.monotonic() - 0.1) + len(piece) / rate
                    self.server.hub.closing.wait(max(0.0, due - time.monotonic()))
                if spoilt is not None and start <= spoilt < start + len(piece):
                    piece[spoilt - start] ^= 0xFF
                if self._is_gone():
                    self.close_connection = True
                    return
                self.server.hub.count(path, len(piece))
                with contextlib.suppress(OSError):
                    self.wfile.write(piece)
                    start += len(piece)
                    continue
                self.server.hub.count(path, -len(piece))
                self.close_connection = True
                return
        if is_cut:
            if isinstance(self._fault, Stall):
                self.server.hub.closing.wait(60)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _is_gone(self) -> bool:
        """Return whether the client has closed the connection, so that nothing more is sent to it."""
        if isinstance(self.connection, ssl.SSLSocket) or not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True
