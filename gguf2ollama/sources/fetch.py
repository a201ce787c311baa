"""Download one file, and go on with it after whatever broke it off, a kill of this process too.

huggingface_hub begins anew after a kill, and tells nobody of the bytes that come. Here they are hashed as
they come, and each piece is in the file before the next is asked for, so that a range is asked for only from
where the file ends.
"""

from __future__ import annotations

import hashlib
import io
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import Gguf2OllamaError, ServerRefused, ServerStalled, ServerUnreachable
from gguf2ollama.fs.atomic import disk_errors
from gguf2ollama.ggufio.sniff import HEAD_BYTES, describe_stranger
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.site import Site, retry_pause

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

__all__ = ["Fetch"]

_PIECE = 1 << 20
_WAITING = 64  # pieces that may wait to be hashed
_OK, _PARTIAL, _NO_SUCH_RANGE, _BAD = 200, 206, 416, 400
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_AGAIN = "run the same command again: it goes on where this one ended"


class _BrokenOffError(Exception):
    """The connection ended too early."""


class Fetch:
    """The download of one file.

    Args:
        site: Where it is.
        repository: ``owner/repo``.
        file: Which file.
        commit: Of which commit.
        part: Where its bytes are put; what is there of an earlier call is gone on with.
        report: Called with the bytes that are there, now and then.
        check: Called with each piece; it raises once the download is to end.

    Attributes:
        bytes_fetched: Bytes that came over the network.
    """

    def __init__(
        self,
        site: Site,
        *,
        repository: str,
        file: RepositoryFile,
        commit: str,
        part: Path,
        report: Callable[[int], None],
        check: Callable[[], None],
    ) -> None:
        self.bytes_fetched = 0
        self._site = site
        self._repository = repository
        self._file = file
        self._commit = commit
        self._url = site.file_url(repository, file.path, commit=commit)
        self._part = part
        self._report = report
        self._check = check
        self._done = 0

    def run(self) -> str:
        """Download what is missing; give the sha256 of the whole as hexadecimal digits.

        Raises:
            NotEnoughSpace: The disk filled up.
            ServerProblem: The site cannot be reached, refuses, or sends something else.
        """
        with disk_errors(self._part), self._part.open("a+b", buffering=0) as stream, _Hasher() as hasher:
            self._done = stream.seek(0, io.SEEK_END)
            if self._done > self._file.size:
                self._begin_anew(stream, hasher)
            self._take_up(stream, hasher)
            self._fetch_all(stream, hasher)
            return hasher.finish()

    def _take_up(self, stream: io.FileIO, hasher: _Hasher) -> None:
        """Hash what is there."""
        stream.seek(0)
        left = self._done
        while left:
            self._check()
            piece = stream.read(min(left, _PIECE))
            if not piece:
                break
            hasher.add(piece)
            left -= len(piece)
            self._report(self._done - left)

    def _fetch_all(self, stream: io.FileIO, hasher: _Hasher) -> None:
        pauses = iter(self._site.retry_pauses)
        while self._done < self._file.size:
            before = self._done
            problem, wait = self._fetch_once(stream, hasher)
            if problem is None:
                continue
            if self._done > before:
                pauses = iter(self._site.retry_pauses)
                continue  # the connection broke off in the middle: go on at once
            pause = next(pauses, None)
            if pause is None or wait is None:
                raise problem
            self._pause(max(pause, wait))

    def _fetch_once(self, stream: io.FileIO, hasher: _Hasher) -> tuple[Gguf2OllamaError | None, float | None]:
        """Ask once; give what went wrong, and the seconds to wait (``None`` where asking again is no use)."""
        try:
            with self._site.foreign_errors(), self._site.open_file(self._url, start=self._done) as response:
                if response.status_code >= _BAD and response.status_code != _NO_SUCH_RANGE:
                    return self._refusal(response), retry_pause(response)
                self._prepare(response, stream, hasher)
                for piece in response.iter_raw():  # as they come: a cut loses nothing
                    self._take(piece, stream, hasher)
        except _BrokenOffError:
            pass
        except (ServerUnreachable, ServerStalled) as error:
            return error, 0.0
        if self._done < self._file.size:
            told = f"the connection broke off while {self._file.path} of {self._repository} came"
            return ServerUnreachable(told, hint=_AGAIN), 0.0
        return None, 0.0

    def _prepare(self, response: httpx.Response, stream: io.FileIO, hasher: _Hasher) -> None:
        """Check what the answer holds, and begin anew where it is the whole file."""
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise self._something_else(f"it is encoded ({encoding[:40]!r})")
        if response.status_code == _PARTIAL:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if match and int(match[1]) == self._done and int(match[3]) == self._file.size:
                return
            # another range than was asked for, or of another file
            self._begin_anew(stream, hasher)
            raise _BrokenOffError
        if response.status_code == _NO_SUCH_RANGE:
            self._begin_anew(stream, hasher)
            raise _BrokenOffError
        if response.status_code != _OK:
            raise self._something_else(f"status {response.status_code}")
        length = response.headers.get("content-length")
        if length is not None and length != str(self._file.size):
            if self._done:  # ModelScope counts wrongly where it does not heed the range
                self._begin_anew(stream, hasher)
                raise _BrokenOffError
            head = next(response.iter_raw(HEAD_BYTES), b"")
            problem, _ = describe_stranger(head)
            raise self._something_else(f"{length} bytes instead of {self._file.size:,}; {problem}")
        if self._done:
            self._begin_anew(stream, hasher)

    def _take(self, piece: bytes, stream: io.FileIO, hasher: _Hasher) -> None:
        self._check()
        self.bytes_fetched += len(piece)
        if self._done + len(piece) > self._file.size:
            raise self._something_else(f"more than its {self._file.size:,} bytes")
        left = memoryview(piece)
        while left:
            left = left[stream.write(left) :]
        hasher.add(piece)
        self._done += len(piece)
        self._report(self._done)

    def _begin_anew(self, stream: io.FileIO, hasher: _Hasher) -> None:
        stream.truncate(0)
        hasher.begin_anew()
        self._done = 0
        self._report(0)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, 0.5))

    def _refusal(self, response: httpx.Response) -> Gguf2OllamaError:
        return self._site.refusal(
            response, repository=self._repository, revision=self._commit, path=self._file.path
        )

    def _something_else(self, what: str) -> ServerRefused:
        return self._site.unexpected_content(self._file, self._repository, what)


class _Hasher:
    """Hashes pieces on a thread of its own, in their order, while the next ones come."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.put(None)
        self._thread.join()

    def add(self, piece: bytes) -> None:
        """Hash this behind what was added before."""
        self._pieces.put(piece)

    def begin_anew(self) -> None:
        """Forget what was added."""
        self._pieces.join()
        self._state = hashlib.sha256()

    def finish(self) -> str:
        """Return the digest of all that was added."""
        self._pieces.join()
        return self._state.hexdigest()

    def _work(self) -> None:
        for piece in self._until_end():
            self._state.update(piece)
            self._pieces.task_done()

    def _until_end(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            yield piece
