"""What the machine and its system say: where this program keeps what it may lose, and since when it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["boot_id", "cache_folder"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes | None:
    """Return what distinguishes this run of the system from all others; ``None`` where it does not say."""
    try:
        return _BOOT.read_bytes()
    except OSError:
        return None


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
