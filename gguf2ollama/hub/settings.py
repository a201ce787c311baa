"""Where the Hub is, and where its files are kept: as the environment tells every tool of it.

The variables are those of huggingface_hub
(https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from gguf2ollama.errors import UsageProblem

__all__ = ["HUB_URL", "HubSettings"]

HUB_URL = "https://huggingface.co"
_TRUE = {"1", "ON", "YES", "TRUE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """How the Hub is used.

    Attributes:
        endpoint: Its address, without a slash at the end.
        cache: The folder that all tools share.
        token: What is sent to it, and never shown.
        is_offline: Whether only what is in the cache is used.
        wants_xet: Whether the library is to download what the Hub keeps in Xet, by hf_xet.
    """

    endpoint: str
    cache: Path
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False
    wants_xet: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> HubSettings:
        """Read ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``.

        Where ``HF_TOKEN`` is not set, the token is the one of ``hf auth login``. Xet has to be asked for by
        ``HF_XET_HIGH_PERFORMANCE``: it begins anew after a kill, and its bytes are hashed only in the end.

        Raises:
            UsageProblem: One of them cannot be used.
        """
        endpoint = (environ.get("HF_ENDPOINT") or HUB_URL).rstrip("/")
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise UsageProblem("HF_ENDPOINT is no address of a Hub", hint=f"one reads {HUB_URL}")
        is_offline = _is_true(environ, "HF_HUB_OFFLINE") or _is_true(environ, "TRANSFORMERS_OFFLINE")
        return cls(
            endpoint=endpoint,
            cache=_cache(environ),
            token=None if is_offline else _token(environ),
            is_offline=is_offline,
            wants_xet=_is_true(environ, "HF_XET_HIGH_PERFORMANCE")
            and not _is_true(environ, "HF_HUB_DISABLE_XET")
            and find_spec("hf_xet") is not None,
        )


def _cache(environ: Mapping[str, str]) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if told := environ.get(name):
            return Path(os.path.expandvars(told)).expanduser()
    if home := environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "huggingface" / "hub"


def _token(environ: Mapping[str, str]) -> str | None:
    """Give the token as the library finds it, in the environment or where ``hf auth login`` put it."""
    if _is_true(environ, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    token = environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN")
    if not token:
        from huggingface_hub import get_token  # noqa: PLC0415 - 200 ms of import

        token = get_token()
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageProblem(
            "the token for the Hub holds characters that none has",
            hint="check HF_TOKEN, or `hf auth login` again",
        )
    return token or None


def _is_true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").upper() in _TRUE
