"""Where the files of a repository are kept, so that other tools find them and they come only once."""

from __future__ import annotations

import abc
import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gguf2ollama.errors import NotFound, ServerRefused
from gguf2ollama.fs.atomic import disk_errors
from gguf2ollama.sources.gguf_files import RepositoryFile

__all__ = ["CachedRepository", "HubCache", "file_lock", "list_files", "nothing_here"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_FILES = 100_000


class CachedRepository(abc.ABC):
    """What a cache holds of one repository.

    Attributes:
        has_blobs: Whether bytes are kept under their digest, so that others under that name are damaged.
        has_library: Whether a library of the site's own makes the links, and gets what is kept in Git itself.
    """

    has_blobs: ClassVar[bool] = False
    has_library: ClassVar[bool] = False

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
    def locked(self, file: RepositoryFile, *, commit: str) -> AbstractContextManager[None]:
        """Hold the lock that other tools take for a file, so that only one downloads it at a time."""

    def link(self, file: RepositoryFile, *, commit: str) -> Path:
        """Return a file its own name, once its bytes are there.

        Raises:
            ServerRefused: It could not.
        """
        return self.path(file.path, commit=commit)

    def learn(self, file: RepositoryFile, *, commit: str, digest: str) -> None:
        """Remember the digest of a file that came whole, where the site tells none."""
        del file, commit, digest

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or a tag names, where no folder's name tells it."""
        del revision, commit


@dataclass(frozen=True, kw_only=True)
class HubCache(CachedRepository):
    """The cache that all tools of the Hub share, as huggingface_hub lays it out.

    ``models--OWNER--REPO`` holds ``blobs``, named by digest; ``snapshots/COMMIT``, with the names of the
    repository as links to blobs; and ``refs``, the commits of branches. The library makes the links
    (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).

    Attributes:
        cache: The cache's folder.
        name: ``owner/repo``.
        endpoint: The Hub's address, for what the library gets.
        token: What the library sends to it.
        is_offline: Whether the library may ask it.
    """

    has_blobs: ClassVar[bool] = True
    has_library: ClassVar[bool] = True

    cache: Path
    name: str
    endpoint: str
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False

    @property
    def root(self) -> Path:
        """The folder of the repository."""
        return self.cache / self._folder_name

    def blob(self, digest: str) -> Path:
        """Where the bytes with that digest are, or will be."""
        return self.root / "blobs" / digest

    def place(self, file: RepositoryFile, *, commit: str) -> Path:
        """Where the bytes of a file are, or will be."""
        return self.blob(file.sha256) if file.sha256 else self.path(file.path, commit=commit)

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
        raise nothing_here(self.name, revision, self.cache)

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files of a commit that are there."""
        return list_files(self.root / "snapshots" / commit)

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or a tag names, for calls without a network."""
        if _COMMIT.fullmatch(revision):
            return
        target = self.root.joinpath("refs", *revision.split("/"))
        with contextlib.suppress(OSError):  # a cache that may only be read
            if not target.exists() or target.read_text(encoding="ascii") != commit:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(commit, encoding="ascii")

    def locked(self, file: RepositoryFile, *, commit: str) -> AbstractContextManager[None]:
        """Hold the lock that the library takes for a blob, so that only one tool downloads it at a time."""
        del commit
        return file_lock(self.cache / ".locks" / self._folder_name / f"{file.sha256}.lock")

    def link(self, file: RepositoryFile, *, commit: str) -> Path:
        """Let the library make the link to a blob that is there, or get a file that has none in LFS.

        Raises:
            ServerRefused: It could not.
        """
        import huggingface_hub  # noqa: PLC0415 - 300 ms of import

        try:
            found = huggingface_hub.hf_hub_download(
                self.name,
                file.path,
                revision=commit,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                token=self.token or False,
                local_files_only=self.is_offline,
            )
        except Exception as error:  # of httpx in any version, of hf_xet in Rust
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise ServerRefused(
                f"huggingface_hub could not put {file.path} of {self.name} into {self.cache}: {told}",
                hint="run the same command again; what was downloaded is kept",
            ) from error
        return Path(found)

    @property
    def _folder_name(self) -> str:
        return f"models--{self.name.replace('/', '--')}"


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock as the libraries of the sites hold theirs."""
    from huggingface_hub import utils  # noqa: PLC0415 - 200 ms of import

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with utils.WeakFileLock(path):  # type: ignore[attr-defined]
        yield


def nothing_here(name: str, revision: str, cache: Path) -> NotFound:
    """Make the error for what is in no cache, where there is no network."""
    return NotFound(
        f"nothing of {name} at {revision} is in {cache}, and HF_HUB_OFFLINE is set",
        hint="unset HF_HUB_OFFLINE to ask for it",
    )


def list_files(folder: Path) -> list[RepositoryFile]:
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
                told = path.relative_to(folder).as_posix()
                yield RepositoryFile(path=told, size=path.stat().st_size, sha256=digest)
            count += 1
            if count > _MOST_FILES:
                return
