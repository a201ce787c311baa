"""Show text of unknown origin inside a message."""

from __future__ import annotations

_LONGEST = 80


def shown(text: str) -> str:
    """Return ``text`` quoted, escaped and cut to what a message can hold."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
