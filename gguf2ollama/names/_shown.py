"""Show what messages hold: text of unknown origin, and numbers of bytes."""

from __future__ import annotations

__all__ = ["shown", "size"]

_LONGEST = 80
_KILO = 1000
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def shown(text: str) -> str:
    """Return ``text`` quoted, escaped and cut to what a message can hold."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def size(count: float) -> str:
    """Return a number of bytes in decimal units, as ``ollama list`` does: ``98 MB``, ``4.7 GB``."""
    value, unit = float(count), 0
    while value >= _KILO and unit < len(_UNITS) - 1:
        value, unit = value / _KILO, unit + 1
    digits = 0 if unit == 0 or value >= 10 else 1  # noqa: PLR2004 - two digits tell enough
    return f"{value:.{digits}f} {_UNITS[unit]}"
