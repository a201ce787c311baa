"""What texts begin or end with in common, cut between words: so that it is something a person would name."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["common_beginning", "common_end"]

_OPENING, _CLOSING = "<[{", ">]}"


def common_beginning(texts: Sequence[str]) -> str:
    """Return what all texts begin with, up to the end of a word; a text that is nothing else is not cut."""
    common = _shared(texts)
    if any(len(text) == len(common) for text in texts):
        return common
    while common and not (common[-1] in _CLOSING or common[-1].isspace()):
        common = common[:-1]
    return common


def common_end(texts: Sequence[str]) -> str:
    """Return what all texts end with, from the beginning of a word; no text is cut whole."""
    common = _shared([text[::-1] for text in texts])[::-1]
    if any(len(text) == len(common) for text in texts):
        return common
    while common and not (common[0] in _OPENING or common[0].isspace()):
        common = common[1:]
    return common


def _shared(texts: Sequence[str]) -> str:
    """Return the longest beginning of all texts."""
    if not texts:
        return ""
    first, last = min(texts), max(texts)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[: len(first) if same is None else same]
