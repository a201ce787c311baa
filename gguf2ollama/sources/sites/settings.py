"""How the sites are used: where each is, its token, and where its files are kept.

All of it comes from the environment, from the variables that every tool of a site reads: those of the Hub are
in https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables, those of ModelScope in
modelscope_hub 0.5.1 (``config.py``).
"""

from __future__ import annotations

import abc
import contextlib
import io
import os
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gguf2ollama._dataclass import dataclass
from gguf2ollama._text import without_credentials
from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.homes import expand_home, in_home
from gguf2ollama.names import HubSource, SiteKey, UrlSource
from gguf2ollama.net import public_url
from gguf2ollama.sources.cache import CachedRepository, HubCache, ModelScopeCache, UrlCache

__all__ = [
    "CONNECTIONS",
    "HUB_URL",
    "HubSettings",
    "ModelScopeSettings",
    "SiteSettings",
    "UrlSettings",
    "settings_for",
]

HUB_URL = "https://huggingface.co"
CONNECTIONS = 8
"""Connections over which files are downloaded: a content delivery network limits the speed of each."""

_MODELSCOPE_URLS: dict[SiteKey, str] = {"ms": "https://modelscope.cn", "ms-ai": "https://www.modelscope.ai"}
_TRUE = {"1", "ON", "YES", "TRUE"}
_MOST_CONNECTIONS = 64
_MOST_COOKIES = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class SiteSettings(abc.ABC):
    """How a site is used that keeps models.

    Attributes:
        default_revision: The branch that is meant where none is named.
        key: What the site is called in front of ``://``.
        endpoint: Its URL, without a slash at the end.
        cache: The folder that all its tools share.
        token: What is sent to it, and never shown.
        is_offline: Whether only what is in the cache is used.
        wants_xet: Whether the site's library is to download what is kept in Xet, by hf_xet.
        connections: Over how many connections files are downloaded at most.
    """

    default_revision: ClassVar[str] = "main"

    key: str = "hf"
    endpoint: str
    cache: Path
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False
    wants_xet: bool = False
    connections: int = CONNECTIONS

    @property
    def own_headers(self) -> Mapping[str, str]:
        """The credentials; they are sent to the site's own scheme, host and port alone."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @abc.abstractmethod
    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository, as it was asked for by the name of a revision."""


@dataclass(frozen=True, kw_only=True)
class HubSettings(SiteSettings):
    """How the Hub is used."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> HubSettings:
        """Read ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``.

        Where ``HF_TOKEN`` is not set, the token is the one of ``hf auth login``. Xet is switched on by
        ``HF_XET_HIGH_PERFORMANCE``: it starts over after a kill, and its bytes are hashed only in the end.

        Raises:
            UsageProblem: One of them cannot be used.
        """
        endpoint = (environ.get("HF_ENDPOINT") or HUB_URL).rstrip("/")
        if not _is_endpoint(endpoint):
            raise UsageProblem(
                f"invalid HF_ENDPOINT {without_credentials(endpoint)!r}", hint=f"use a URL such as {HUB_URL}"
            )
        is_offline = _is_true(environ, "HF_HUB_OFFLINE") or _is_true(environ, "TRANSFORMERS_OFFLINE")
        home = _hub_home(environ)
        cache = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
        return cls(
            endpoint=endpoint,
            cache=_expanded(cache) if cache else home / "hub",
            token=None if is_offline else _hub_token(environ, home=home),
            is_offline=is_offline,
            wants_xet=_is_true(environ, "HF_XET_HIGH_PERFORMANCE")
            and not _is_true(environ, "HF_HUB_DISABLE_XET")
            and find_spec("hf_xet") is not None,
            connections=_connections(environ),
        )

    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository."""
        del revision  # every commit has a folder
        return HubCache(cache=self.cache, name=name)


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
        named = (
            environ.get("MODELSCOPE_ENDPOINT") or environ.get("MODELSCOPE_DOMAIN") or _MODELSCOPE_URLS[key]
        )
        endpoint = (named if "://" in named else f"https://{named}").strip().rstrip("/")
        if not _is_endpoint(endpoint):
            hint = f"use a URL such as {_MODELSCOPE_URLS['ms']}"
            raise UsageProblem(f"invalid MODELSCOPE_ENDPOINT {without_credentials(endpoint)!r}", hint=hint)
        is_offline = _is_true(environ, "HF_HUB_OFFLINE")
        return cls(
            key=key,
            endpoint=endpoint,
            cache=_modelscope_cache(environ),
            token=None if is_offline else _modelscope_token(environ),
            is_offline=is_offline,
            connections=_connections(environ),
        )

    @property
    def own_headers(self) -> Mapping[str, str]:
        """The credentials: the site's older parts read the cookie, its newer ones the other."""
        if not self.token:
            return {}
        return {"Authorization": f"Bearer {self.token}", "Cookie": f"m_session_id={self.token}"}

    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository at a revision."""
        return ModelScopeCache(cache=self.cache, name=name, revision=revision)


@dataclass(frozen=True, kw_only=True)
class UrlSettings(SiteSettings):
    """How a file at a URL is fetched.

    Attributes:
        url: The URL; its query may be a signature, and is never shown.
    """

    key: str = "url"
    url: str = field(repr=False)

    @classmethod
    def from_environment(cls, url: str, environ: Mapping[str, str] = os.environ) -> UrlSettings:
        """Keep downloads in the user's cache folder.

        Raises:
            UsageProblem: It is not a URL of a file.
        """
        parts = urlsplit(public_url(url))
        return cls(
            endpoint=f"{parts.scheme}://{parts.netloc}",
            cache=_own_cache() / "downloads",
            url=url,
            connections=_connections(environ),
        )

    def cached(self, name: str, *, revision: str) -> UrlCache:
        """Return where downloads of this URL are kept."""
        del name, revision
        return UrlCache(cache=self.cache)


def settings_for(source: HubSource | UrlSource) -> SiteSettings:
    """Read from the environment how the site of a source is used.

    Raises:
        UsageProblem: A variable cannot be used.
    """
    if isinstance(source, UrlSource):
        return UrlSettings.from_environment(source.url)
    if source.site == "hf":
        return HubSettings.from_environment()
    return ModelScopeSettings.from_environment(key=source.site)


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is set to what huggingface_hub takes for yes."""
    return environ.get(name, "").upper() in _TRUE


def _expanded(path: str) -> Path:
    return expand_home(os.path.expandvars(path))


def _own_cache() -> Path:
    if (folder := cache_folder()) is None:
        raise UsageProblem("this user has no cache directory", hint="set XDG_CACHE_HOME to a directory")
    return folder


def _connections(environ: Mapping[str, str]) -> int:
    text = environ.get("GGUF2OLLAMA_CONNECTIONS") or str(CONNECTIONS)
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0  # noqa: PLR2004
    if not 1 <= count <= _MOST_CONNECTIONS:
        raise UsageProblem(
            f"invalid GGUF2OLLAMA_CONNECTIONS {text[:20]!r}",
            hint=f"use a number from 1 to {_MOST_CONNECTIONS}",
        )
    return count


# tokens


def _plain_token(text: str, *, name: str, hint: str) -> str | None:
    """Return a token as it can stand in a header; ``None`` for an empty one."""
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageProblem(f"{name} contains invalid characters", hint=hint)
    return token or None


def _hub_home(environ: Mapping[str, str]) -> Path:
    if home := environ.get("HF_HOME"):
        return _expanded(home)
    if base := environ.get("XDG_CACHE_HOME"):
        return expand_home(base) / "huggingface"
    return in_home(".cache", "huggingface", variable="HF_HOME")


def _modelscope_cache(environ: Mapping[str, str]) -> Path:
    if named := environ.get("MODELSCOPE_CACHE"):
        return expand_home(named)
    return in_home(".cache", "modelscope", variable="MODELSCOPE_CACHE")


def _hub_token(environ: Mapping[str, str], *, home: Path) -> str | None:
    """Return the token as huggingface_hub finds it (``get_token`` of its ``utils/_auth.py``).

    It is asked only for what it alone can do: exchange an identity of CI, renew a token of OAuth, open the
    vault of Colab; its import takes 0.2 s.
    """
    if _is_true(environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    hint = "check HF_TOKEN, or run: hf auth login"
    named = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    if named and not environ.get("HF_OIDC_RESOURCE"):
        return _plain_token(named, name="HF_TOKEN", hint=hint)
    path = _expanded(environ.get("HF_TOKEN_PATH") or str(home / "token"))
    kept = _text(path)
    is_renewed = bool(kept) and "refresh_token" in _text(path.with_name("stored_tokens"))
    if is_renewed or environ.get("HF_OIDC_RESOURCE") or (not kept and "google.colab" in sys.modules):
        from huggingface_hub import get_token  # noqa: PLC0415 - 200 ms of import

        kept = get_token() or ""
    return _plain_token(kept, name=f"the token in {path}", hint=hint)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def _modelscope_token(environ: Mapping[str, str]) -> str | None:
    """Return the token as the library finds it, in the environment or where ``modelscope login`` put it."""
    token = environ.get("MODELSCOPE_API_TOKEN")
    if token is None:
        named = environ.get("MODELSCOPE_HOME")
        token = _login(expand_home(named) if named else in_home(".modelscope", variable="MODELSCOPE_HOME"))
    hint = "check MODELSCOPE_API_TOKEN, or run: modelscope login"
    return _plain_token(token or "", name="MODELSCOPE_API_TOKEN", hint=hint)


def _login(home: Path) -> str | None:
    """Read the token out of the cookies that the library keeps, a pickle; ``None`` if it cannot be read."""
    with contextlib.suppress(Exception):  # a pickle may hold anything
        with (home / "credentials" / "cookies").open("rb") as stream:
            content = stream.read(_MOST_COOKIES)
        jar = _Cookies(io.BytesIO(content)).load()
        for by_path in vars(jar)["_cookies"].values():
            for by_name in by_path.values():
                if (cookie := by_name.get("m_session_id")) is not None:
                    values = vars(cookie)
                    is_over = values.get("expires") is not None and values["expires"] <= time.time()
                    return None if is_over else str(values["value"])
    return None


class _Bag:
    """Stands for every object in a pickle, and does nothing."""


class _Cookies(pickle.Unpickler):
    """Reads what objects held, and makes none of them."""

    def find_class(self, _module: str, _name: str, /) -> Any:  # noqa: ANN401 - the signature of the base
        return _Bag
