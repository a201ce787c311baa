"""Where a site is, and where its files are kept: as the environment tells every tool of it."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from gguf2ollama.errors import UsageProblem
from gguf2ollama.sources.cache import CachedRepository, HubCache

__all__ = ["HUB_URL", "HubSettings", "SiteSettings", "is_endpoint", "is_true", "plain_token"]

HUB_URL = "https://huggingface.co"
_TRUE = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True, kw_only=True)
class SiteSettings(abc.ABC):
    """How a site is used that keeps models.

    Attributes:
        default_revision: The branch that is meant where none is named.
        key: What the site is called in front of ``://``.
        endpoint: Its address, without a slash at the end.
        cache: The folder that all its tools share.
        token: What is sent to it, and never shown.
        is_offline: Whether only what is in the cache is used.
        wants_xet: Whether the site's library is to download what is kept in Xet, by hf_xet.
    """

    default_revision: ClassVar[str] = "main"

    key: str = "hf"
    endpoint: str
    cache: Path
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False
    wants_xet: bool = False

    @property
    def own_headers(self) -> Mapping[str, str]:
        """What tells the site who asks; it is sent to its own scheme, host and port alone."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @abc.abstractmethod
    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository, as it was asked for by the name of a revision."""


@dataclass(frozen=True, kw_only=True)
class HubSettings(SiteSettings):
    """How the Hub is used.

    The variables are those of huggingface_hub
    (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables).
    """

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> HubSettings:
        """Read ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``.

        Where ``HF_TOKEN`` is not set, the token is the one of ``hf auth login``. Xet has to be asked for by
        ``HF_XET_HIGH_PERFORMANCE``: it begins anew after a kill, and its bytes are hashed only in the end.

        Raises:
            UsageProblem: One of them cannot be used.
        """
        endpoint = (environ.get("HF_ENDPOINT") or HUB_URL).rstrip("/")
        if not is_endpoint(endpoint):
            raise UsageProblem("HF_ENDPOINT is no address of a Hub", hint=f"one reads {HUB_URL}")
        is_offline = is_true(environ, "HF_HUB_OFFLINE") or is_true(environ, "TRANSFORMERS_OFFLINE")
        return cls(
            endpoint=endpoint,
            cache=_cache(environ),
            token=None if is_offline else _token(environ),
            is_offline=is_offline,
            wants_xet=is_true(environ, "HF_XET_HIGH_PERFORMANCE")
            and not is_true(environ, "HF_HUB_DISABLE_XET")
            and find_spec("hf_xet") is not None,
        )

    def cached(self, name: str, *, revision: str) -> CachedRepository:
        """Return what the cache holds of a repository."""
        del revision  # every commit has a folder
        return HubCache(
            cache=self.cache,
            name=name,
            endpoint=self.endpoint,
            token=self.token,
            is_offline=self.is_offline,
        )


def is_endpoint(text: str) -> bool:
    """Return whether a text is the address of a site."""
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def plain_token(text: str, *, hint: str) -> str | None:
    """Return a token as it can stand in a header; ``None`` for an empty one.

    Raises:
        UsageProblem: It holds characters that none has.
    """
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageProblem("the token holds characters that none has", hint=hint)
    return token or None


def is_true(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is set to what huggingface_hub takes for yes."""
    return environ.get(name, "").upper() in _TRUE


def _cache(environ: Mapping[str, str]) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if told := environ.get(name):
            return Path(os.path.expandvars(told)).expanduser()
    if home := environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def _token(environ: Mapping[str, str]) -> str | None:
    """Return the token as the library finds it, in the environment or where ``hf auth login`` put it."""
    if is_true(environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    token = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    if not token:
        from huggingface_hub import get_token  # noqa: PLC0415 - 200 ms of import

        token = get_token()
    return plain_token(token or "", hint="check HF_TOKEN, or `hf auth login` again")
