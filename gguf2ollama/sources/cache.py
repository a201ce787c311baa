"""Where the files of a repository are kept, so that other tools find them and they come only once."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, NotFound
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile

__all__ = [
    "CachedRepository",
    "HubCache",
    "ModelScopeCache",
    "UrlCache",
    "discard_download",
    "file_lock",
]

_SHA256 = lazy_pattern(r"[0-9a-f]{64}")
_COMMIT = lazy_pattern(r"[0-9a-f]{40}")
_MOST_FILES = 100_000
_UNFINISHED = (".incomplete", ".ranges", ".damaged")
_LOCK_SECONDS = 0.5


class CachedRepository(abc.ABC):
    """What a cache holds of one repository.

    Attributes:
        has_blobs: Whether bytes are kept under their digest, so that others under that name are damaged.
    """

    has_blobs: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def root(self) -> Path:
        """The folder of the repository."""

    @abc.abstractmethod
    def path(self, file: str, *, commit: str) -> Path:
        """Where a file of a commit is, or will be, under its own name."""

    def place(self, file: RepositoryFile, *, commit: str) -> Path:
        """Where the bytes of a file are, or will be."""
        return self.path(file.path, commit=commit)

    @abc.abstractmethod
    def commit_of(self, revision: str) -> str:
        """Return which commit a revision named when it was last asked for.

        Raises:
            NotFound: Nothing of it is in the cache.
        """

    @abc.abstractmethod
    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files of a commit that are there."""

    @abc.abstractmethod
    def lock_path(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return the lock that all tools take for a file, so that only one downloads it at a time."""

    def link(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return the path of a file under its own name, once its bytes are there."""
        return self.path(file.path, commit=commit)

    def learn(self, file: RepositoryFile, *, commit: str, digest: str) -> None:
        """Remember the digest of a file that came whole, where the site lists none."""
        del file, commit, digest

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or a tag names, where no folder's name says it."""
        del revision, commit


@dataclass(frozen=True, kw_only=True)
class HubCache(CachedRepository):
    """The cache that all tools of the Hub share, as huggingface_hub lays it out.

    ``models--OWNER--REPO`` holds ``blobs``, named by their sha256, or for files outside of LFS by the digest
    that Git gives them; ``snapshots/COMMIT``, with the names of the repository as links to blobs; and
    ``refs``, the commits of branches (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).

    Attributes:
        cache: The cache's folder.
        name: ``owner/repo``.
    """

    has_blobs: ClassVar[bool] = True

    cache: Path
    name: str

    @property
    def root(self) -> Path:
        """The folder of the repository."""
        return self.cache / self._folder_name

    def blob(self, digest: str) -> Path:
        """Where the bytes with that digest are, or will be."""
        return self.root / "blobs" / digest

    def place(self, file: RepositoryFile, *, commit: str) -> Path:
        """Where the bytes of a file are, or will be."""
        digest = file.sha256 or file.git_oid
        return self.blob(digest) if digest else self.path(file.path, commit=commit)

    def path(self, file: str, *, commit: str) -> Path:
        """Where a file of a commit is, or will be, under its own name."""
        return self.root.joinpath("snapshots", commit, *file.split("/"))

    def commit_of(self, revision: str) -> str:
        """Return which commit a revision named when it was last asked for.

        Raises:
            NotFound: Nothing of it is in the cache.
        """
        if _COMMIT.fullmatch(revision):
            return revision
        with contextlib.suppress(OSError, UnicodeError):
            commit = self.root.joinpath("refs", *revision.split("/")).read_text(encoding="ascii").strip()
            if _COMMIT.fullmatch(commit):
                return commit
        raise _nothing_here(self.name, revision, self.cache)

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files of a commit that are there."""
        return _list_files(self.root / "snapshots" / commit)

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or a tag names, for calls without a network."""
        if _COMMIT.fullmatch(revision):
            return
        target = self.root.joinpath("refs", *revision.split("/"))
        with contextlib.suppress(OSError):  # a cache that may only be read
            if not target.exists() or target.read_text(encoding="ascii") != commit:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(commit, encoding="ascii")

    def lock_path(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return the lock that the library takes for a blob."""
        return self.cache / ".locks" / self._folder_name / f"{self.place(file, commit=commit).name}.lock"

    def link(self, file: RepositoryFile, *, commit: str) -> Path:
        """Give a blob that is there the file's name in the snapshot, as the library does.

        Where symbolic links cannot be made (Windows without its developer mode), it is a hard link; where
        links cannot be made at all (exFAT, many shares), the blob gets that name and no other.
        """
        blob, path = self.place(file, commit=commit), self.path(file.path, commit=commit)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path == blob or (path.exists() and path.samefile(blob)):
                return path
            temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.incomplete")
            try:
                (temporary if _link(blob, temporary, named=path) else blob).replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        return path

    @property
    def _folder_name(self) -> str:
        return f"models--{self.name.replace('/', '--')}"


@dataclass(frozen=True, kw_only=True)
class ModelScopeCache(CachedRepository):
    """The cache that the tools of ModelScope share.

    ``models/OWNER--REPO/snapshots/REVISION`` holds the files under their names, where ``REVISION`` is what
    was asked for, a branch too; so what is there may be older. A folder of a library before 1.38, which wrote
    ``models/OWNER/REPO`` with ``___`` for each dot, goes before it, as it does for the library.

    Attributes:
        cache: The cache's folder.
        name: ``owner/repo``.
        revision: What was asked for.
    """

    cache: Path
    name: str
    revision: str

    @property
    def root(self) -> Path:
        """The folder of the repository."""
        return self._older or self.cache / "models" / self.name.replace("/", "--")

    def path(self, file: str, *, commit: str) -> Path:
        """Where a file is, or will be."""
        del commit
        return self._snapshot.joinpath(*file.split("/"))

    def commit_of(self, revision: str) -> str:
        """Return the revision itself, where the cache holds anything of it.

        Raises:
            NotFound: Nothing of it is in the cache.
        """
        if self._snapshot.is_dir():
            return revision
        raise _nothing_here(self.name, revision, self.cache)

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files that are there."""
        del commit
        return [file for file in _list_files(self._snapshot) if not file.path.endswith(_UNFINISHED)]

    def lock_path(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return the lock that the library takes for a file."""
        del commit
        key = f"modelscope-hub-download-lock-v2\0file\0model\0{self.name}\0{file.path}"
        return self.cache / ".lock" / f"file_{hashlib.sha256(key.encode()).hexdigest()}.lock"

    @property
    def _snapshot(self) -> Path:
        return self._older or self.root.joinpath("snapshots", *self.revision.split("/"))

    @property
    def _older(self) -> Path | None:
        """The folder of an older library, if there is anything in it."""
        owner, _, repo = self.name.partition("/")
        for base in (self.cache, self.cache / "hub"):
            folder = base / "models" / owner / repo.replace(".", "___")
            with contextlib.suppress(OSError):
                if next(folder.iterdir(), None) is not None:
                    return folder
        return None


@dataclass(frozen=True, kw_only=True)
class UrlCache(CachedRepository):
    """Downloads, in a folder for each state of what a URL leads to."""

    cache: Path

    @property
    def root(self) -> Path:
        """The folder of all downloads."""
        return self.cache

    def path(self, file: str, *, commit: str) -> Path:
        """Where a file is, or will be."""
        return self.cache / commit / file

    def commit_of(self, revision: str) -> str:
        """Return nothing: no state of it has a name."""
        del revision
        return ""

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """Return none: without a network it is not known what a URL has."""
        del commit
        return []

    def lock_path(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return a lock of our own."""
        return self.cache / commit / f".{file.path}.lock"

    def learn(self, file: RepositoryFile, *, commit: str, digest: str) -> None:
        """Remember the digest of a file that came whole."""
        target = self._digest_path(file.path, commit=commit)
        with contextlib.suppress(OSError, Gguf2OllamaError):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(target) as stream:
                stream.write(f"{digest}\n".encode())

    def digest(self, file: str, *, commit: str) -> str | None:
        """Return the digest of a file that came whole before."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            digest = self._digest_path(file, commit=commit).read_text(encoding="ascii").strip()
            return digest if _SHA256.fullmatch(digest) else None
        return None

    def _digest_path(self, file: str, *, commit: str) -> Path:
        return self.cache / commit / f".{file}.sha256"


def _link(blob: Path, link: Path, *, named: Path) -> bool:
    """Link to a blob, for a file of another name in the same folder; return whether links can be made."""
    try:
        link.symlink_to(os.path.relpath(blob, named.parent))
    except OSError:
        try:
            os.link(blob, link)
        except OSError:
            return False
    return True


def discard_download(path: Path) -> None:
    """Remove a file from its cache: where its name is a link, also the blob that it leads to.

    Raises:
        UsageProblem: It cannot be removed.
    """
    with disk_errors(path):
        if path.is_symlink():
            path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def file_lock(path: Path, *, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock as the libraries of the sites hold theirs.

    Args:
        path: The lock's file.
        wait: Called each half second while another process holds it; raises to give up.
    """
    import filelock  # noqa: PLC0415 - 40 ms of import

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock: filelock.BaseFileLock = filelock.FileLock(path, mode=0o664)
        while True:
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
                break
            except filelock.Timeout:
                wait()
            except NotImplementedError:  # a file system without locks
                lock = filelock.SoftFileLock(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


def _nothing_here(name: str, revision: str, cache: Path) -> NotFound:
    """Return the error for what is not in the cache, where there is no network."""
    return NotFound(
        f"{name} at {revision} is not in the cache {cache}, and HF_HUB_OFFLINE is set",
        hint="unset HF_HUB_OFFLINE to download it",
    )


def _list_files(folder: Path) -> list[RepositoryFile]:
    """List the files below a folder; one that is a link to a name of 64 digits has that digest."""
    return sorted(_files(folder), key=lambda file: file.path)


def _files(folder: Path) -> Iterator[RepositoryFile]:
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with contextlib.suppress(OSError):
                # one step: newer libraries link blobs on to a store for all repositories, by another digest
                target = path.readlink().name if path.is_symlink() else path.name
                digest = target if _SHA256.fullmatch(target) else None
                name_there = path.relative_to(folder).as_posix()
                yield RepositoryFile(path=name_there, size=path.stat().st_size, sha256=digest)
            count += 1
            if count > _MOST_FILES:
                return
