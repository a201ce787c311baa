"""Read a file of a repository from its start to its end, over one connection where it lasts."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gguf2ollama.errors import Gguf2OllamaError, ServerRefused, ServerStalled, ServerUnreachable
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.site import Site, retry_pause

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer

__all__ = ["FileStream"]

_OK, _PARTIAL, _BAD = 200, 206, 400


class FileStream(io.RawIOBase):
    """The bytes of a file as they come; a connection that breaks off is made anew at the byte it had reached.

    Nothing is kept: who reads them checks their digest.

    Args:
        site: Where it is, open as long as this is read.
        repository: ``owner/repo``.
        file: Which file.
        commit: Of which commit.

    Raises:
        ServerProblem: The site cannot be reached, refuses, or sends something else; from each read.
    """

    def __init__(self, site: Site, *, repository: str, file: RepositoryFile, commit: str) -> None:
        super().__init__()
        self._site = site
        self._repository = repository
        self._file = file
        self._commit = commit
        self._done = 0
        self._rest = memoryview(b"")
        self._pieces: Iterator[bytes] | None = None
        self._pauses = iter(site.retry_pauses)
        self._refused: Gguf2OllamaError | None = None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Return some bytes; 0 at the end."""
        if not self._rest and self._done < self._file.size:
            self._rest = memoryview(self._next())
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the connection."""
        self._drop()
        super().close()

    def _next(self) -> bytes:
        """Return the next bytes; ask anew where none come."""
        problem: Gguf2OllamaError
        while True:
            self._refused = None
            try:
                with self._site.foreign_errors():
                    if self._pieces is None:
                        self._pieces = self._open()
                    piece = next(self._pieces, b"")
                if piece:
                    return self._take(piece)
                problem = self._explain_end()
            except (ServerUnreachable, ServerStalled) as error:
                problem = error
            self._drop()
            pause = next(self._pauses, None)
            if pause is None:
                raise problem
            time.sleep(pause)

    def _explain_end(self) -> Gguf2OllamaError:
        """Return why nothing more comes."""
        return self._refused or ServerUnreachable(
            f"the connection broke off while {self._file.path} of {self._repository} came",
            hint="run the same command again",
        )

    def _take(self, piece: bytes) -> bytes:
        self._done += len(piece)
        if self._done > self._file.size:
            raise self._something_else(f"more than its {self._file.size:,} bytes")
        self._pauses = iter(self._site.retry_pauses)
        return piece

    def _open(self) -> Iterator[bytes]:
        url = self._site.file_url(self._repository, self._file.path, commit=self._commit)
        with self._site.open_file(url, start=self._done) as response:
            if response.status_code >= _BAD:
                self._refused = self._site.refusal(
                    response, repository=self._repository, revision=self._commit, path=self._file.path
                )
                if (pause := retry_pause(response)) is None:
                    raise self._refused
                time.sleep(pause)
                return
            self._require(response)
            yield from response.iter_raw()

    def _require(self, response: httpx.Response) -> None:
        """Check that the answer holds the bytes that are missing."""
        told = response.headers.get("content-range", "")
        if self._done and not told.startswith(f"bytes {self._done}-"):
            raise self._something_else("no ranges, though the connection broke off")
        length = response.headers.get("content-length", str(self._file.size - self._done))
        if response.status_code not in {_OK, _PARTIAL} or length != str(self._file.size - self._done):
            raise self._something_else(f"{length} bytes instead of {self._file.size - self._done:,}")

    def _drop(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None and hasattr(pieces, "close"):
            pieces.close()

    def _something_else(self, what: str) -> ServerRefused:
        return self._site.unexpected_content(self._file, self._repository, what)
