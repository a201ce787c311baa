"""Where this program keeps what it may lose, on each system."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path | None:
    """Return the user's cache folder of this program; ``None`` for a user without a home.

    That of the system's own convention: ``XDG_CACHE_HOME`` or ``~/.cache`` on Linux, ``~/Library/Caches`` on
    macOS, ``%LOCALAPPDATA%`` on Windows.
    """
    from platformdirs import user_cache_path  # noqa: PLC0415 - not needed for help

    with contextlib.suppress(RuntimeError):
        path = user_cache_path("gguf2ollama", appauthor=False)
        return path if path.is_absolute() else None
    return None
