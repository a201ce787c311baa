"""What texts have in common at their ends."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["common_ends", "common_prefix", "common_suffix", "longest_common", "only_place"]

_LONGEST = 4000  # characters in which a common piece is looked for


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


def longest_common(texts: Sequence[str]) -> str:
    """Return longest piece that stands in all texts, the first such; ``""`` for none, or in long texts."""
    shortest = min(texts, key=len, default="")
    if len(shortest) > _LONGEST:
        return ""
    found, low, high = "", 1, len(shortest)
    while low <= high:
        size = (low + high) // 2
        pieces = (shortest[at : at + size] for at in range(len(shortest) - size + 1))
        piece = next((one for one in pieces if all(one in text for text in texts)), None)
        if piece is None:
            high = size - 1
        else:
            found, low = piece, size + 1
    return found
