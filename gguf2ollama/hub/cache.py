"""The cache that all tools of the Hub share, as huggingface_hub lays it out.

``models--OWNER--REPO`` holds ``blobs``, named by digest; ``snapshots/COMMIT``, with the names of the
repository as links to blobs; and ``refs``, the commits of branches. The library makes the links and takes the
locks (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import NotFound, ServerRefused
from gguf2ollama.hub.settings import HubSettings
from gguf2ollama.hub.variants import RepositoryFile

__all__ = ["CachedRepository"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_FILES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedRepository:
    """What the cache holds of one repository.

    Attributes:
        cache: The cache's folder.
        name: ``owner/repo``.
    """

    cache: Path
    name: str

    @property
    def root(self) -> Path:
        """The folder of the repository."""
        return self.cache / self._folder_name

    def blob(self, digest: str) -> Path:
        """Where the bytes with that digest are, or will be."""
        return self.root / "blobs" / digest

    def path(self, file: str, *, commit: str) -> Path:
        """Where a file of a commit is, or will be, under its own name."""
        return self.root.joinpath("snapshots", commit, *file.split("/"))

    def commit_of(self, revision: str) -> str:
        """Tell which commit a revision named when it was last asked for.

        Raises:
            NotFound: Nothing of it is in the cache.
        """
        if _COMMIT.fullmatch(revision):
            return revision
        with contextlib.suppress(OSError, UnicodeError):
            commit = self.root.joinpath("refs", *revision.split("/")).read_text(encoding="ascii").strip()
            if _COMMIT.fullmatch(commit):
                return commit
        raise NotFound(
            f"nothing of {self.name} at {revision} is in {self.cache}, and HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE to ask the Hub",
        )

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files of a commit that are there."""
        return sorted(self._files(self.root / "snapshots" / commit), key=lambda file: file.path)

    def note_revision(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or a tag names, for calls without a network."""
        if _COMMIT.fullmatch(revision):
            return
        target = self.root.joinpath("refs", *revision.split("/"))
        with contextlib.suppress(OSError):  # a cache that may only be read
            if not target.exists() or target.read_text(encoding="ascii") != commit:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(commit, encoding="ascii")

    @contextlib.contextmanager
    def locked(self, digest: str) -> Iterator[None]:
        """Hold the lock that the library takes for a blob, so that only one tool downloads it at a time."""
        from huggingface_hub import utils  # noqa: PLC0415 - 200 ms of import

        path = self.cache / ".locks" / self._folder_name / f"{digest}.lock"
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with utils.WeakFileLock(path):  # type: ignore[attr-defined]
            yield

    def link(self, file: str, *, commit: str, settings: HubSettings) -> Path:
        """Let the library make the link to a blob that is there, or get a file that has none in LFS.

        Raises:
            ServerRefused: It could not.
        """
        import huggingface_hub  # noqa: PLC0415 - 300 ms of import

        try:
            found = huggingface_hub.hf_hub_download(
                self.name,
                file,
                revision=commit,
                cache_dir=self.cache,
                endpoint=settings.endpoint,
                token=settings.token or False,
                local_files_only=settings.is_offline,
            )
        except (OSError, ValueError) as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise ServerRefused(
                f"huggingface_hub could not put {file} of {self.name} into {self.cache}: {told}",
                hint="run the same command again; what was downloaded is kept",
            ) from error
        return Path(found)

    @property
    def _folder_name(self) -> str:
        return f"models--{self.name.replace('/', '--')}"

    def _files(self, folder: Path) -> Iterator[RepositoryFile]:
        count = 0
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    target = path.resolve(strict=True).name
                    digest = target if _SHA256.fullmatch(target) else None
                    told = path.relative_to(folder).as_posix()
                    yield RepositoryFile(path=told, size=path.stat().st_size, sha256=digest)
                count += 1
                if count > _MOST_FILES:
                    return
