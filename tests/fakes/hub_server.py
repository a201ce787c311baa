"""A Hub of the tests on two loopback sockets: the site and, under another host name, where its files are.

::

    with FakeHub() as hub:
        hub.add("owner/repo", {"model-Q4_K_M.gguf": gguf.read_bytes()})
        hub.inject("GET cdn model-Q4_K_M", Cut(after_bytes=1000))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

It answers as huggingface_hub expects it of huggingface.co: what the client reads of answers is in its
``hf_api.py``, ``file_download.py`` and ``utils/_http.py``, what the site sends in
https://huggingface.co/docs/hub/api. Files in LFS are answered with a redirect to a signed address.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from tests.fakes.hub_content import POINTER_BYTES, Content, Repository, StoredFile

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK = 256 << 10
_PAGE = 50  # entries of a tree that come at once; the site gives 1,000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")
_REPO = r"/(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"


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


class _RefusedError(Exception):
    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class FakeHub:
    """A context manager that leaves no thread and no socket behind.

    Args:
        certificate: A PEM file with certificate and key, to speak TLS.

    Attributes:
        url: What ``HF_ENDPOINT`` is to be.
        repositories: By their names.
        tokens: Those that are valid.
        seen: The requests that arrived, in order.
        sent: Bytes of bodies that were sent, by the path in the repository.
    """

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens: set[str] = set()
        self.seen: list[Seen] = []
        self.sent: dict[str, int] = {}
        self._faults: list[tuple[str, Fault, int]] = []
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._site = _Server(self, "site")
        self._cdn = _Server(self, "cdn")
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            for server in (self._site, self._cdn):
                server.socket = context.wrap_socket(server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._site.server_port}"
        self.cdn_url = f"{scheme}://localhost:{self._cdn.server_port}"

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.002})
            for server in (self._site, self._cdn)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in (self._site, self._cdn):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    def add(self, name: str, files: Mapping[str, Content], **options: Any) -> Repository:
        """Add a repository with one commit; ``options`` are fields of :class:`Repository`."""
        self.repositories[name] = Repository(**options)
        self.repositories[name].commit(files)
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
        """Give the lines of the requests that contain all these words."""
        return [one.line for one in self.seen if all(word in one.line for word in words)]

    def note(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def count(self, path: str, sent: int) -> None:
        with self._lock:
            self.sent[path] = self.sent.get(path, 0) + sent


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hub: FakeHub, role: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.role = role

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

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
            for pattern, action in _ROUTES:
                if match := pattern.fullmatch(parts.path):
                    named = {key: unquote(text or "") for key, text in match.groupdict().items()}
                    getattr(self, action)(query=parse_qs(parts.query), **named)
                    return
            self._refuse(404, None, "Not Found")
        except _RefusedError as refused:
            headers = {"X-Error-Message": refused.message}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            self._send(refused.status, json.dumps({"error": refused.message}).encode(), headers)

    def _refuse(self, status: int, code: str | None, message: str) -> NoReturn:
        raise _RefusedError(status, code, message)

    # who may read what

    def _repository(self, name: str, *, reads_files: bool) -> Repository:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if token is not None and token not in self.server.hub.tokens:
            self._refuse(401, None, "Invalid credentials in Authorization header")
        found = self.server.hub.repositories.get(name)
        if found is None or (found.access == "private" and token not in found.readers):
            if token is None:
                self._refuse(401, "RepoNotFound", "Invalid username or password.")
            self._refuse(404, "RepoNotFound", "Repository not found")
        if found.access == "gated" and reads_files and token not in found.readers:
            told = f"Access to model {name} is restricted"
            if token is None:
                self._refuse(401, "GatedRepo", f"{told}. You must have access to it and be authenticated.")
            self._refuse(403, "GatedRepo", f"{told} and you are not in the authorized list.")
        return found

    def _commit(self, found: Repository, revision: str) -> str:
        commit = found.resolve(revision or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # routes

    def _search(self, *, query: Mapping[str, list[str]]) -> None:
        wanted = set(query.get("filter", ()))
        hits = [
            {"id": name, "tags": list(one.facts.get("tags", ()))}
            for name, one in self.server.hub.repositories.items()
            if wanted <= set(one.facts.get("tags", ())) and one.access != "private"
        ]
        self._send_json(hits)

    def _info(self, *, repo: str, revision: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo, reads_files=False)
        commit = self._commit(found, revision)
        siblings: list[dict[str, Any]] = []
        for path, file in sorted(found.commits[commit].items()):
            siblings.append({"rfilename": path})
            if "blobs" in query:
                siblings[-1] |= {"size": file.size, "blobId": file.oid} | _lfs(file)
        self._send_json(
            {
                "_id": "0" * 24,
                "id": repo,
                "modelId": repo,
                "author": repo.partition("/")[0],
                "sha": commit,
                "private": found.access == "private",
                "gated": "manual" if found.access == "gated" else False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
                **found.facts,
            }
        )

    def _tree(self, *, repo: str, revision: str, folder: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo, reads_files=False)
        files = found.commits[self._commit(found, revision)]
        entries = list(_entries(files, folder, is_recursive=query.get("recursive") in (["true"], ["True"])))
        if found.is_xet:
            entries = [one | ({"xetHash": "0" * 64} if "lfs" in one else {}) for one in entries]
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + _PAGE < len(entries):
            kept = [one for one in parse_qsl(urlsplit(self.path).query) if one[0] != "cursor"]
            path = urlsplit(self.path).path
            following = urlencode([*kept, ("cursor", str(start + _PAGE))])
            headers["Link"] = f'<{self.server.hub.url}{path}?{following}>; rel="next"'
        self._send_json(entries[start : start + _PAGE], headers)

    def _resolve(self, *, repo: str, revision: str, path: str, query: Mapping[str, list[str]]) -> None:
        del query
        found = self._repository(repo, reads_files=True)
        commit = self._commit(found, revision)
        file = found.commits[commit].get(path)
        if file is None:
            raise _RefusedError(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.sha256 is None:
            self._send_file(path, file, headers | {"ETag": f'"{file.oid}"'})
            return
        signed = urlencode({"repo": repo, "commit": commit, "path": path, "X-Amz-Signature": "0123abcd"})
        headers |= {
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
            "Location": f"{self.server.hub.cdn_url}/{quote(file.sha256)}?{signed}",
            "ETag": f'"{file.oid}"',
        }
        self._send(302, b"Found. Redirecting", headers)

    def _send_signed(self, query: str) -> None:
        asked = dict(parse_qsl(query))
        if "Authorization" in self.headers:
            self._refuse(400, None, "only one way to authenticate is allowed")  # as S3 says
        file = self.server.hub.repositories[asked["repo"]].commits[asked["commit"]][asked["path"]]
        self._send_file(asked["path"], file, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"})

    # bodies

    def _send_json(self, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

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
            self._send_body(path, file, start, end)

    def _send_body(self, path: str, file: StoredFile, start: int, end: int) -> None:
        is_cut = isinstance(self._fault, Cut | Stall) and self._fault.after_bytes < end - start
        if isinstance(self._fault, Cut | Stall) and is_cut:
            end = start + self._fault.after_bytes
        spoilt = self._fault.at if isinstance(self._fault, Spoil) else None
        with file.open() as stream:
            stream.seek(start)
            while start < end:
                piece = bytearray(stream.read(min(_CHUNK, end - start)))
                if spoilt is not None and start <= spoilt < start + len(piece):
                    piece[spoilt - start] ^= 0xFF
                with contextlib.suppress(OSError):
                    self.wfile.write(piece)
                    self.server.hub.count(path, len(piece))
                    start += len(piece)
                    continue
                self.close_connection = True
                return
        if is_cut:
            if isinstance(self._fault, Stall):
                self.server.hub.closing.wait(60)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


_ROUTES = tuple(
    (re.compile(pattern), action)
    for pattern, action in (
        (r"/api/models", "_search"),
        (rf"/api/models{_REPO}(?:/revision/{_REVISION})?", "_info"),
        (rf"/api/models{_REPO}/tree/{_REVISION}(?:/(?P<folder>.*))?", "_tree"),
        (rf"{_REPO}/resolve/{_REVISION}/(?P<path>.+)", "_resolve"),
    )
)


def _lfs(file: StoredFile) -> dict[str, Any]:
    if file.sha256 is None:
        return {}
    return {
        "lfs": {"oid": file.sha256, "sha256": file.sha256, "size": file.size, "pointerSize": POINTER_BYTES}
    }


def _entries(files: Mapping[str, StoredFile], folder: str, *, is_recursive: bool) -> Iterator[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    told = set()
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if is_recursive else min(len(parts), 2)):
            below = prefix + "/".join(parts[:depth])
            if below not in told:
                told.add(below)
                yield {"type": "directory", "oid": "0" * 40, "size": 0, "path": below}
        if is_recursive or len(parts) == 1:
            yield {"type": "file", "oid": file.oid, "size": file.size, "path": path} | _lfs(file)
