"""Cut texts between words, so that what two of them share is something that a person would name."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["whole_words"]

_OPENING, _CLOSING = "<[{", ">]}"


def whole_words(common: str, texts: Sequence[str], *, at_end: bool = False) -> str:
    """Shorten what texts begin with in common until it ends between words.

    Args:
        common: What the texts have in common.
        texts: The texts; where one of them is nothing else, nothing is cut.
        at_end: The texts end with it: it is shortened until it begins between words.
    """
    if any(len(text) == len(common) for text in texts):
        return common
    if at_end:
        while common and not (common[0] in _OPENING or common[0].isspace()):
            common = common[1:]
    else:
        while common and not (common[-1] in _CLOSING or common[-1].isspace()):
            common = common[:-1]
    return common
