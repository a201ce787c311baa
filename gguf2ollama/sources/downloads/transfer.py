"""Download one file over several connections, and hash it meanwhile.

A content delivery network limits the speed of each connection, so that several are faster. The file is cut
into segments, which are taken in order: each connection fetches one after the other. A thread reads what has
landed without a gap back out of the system's memory and hashes it, so that the digest is there when the last
byte is. A server that knows no ranges is read over one connection, and where one refuses further connections,
the others go on.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from gguf2ollama.errors import ServerProblem, ServerRefused, ServerUnreachable
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.net import Budget, ByteRange, ClientClosed
from gguf2ollama.sources.downloads.part_file import PartFile
from gguf2ollama.sources.sites.remote_file import RemoteFile, Slice

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Transfer"]

_HASHED_AT_ONCE = 1 << 20
_LANE_SECONDS = 0.5
_NOTED_LAG = 64 << 20  # bytes still to be hashed at the end that a user should know of
_TOO_MANY = frozenset({429, 503})
_MOST_STRAYS = 8
_LATER = "run the same command again: the download is resumed"


class _SurplusError(Exception):
    """A connection that the server refuses, and that others make up for."""


class Transfer:
    """The download of one file.

    Args:
        file: The file.
        part: Where its bytes are put.
        connections: How many are used at most.
        lanes: What each connection holds while it is used, so that all files together use no more.
        report: Called with the bytes that are there, in order.
        report_hashing: Called with the bytes that are hashed, where that takes longer than the download.
        check: Called often; it raises once the download is to end.

    Attributes:
        bytes_fetched: Bytes that came over the network.
    """

    def __init__(
        self,
        file: RemoteFile,
        part: PartFile,
        *,
        connections: int,
        lanes: threading.Semaphore,
        report: Callable[[int], None],
        report_hashing: Callable[[int], None],
        check: Callable[[], None],
    ) -> None:
        self.bytes_fetched = 0
        self._file = file
        self._part = part
        self._connections = connections
        self._lanes = lanes
        self._report = report
        self._report_hashing = report_hashing
        self._check = check
        self._lock = threading.Lock()
        self._reporting = threading.Lock()
        self._waiting = part.unfinished()
        self._active = 1
        self._others: list[threading.Thread] | None = None
        self._reads_whole: int | None = None  # the thread that reads the whole file from its start
        self._strays = 0
        self._failure: BaseException | None = None

    def run(self) -> str:
        """Download what is missing; return the sha256 of the whole as hexadecimal digits.

        Raises:
            NotEnoughSpace: The disk filled up.
            ServerProblem: The site cannot be reached, refuses, or sends something else.
        """
        with _Hasher(self._part) as hasher:
            if self._part.done:
                self._report(self._part.done)
            self._work()
            for thread in self._others or ():
                thread.join()
            if self._failure is not None:
                raise self._failure
            self._check()
            if not self._part.is_whole:
                raise ServerUnreachable(f"{self._file.name} did not come whole", hint=_LATER)
            return hasher.finish(self._report_hashing)

    def _work(self) -> None:
        """Fetch one segment after the other."""
        while (number := self._claim()) is not None:
            budget = self._file.http.budget()
            try:
                with _lane(self._lanes, check=self._check_all):
                    self._file.http.retry(functools.partial(self._fetch, number, budget), budget=budget)
            except _SurplusError:
                return
            except ServerProblem as problem:
                is_temporary = problem.retry_after is not None and not isinstance(problem, ClientClosed)
                if is_temporary and self._leave(number):
                    return
                self._fail(problem)
            except BaseException as error:  # noqa: BLE001 - raised where the file is waited for
                self._fail(error)

    def _claim(self) -> int | None:
        """Return the next segment to fetch; ``None`` where there is none left."""
        with self._lock:
            if self._waiting and self._failure is None:
                return self._waiting.pop(0)
            self._active -= 1
            return None

    def _leave(self, number: int) -> bool:
        """Give a segment back if there are other connections that can fetch it."""
        with self._lock:
            if self._active == 1 or self._reads_whole == threading.get_ident():
                return False
            self._active -= 1
            self._waiting.insert(0, number)
            return True

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
        self._file.http.close()  # ends what the others wait for

    def _fetch(self, number: int, budget: Budget) -> None:
        """Fetch what is missing of a segment, once."""
        while (wanted := self._wanted(number)) is not None:
            self._check_all()
            try:
                found = self._file.open(wanted)
            except ServerRefused as problem:
                if problem.status in _TOO_MANY and self._leave(number):
                    raise _SurplusError from problem
                raise
            with found:
                if found.is_whole:
                    self._claim_whole(found, wanted)
                else:
                    self._begin_others()
                self._take(found, budget)

    def _wanted(self, number: int) -> ByteRange | None:
        """Return the bytes to fetch next: of a segment, and then of the whole file for who reads that."""
        wanted = self._part.missing(number)
        if wanted is None and self._reads_whole == threading.get_ident():
            unfinished = self._part.unfinished()
            return self._part.missing(unfinished[0]) if unfinished else None
        return wanted

    def _take(self, found: Slice, budget: Budget) -> None:
        position = found.start
        for chunk in found.chunks(budget):
            self._check_all()
            self._part.write(position, chunk)
            position += len(chunk)
            with self._reporting:
                self.bytes_fetched += len(chunk)
                self._report(self._part.done)

    def _claim_whole(self, found: Slice, wanted: ByteRange) -> None:
        """Let one connection alone read the whole file, where the server sends nothing else."""
        if (found.start, found.end) == (wanted.start, wanted.end):
            return
        me = threading.get_ident()
        with self._lock:
            self._strays += self._others is not None
            if 0 < self._strays <= _MOST_STRAYS:  # others got ranges: one answer is not worth all bytes again
                problem = ServerRefused(f"{self._file.name}: the server sent the whole file", hint=_LATER)
                problem.retry_after = 0.0
                raise problem
            if self._reads_whole in {None, me}:
                self._reads_whole = me
                self._waiting.clear()
                return
            self._active -= 1
        raise _SurplusError

    def _begin_others(self) -> None:
        """Start the other connections, once the first has shown that the server sends ranges."""
        with self._lock:
            if self._others is not None or self._reads_whole is not None:
                return
            count = min(self._connections - 1, len(self._waiting))
            self._active += count
            self._others = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
            for thread in self._others:
                thread.start()

    def _check_all(self) -> None:
        self._check()
        if self._failure is not None:
            raise _SurplusError


class _Hasher:
    """Hashes what has landed without a gap, on a thread of its own."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._state = hashlib.sha256()
        self._done = 0
        self._is_over = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._part.end()
        self._thread.join()

    def finish(self, report: Callable[[int], None]) -> str:
        """Return the digest of the whole file, which has landed."""
        is_behind = self._part.size - self._done > _NOTED_LAG
        while self._thread.is_alive():
            self._thread.join(timeout=_LANE_SECONDS)
            if is_behind:
                report(self._done)
        if self._error is not None:
            raise self._error
        return self._state.hexdigest()

    def _run(self) -> None:
        try:
            with disk_errors(self._part.path), self._part.path.open("rb", buffering=0) as stream:
                while self._done < self._part.size and not self._is_over:
                    end = self._part.wait_beyond(self._done)
                    if end == self._done:
                        return
                    while self._done < end and not self._is_over:
                        chunk = stream.read(min(end - self._done, _HASHED_AT_ONCE))
                        self._state.update(chunk)
                        self._done += len(chunk)
                        assert chunk  # noqa: S101 - it was written
        except Exception as error:  # noqa: BLE001 - raised by finish
            self._error = error


class _lane:  # noqa: N801 - used as a function
    """Hold one of the connections that all files share."""

    def __init__(self, lanes: threading.Semaphore, *, check: Callable[[], None]) -> None:
        self._lanes = lanes
        self._check = check

    def __enter__(self) -> None:
        while not self._lanes.acquire(timeout=_LANE_SECONDS):
            self._check()

    def __exit__(self, *_: object) -> None:
        self._lanes.release()
