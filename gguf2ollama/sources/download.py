"""Download files of a repository into its cache or a folder, each checked against its digest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from gguf2ollama.errors import NotFound, ServerRefused, UsageProblem, VerificationFailed
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.atomic import atomic_file, check_free_space, disk_errors
from gguf2ollama.ggufio.copying import copy_range
from gguf2ollama.sources.cache import CachedRepository
from gguf2ollama.sources.fetch import Fetch
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.site import Site

__all__ = ["Download", "Downloaded"]

_AT_ONCE = 4  # files
_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits
_PIECE = 1 << 20


class _StoppedError(Exception):
    """Another file failed, or nobody waits any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A file that is here.

    Attributes:
        file: Which one.
        path: Where it is.
        sha256: Its digest, found by reading it; ``None`` where that was not needed.
        bytes_fetched: Bytes that came over the network for it.
    """

    file: RepositoryFile
    path: Path
    sha256: str | None
    bytes_fetched: int = 0


@dataclass(frozen=True, kw_only=True)
class Download:
    """The download of files of one commit.

    Attributes:
        site: Where they are; ``None`` without a network.
        cached: The cache of the repository.
        repository: ``owner/repo``.
        commit: The commit.
        folder: Where the files are put, under their names in the repository; ``None`` for the cache.
        known_digest: Gives the sha256 of a file as it is now, where that was found before.
        progress: Called with the bytes of each file, from several threads.
        notify: Told what may surprise.
        wants_xet: Whether the site's library gets what is kept in Xet.
    """

    site: Site | None
    cached: CachedRepository
    repository: str
    commit: str
    folder: Path | None
    known_digest: Callable[[Path], str | None]
    progress: Progress
    notify: Callable[[str], None]
    wants_xet: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, files: Sequence[RepositoryFile]) -> list[Downloaded]:
        """Get what is not here, several files at once.

        Raises:
            NotEnoughSpace: The disk is too small; nothing was begun.
            NotFound: There is no network, and a file is not in the cache.
            ServerProblem: The site cannot be reached, refuses, or sends something else.
            UsageProblem: Another file of that name is in the folder.
            VerificationFailed: A file came twice with another digest than the site tells.
        """
        self._require_space(files)
        if self.site is not None and files and not all(self._is_there(file) for file in files):
            self.site.require_access(self.repository, files[0].path, commit=self.commit)
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
        try:
            futures = [pool.submit(self._get, file) for file in files]
            self._wait(futures)
            return [future.result() for future in futures]
        except BaseException:
            self._stop.set()
            if self.site is not None:
                self.site.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _wait(self, futures: Sequence[Future[Downloaded]]) -> None:
        """Wait for all, or for the first that fails of itself."""
        while True:
            found = wait(futures, timeout=_WAIT, return_when=FIRST_EXCEPTION)
            errors = [error for future in found.done if (error := future.exception()) is not None]
            for error in errors:
                if not isinstance(error, _StoppedError):
                    raise error
            if not found.not_done:
                return

    def _target(self, file: RepositoryFile) -> Path:
        if self.folder is not None:
            return self.folder.joinpath(*file.path.split("/"))
        return self.cached.place(file, commit=self.commit)

    def _is_there(self, file: RepositoryFile) -> bool:
        """Return whether something of that length is where a file belongs."""
        target = self._target(file)
        return target.exists() and target.stat().st_size == file.size

    def _part(self, file: RepositoryFile) -> Path:
        """Where a file is put while it comes; in the Hub's cache where its library goes on with it.

        Elsewhere the name tells which state of the file it is of, so that no other is gone on with.
        """
        target = self._target(file)
        is_named = self.folder is None and self.cached.has_blobs
        mark = "" if is_named else f".{(file.sha256 or self.commit)[:12]}"
        return target.with_name(f"{target.name}{mark}.incomplete")

    def _require_space(self, files: Sequence[RepositoryFile]) -> None:
        needed = 0
        for file in files:
            if not self._is_there(file):
                part = self._part(file)
                needed += max(file.size - (part.stat().st_size if part.exists() else 0), 0)
        if needed:
            folder = self.folder or self.cached.root
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            check_free_space(folder, needed)

    def _get(self, file: RepositoryFile) -> Downloaded:
        if file.sha256 is None and (self.site is None or self.cached.has_library):
            return self._get_small(file)
        if self.folder is not None:
            return self._get_into_folder(file)
        if self.site is None:
            path = self.cached.path(file.path, commit=self.commit)
            return Downloaded(file=file, path=path, sha256=self._checked_digest(file, path))
        if self.wants_xet and file.is_xet and self.cached.has_library:
            try:
                return self._get_by_library(file)
            except ServerRefused as problem:
                self.notify(f"{problem.message}; {file.name} comes over plain HTTP instead")
        with self.cached.locked(file, commit=self.commit):
            found = self._get_blob(file, self._target(file))
        path = self.cached.link(file, commit=self.commit)
        return Downloaded(file=file, path=path, sha256=found.sha256, bytes_fetched=found.bytes_fetched)

    def _get_by_library(self, file: RepositoryFile) -> Downloaded:
        """Let the library get a file by its own means, and check it when it is here."""
        blob = self._target(file)
        fetched = 0 if blob.exists() else file.size
        for _ in range(2):
            path = self.cached.link(file, commit=self.commit)
            if self._digest(file, path) == file.sha256:
                return Downloaded(file=file, path=path, sha256=file.sha256, bytes_fetched=fetched)
            path.unlink()
            aside = self._set_aside(blob, blob)
            fetched += file.size
        raise self._damaged(file, aside)

    def _get_small(self, file: RepositoryFile) -> Downloaded:
        """Get a file of which no digest is told: by the library, or from what is here."""
        path = self.cached.path(file.path, commit=self.commit)
        if self.site is not None:
            path = self.cached.link(file, commit=self.commit)
        if self.folder is not None:
            self._copy(path, self._target(file))
            path = self._target(file)
        return Downloaded(file=file, path=path, sha256=None)

    def _get_into_folder(self, file: RepositoryFile) -> Downloaded:
        target = self._target(file)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if self._is_file(file, target):
                return Downloaded(file=file, path=target, sha256=file.sha256)
            raise UsageProblem(
                f"{target} is there already, and is another file than {file.path} of {self.repository}",
                hint="move it away, or choose another folder",
            )
        here = self.cached.place(file, commit=self.commit)
        if here.exists() and self._is_file(file, here):
            self._copy(here, target)
            return Downloaded(file=file, path=target, sha256=file.sha256)
        return self._get_blob(file, target)

    def _get_blob(self, file: RepositoryFile, target: Path) -> Downloaded:
        """Get the bytes of a file; what is damaged is kept aside and got again once."""
        if target.exists():
            if self._is_file(file, target):
                return Downloaded(file=file, path=target, sha256=file.sha256)
            if self.cached.has_blobs:  # elsewhere it is an older one of that name
                self._set_aside(target, target)
        fetched = 0
        for _ in range(2):
            digest, count = self._fetch(file)
            fetched += count
            if file.sha256 in {None, digest}:
                with disk_errors(target):
                    self._part(file).replace(target)
                self.cached.learn(file, commit=self.commit, digest=digest)
                return Downloaded(file=file, path=target, sha256=digest, bytes_fetched=fetched)
            aside = self._set_aside(self._part(file), target)
        raise self._damaged(file, aside)

    def _damaged(self, file: RepositoryFile, aside: Path) -> VerificationFailed:
        return VerificationFailed(
            f"{file.path} of {self.repository} came twice with another digest than its site tells,"
            f" sha256:{file.sha256}",
            hint=f"the last one is kept as {aside}; check the network, a mirror if you use one, and the disk",
        )

    def _fetch(self, file: RepositoryFile) -> tuple[str, int]:
        if self.site is None:
            raise NotFound(
                f"{file.path} of {self.repository} is not in the cache, and HF_HUB_OFFLINE is set",
                hint="unset HF_HUB_OFFLINE to download it",
            )
        part = self._part(file)
        with disk_errors(part):
            part.parent.mkdir(parents=True, exist_ok=True)
        fetch = Fetch(
            self.site,
            repository=self.repository,
            file=file,
            commit=self.commit,
            part=part,
            report=self._reporter("downloading", file),
            check=self._check,
        )
        return fetch.run(), fetch.bytes_fetched

    def _checked_digest(self, file: RepositoryFile, path: Path) -> str | None:
        digest = self._digest(file, path)
        if digest != file.sha256:
            raise VerificationFailed(
                f"{path} is damaged: its digest is not sha256:{file.sha256}",
                hint="unset HF_HUB_OFFLINE to download it again",
            )
        return digest

    def _is_file(self, file: RepositoryFile, path: Path) -> bool:
        """Return whether what is there is the file that is wanted."""
        if path.stat().st_size != file.size or file.sha256 is None:
            return False
        return self._digest(file, path) == file.sha256

    def _digest(self, file: RepositoryFile, path: Path) -> str:
        """Return the digest of a file that is here, by reading it where it is not known."""
        if (known := self.known_digest(path)) is not None:
            return known
        report = self._reporter("checking", file)
        state, done = hashlib.sha256(), 0
        with disk_errors(path), path.open("rb", buffering=0) as stream:
            while piece := stream.read(_PIECE):
                self._check()
                state.update(piece)
                done += len(piece)
                report(done)
        return state.hexdigest()

    def _set_aside(self, path: Path, target: Path) -> Path:
        """Keep what has another digest than its site tells, under a name that says so."""
        aside = target.with_name(f"{target.name}.damaged")
        with disk_errors(path):
            path.replace(aside)
        self.notify(
            f"{path.name} has another digest than its site tells; it is kept as {aside}, and got again"
        )
        return aside

    def _copy(self, source: Path, target: Path) -> None:
        """Copy a file out of the cache, sharing its bytes where the file system does that."""
        with contextlib.suppress(FileNotFoundError):
            if target.samefile(source):
                return
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(source), source.open("rb", buffering=0) as stream:
            size = stream.seek(0, io.SEEK_END)
            with atomic_file(target, size=size, is_durable=False) as copy:
                copy_range(stream, copy, offset=0, length=size, report=lambda _: self._check())

    def _reporter(self, verb: str, file: RepositoryFile) -> Callable[[int], None]:
        def report(done: int) -> None:
            self.progress(Update(task=f"{verb} {file.name}", done=done, total=file.size))

        return report

    def _check(self) -> None:
        if self._stop.is_set():
            raise _StoppedError
