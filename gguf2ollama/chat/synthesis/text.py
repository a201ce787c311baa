"""What texts have in common at their ends.

``common_beginning`` and ``common_end`` are cut between words, so that they are something a person would name.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "common_beginning",
    "common_end",
    "common_ends",
    "common_prefix",
    "common_suffix",
    "only_place",
]

_OPENING, _CLOSING = "<[{", ">]}"


def common_beginning(texts: Sequence[str]) -> str:
    """Return what all texts begin with, up to the end of a word; a text that is nothing else is not cut."""
    common = common_prefix(texts)
    if any(len(text) == len(common) for text in texts):
        return common
    while common and not (common[-1] in _CLOSING or common[-1].isspace()):
        common = common[:-1]
    return common


def common_end(texts: Sequence[str]) -> str:
    """Return what all texts end with, from the beginning of a word; no text is cut whole."""
    common = common_prefix([text[::-1] for text in texts])[::-1]
    if any(len(text) == len(common) for text in texts):
        return common
    while common and not (common[0] in _OPENING or common[0].isspace()):
        common = common[1:]
    return common


def common_prefix(texts: Sequence[str]) -> str:
    """Return the longest beginning that all texts share."""
    low, high = min(texts, default=""), max(texts, default="")
    for at, (one, other) in enumerate(zip(low, high, strict=False)):
        if one != other:
            return low[:at]
    return low[: len(high)]


def common_suffix(texts: Sequence[str]) -> str:
    """Return the longest end that all texts share."""
    return common_prefix([text[::-1] for text in texts])[::-1]


def common_ends(texts: Sequence[str]) -> tuple[str, str]:
    """Return the beginning and the end that all texts share, apart from each other in every one."""
    before = common_prefix(texts)
    return before, common_suffix([text[len(before) :] for text in texts])


def only_place(text: str, part: str) -> tuple[int, int] | None:
    """Return the start and the end of a part of a text, or ``None`` where it stands not once in it."""
    start = text.find(part)
    if not part or start < 0 or text.find(part, start + 1) >= 0:
        return None
    return start, start + len(part)
