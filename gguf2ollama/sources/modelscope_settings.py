"""Where ModelScope is, and where its files are kept: as its own library reads the environment.

The variables and the layout are those of modelscope_hub 0.5.1 (``config.py``, ``_download.py``).
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import SiteKey
from gguf2ollama.sources.cache import CachedRepository, file_lock, list_files, nothing_here
from gguf2ollama.sources.gguf_files import RepositoryFile
from gguf2ollama.sources.settings import SiteSettings, is_endpoint, is_true, plain_token

__all__ = ["ModelScopeCache", "ModelScopeSettings"]

_URLS: dict[SiteKey, str] = {"ms": "https://modelscope.cn", "ms-ai": "https://www.modelscope.ai"}
_MOST_COOKIES = 1 << 20  # bytes
_UNFINISHED = (".incomplete", ".damaged")


@dataclass(frozen=True, kw_only=True)
class ModelScopeSettings(SiteSettings):
    """How ModelScope is used."""

    default_revision: ClassVar[str] = "master"

    key: str = "ms"

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, *, key: SiteKey = "ms"
    ) -> ModelScopeSettings:
        """Read ``MODELSCOPE_ENDPOINT`` (or ``_DOMAIN``), ``MODELSCOPE_API_TOKEN``, ``MODELSCOPE_CACHE``.

        Where ``MODELSCOPE_API_TOKEN`` is not set, the token is the one of ``modelscope login``. ModelScope
        has no variable for having no network; ``HF_HUB_OFFLINE`` says it for this site, too.

        Raises:
            UsageProblem: One of them cannot be used.
        """
        told = environ.get("MODELSCOPE_ENDPOINT") or environ.get("MODELSCOPE_DOMAIN") or _URLS[key]
        endpoint = (told if "://" in told else f"https://{told}").strip().rstrip("/")
        if not is_endpoint(endpoint):
            raise UsageProblem("MODELSCOPE_ENDPOINT is no address of a site", hint=f"one reads {_URLS['ms']}")
        is_offline = is_true(environ, "HF_HUB_OFFLINE")
        cache = environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope"
        return cls(
            key=key,
            endpoint=endpoint,
            cache=Path(cache).expanduser(),
            token=None if is_offline else _token(environ),
            is_offline=is_offline,
        )

    @property
    def own_headers(self) -> Mapping[str, str]:
        """What tells the site who asks: its older parts read the cookie, its newer ones the other."""
        if not self.token:
            return {}
        return {"Authorization": f"Bearer {self.token}", "Cookie": f"m_session_id={self.token}"}

    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository at a revision."""
        return ModelScopeCache(cache=self.cache, name=name, revision=revision)


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
        raise nothing_here(self.name, revision, self.cache)

    def files(self, *, commit: str) -> list[RepositoryFile]:
        """List the files that are there."""
        del commit
        return [file for file in list_files(self._snapshot) if not file.path.endswith(_UNFINISHED)]

    def locked(self, file: RepositoryFile, *, commit: str) -> AbstractContextManager[None]:
        """Hold the lock that the library takes for a file."""
        del commit
        key = f"modelscope-hub-download-lock-v2\0file\0model\0{self.name}\0{file.path}"
        return file_lock(self.cache / ".lock" / f"file_{sha256(key.encode()).hexdigest()}.lock")

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


def _token(environ: Mapping[str, str]) -> str | None:
    """Return the token as the library finds it, in the environment or where ``modelscope login`` put it."""
    told = environ.get("MODELSCOPE_API_TOKEN")
    if told is None:
        told = _login(Path(environ.get("MODELSCOPE_HOME") or "~/.modelscope").expanduser())
    return plain_token(told or "", hint="check MODELSCOPE_API_TOKEN, or `modelscope login` again")


def _login(home: Path) -> str | None:
    """Read the token out of the cookies that the library keeps, a pickle; what cannot be read is none."""
    with contextlib.suppress(Exception):  # a pickle may hold anything
        with (home / "credentials" / "cookies").open("rb") as stream:
            content = stream.read(_MOST_COOKIES)
        jar = _Cookies(io.BytesIO(content)).load()
        for by_path in vars(jar)["_cookies"].values():
            for by_name in by_path.values():
                if (cookie := by_name.get("m_session_id")) is not None:
                    told = vars(cookie)
                    is_over = told.get("expires") is not None and told["expires"] <= time.time()
                    return None if is_over else str(told["value"])
    return None


class _Bag:
    """Stands for every object in a pickle, and does nothing."""


class _Cookies(pickle.Unpickler):
    """Reads what objects held, and makes none of them."""

    def find_class(self, _module: str, _name: str, /) -> Any:  # noqa: ANN401 - the signature of the base
        return _Bag
