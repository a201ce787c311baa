"""Download files of a repository into its cache or a folder, each checked against its digest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import field, replace
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import NotFound, ServerRefused, UsageProblem, VerificationFailed
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.sharing import copy_range
from gguf2ollama.fs.space import check_free_space
from gguf2ollama.net import ClientClosed
from gguf2ollama.sources.cache import CachedRepository, file_lock
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.downloads.part_file import PartFile, identity_of, segment_bytes
from gguf2ollama.sources.downloads.transfer import Transfer
from gguf2ollama.sources.sites.site import Site

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
        known_digest: Returns the sha256 of a file as it is now, where that was found before.
        progress: Called with the bytes of each file, from several threads.
        notify: Called with a line about what may surprise.
    """

    site: Site | None
    cached: CachedRepository
    repository: str
    commit: str
    folder: Path | None
    known_digest: Callable[[Path], str | None]
    progress: Progress
    notify: Callable[[str], None]
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, files: Sequence[RepositoryFile]) -> list[Downloaded]:
        """Get what is not here, several files at once.

        Raises:
            NotEnoughSpace: The disk is too small; nothing was begun.
            NotFound: There is no network, and a file is not in the cache.
            ServerProblem: The site cannot be reached, refuses, or sends something else.
            UsageProblem: Another file of that name is in the folder.
            VerificationFailed: A file came twice with another digest than the site lists.
        """
        self._require_space(files)
        lanes = threading.Semaphore(self._connections)
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
        try:
            futures = [pool.submit(self._get, file, lanes) for file in files]
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
        """Wait for all, or for the first that fails of itself; not because another has closed the site."""
        while True:
            found = wait(futures, timeout=_WAIT, return_when=FIRST_EXCEPTION)
            errors = [error for future in found.done if (error := future.exception()) is not None]
            for error in errors:
                if not isinstance(error, _StoppedError | ClientClosed):
                    raise error
            if not found.not_done:
                return

    def _target(self, file: RepositoryFile) -> Path:
        if self.folder is not None:
            return self.folder.joinpath(*file.path.split("/"))
        return self.cached.place(file, commit=self.commit)

    def _is_there(self, file: RepositoryFile) -> bool:
        """Return whether something of that length is where a file belongs."""
        places = {self._target(file)} if self.folder is not None else {*self._places(file)}
        return any(place.is_file() and place.stat().st_size == file.size for place in places)

    def _places(self, file: RepositoryFile) -> tuple[Path, ...]:
        """Return where the cache may have a file: by its digest, or where there are no links by its name."""
        by_digest = self.cached.place(file, commit=self.commit)
        by_name = self.cached.path(file.path, commit=self.commit)
        return (by_digest,) if by_digest == by_name or by_name.is_symlink() else (by_digest, by_name)

    def _in_cache(self, file: RepositoryFile) -> Downloaded | None:
        """Return the file if the cache has it, and it is what is wanted."""
        found = (self._existing(file, place) for place in self._places(file))
        return next((download for download in found if download is not None), None)

    def _part(self, file: RepositoryFile) -> Path:
        """Return where a file is put while it comes; its name says which state of the file it is of.

        In the Hub's cache it is not the name that its library uses: that takes a file for written in order.
        """
        target = self._target(file)
        is_named = self.folder is None and self.cached.has_blobs
        mark = "gguf2ollama" if is_named else (file.sha256 or self.commit)[:12]
        return target.with_name(f"{target.name}.{mark}.incomplete")

    def _require_space(self, files: Sequence[RepositoryFile]) -> None:
        needed = 0
        for file in files:
            if not self._is_there(file):
                needed += max(file.size - _allocated_bytes(self._part(file)), 0)
        if needed:
            folder = self.folder or self.cached.root
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            check_free_space(folder, needed)

    def _get(self, file: RepositoryFile, lanes: threading.Semaphore) -> Downloaded:
        if self.folder is not None:
            return self._get_into_folder(file, lanes)
        if self.site is None:
            path = self.cached.path(file.path, commit=self.commit)
            return Downloaded(file=file, path=path, sha256=self._checked_digest(file, path))
        if (done := self._get_by_library(file)) is not None:
            return done
        target = self._target(file)
        found = self._in_cache(file)
        if found is None:
            lock = self.cached.lock_path(file, commit=self.commit)
            with file_lock(lock, wait=self._waiter(file)):
                found = self._get_blob(file, target, lanes)
        if found.path == target:
            found = replace(found, path=self.cached.link(file, commit=self.commit))
        return found

    def _get_by_library(self, file: RepositoryFile) -> Downloaded | None:
        """Let the site's library download a file where that is wanted, and check it then."""
        assert self.site is not None  # noqa: S101 - checked by the caller
        blob = self._target(file)
        fetched = 0 if blob.exists() else file.size
        aside = blob
        for _ in range(2):
            try:
                path = self.site.fetch_by_library(self.repository, file, commit=self.commit)
            except ServerRefused as problem:
                self.notify(f"{problem.message}; downloading {file.name} over HTTP instead")
                return None
            if path is None:
                return None
            if self._digest(file, path) == file.sha256:
                return Downloaded(file=file, path=path, sha256=file.sha256, bytes_fetched=fetched)
            path.unlink()
            aside = self._set_aside(blob, blob)
            fetched += file.size
        raise self._damaged(file, aside)

    def _get_into_folder(self, file: RepositoryFile, lanes: threading.Semaphore) -> Downloaded:
        target = self._target(file)
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        if (found := self._existing(file, target)) is not None:
            return found
        if target.exists():
            raise UsageProblem(
                f"{target} already exists and is not {file.path} of {self.repository}",
                hint="move it away, or choose another folder",
            )
        if (here := self._in_cache(file)) is not None:
            self._copy(here.path, target)
            return Downloaded(file=file, path=target, sha256=file.sha256)
        return self._get_blob(file, target, lanes)

    def _get_blob(self, file: RepositoryFile, target: Path, lanes: threading.Semaphore) -> Downloaded:
        """Download a file; one that is damaged is kept aside and downloaded again once."""
        if (found := self._existing(file, target)) is not None:  # another process was quicker
            return found
        if target.exists() and self.cached.has_blobs:  # elsewhere it is an older one of that name
            self._set_aside(target, target)
        fetched = 0
        aside = target
        for _ in range(2):
            with self._open_part(file, target) as part:
                if (found := self._existing(file, target)) is not None:  # another process was quicker
                    return found
                transfer = self._transfer(file, part, lanes)
                digest = transfer.run()
                fetched += transfer.bytes_fetched
                if self._is_expected(file, digest, part.path):
                    part.finish(target)
                    self.cached.learn(file, commit=self.commit, digest=digest)
                    return Downloaded(file=file, path=target, sha256=digest, bytes_fetched=fetched)
                aside = target.with_name(f"{target.name}.damaged")
                part.finish(aside)
                self._note_damaged(target, aside)
        raise self._damaged(file, aside)

    def _damaged(self, file: RepositoryFile, aside: Path) -> VerificationFailed:
        expected = f"sha256:{file.sha256}" if file.sha256 else f"the Git object {file.git_oid}"
        return VerificationFailed(
            f"checksum mismatch after two downloads of {file.path} of {self.repository}: expected {expected}",
            hint=f"the last one is kept as {aside}; check the network, a mirror if you use one, and the disk",
        )

    def _open_part(self, file: RepositoryFile, target: Path) -> PartFile:
        part = self._part(file)
        with disk_errors(part):
            part.parent.mkdir(parents=True, exist_ok=True)
        digest = file.sha256 or file.git_oid
        is_blob = self.folder is None and self.cached.has_blobs
        return PartFile(
            part,
            named=target,
            size=file.size,
            segment=segment_bytes(file.size, self._connections),
            identity=identity_of(digest=digest, mark=self._open_site(file).mark(file)),
            start_of=target.with_name(f"{target.name}.incomplete") if is_blob else None,
            wait=self._waiter(file),
        )

    def _transfer(self, file: RepositoryFile, part: PartFile, lanes: threading.Semaphore) -> Transfer:
        return Transfer(
            self._open_site(file).remote_file(self.repository, file, commit=self.commit),
            part,
            connections=self._connections,
            lanes=lanes,
            report=self._reporter("downloading", file),
            report_hashing=self._reporter("checking", file),
            check=self._check,
        )

    @property
    def _connections(self) -> int:
        return 1 if self.site is None else self.site.settings.connections

    def _open_site(self, file: RepositoryFile) -> Site:
        if self.site is None:
            raise NotFound(
                f"{file.path} of {self.repository} is not in the cache, and HF_HUB_OFFLINE is set",
                hint="unset HF_HUB_OFFLINE to download it",
            )
        return self.site

    def _checked_digest(self, file: RepositoryFile, path: Path) -> str | None:
        if file.sha256 is None:
            return None
        digest = self._digest(file, path)
        if digest != file.sha256:
            raise VerificationFailed(
                f"{path} is damaged: checksum mismatch, expected sha256:{file.sha256}",
                hint="unset HF_HUB_OFFLINE to download it again",
            )
        return digest

    def _existing(self, file: RepositoryFile, path: Path) -> Downloaded | None:
        """Return the file if it is there, and is what is wanted."""
        if not path.is_file() or path.stat().st_size != file.size:
            return None
        if file.sha256 is None and file.git_oid is None:
            # no digest is known: what the cache lists without a network is what it has
            return Downloaded(file=file, path=path, sha256=None) if self.site is None else None
        digest = None if file.sha256 is None else self._digest(file, path)
        if not self._is_expected(file, digest, path):
            return None
        return Downloaded(file=file, path=path, sha256=digest)

    def _is_expected(self, file: RepositoryFile, digest: str | None, path: Path) -> bool:
        """Return whether a file has the digest that its site lists; true where it lists none."""
        if file.sha256 is not None:
            return digest == file.sha256
        return file.git_oid is None or git_oid(path) == file.git_oid

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
        """Keep a file with another digest than its site lists, under a name that says so."""
        aside = target.with_name(f"{target.name}.damaged")
        with disk_errors(path):
            path.replace(aside)
        self._note_damaged(target, aside)
        return aside

    def _note_damaged(self, target: Path, aside: Path) -> None:
        self.notify(f"Checksum mismatch of {target.name}; the file is kept as {aside}, downloading it again")

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

    def _waiter(self, file: RepositoryFile) -> Callable[[], None]:
        """Return what is called while another process downloads a file."""
        is_noted = False

        def wait_on() -> None:
            nonlocal is_noted
            self._check()
            if not is_noted:
                self.notify(f"Waiting for another process that downloads {file.name}")
            is_noted = True

        return wait_on

    def _reporter(self, verb: str, file: RepositoryFile) -> Callable[[int], None]:
        def report(done: int) -> None:
            self.progress(Update(task=f"{verb} {file.name}", done=done, total=file.size))

        return report

    def _check(self) -> None:
        if self._stop.is_set():
            raise _StoppedError


def git_oid(path: Path) -> str:
    """Return the digest that Git gives the bytes of a file (a blob's SHA-1); for files outside of LFS."""
    state = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with disk_errors(path), path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            state.update(piece)
    return state.hexdigest()


def _allocated_bytes(path: Path) -> int:
    """Return the bytes of the disk that a file takes, which may have holes; 0 where that is not known."""
    with contextlib.suppress(OSError):
        return getattr(path.stat(), "st_blocks", 0) * 512
    return 0
