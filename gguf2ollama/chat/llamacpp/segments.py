"""Compare two prompts marker by marker, as llama.cpp does to learn a template's form.

Texts have one character for each byte of their UTF-8 form (``values.as_bytes_text``).

Source: ``segmentize_markers`` and ``calculate_diff_split`` in ``common/chat-auto-parser-helpers.cpp`` of
llama.cpp b10488 and b11095, which are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gguf2ollama._dataclass import dataclass

__all__ = ["Segment", "Split", "common_prefix", "segments", "split", "without_white_space"]

_CLOSINGS = {"<": ">", "[": "]"}
WHITE_SPACE: Final = " \t\n\v\f\r"


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker such as ``<think>`` or ``[INST]``, or what stands between."""

    text: str
    is_marker: bool


@dataclass(frozen=True, slots=True)
class Split:
    """What is found on one side only, and what both begin and end with."""

    left: str
    right: str
    prefix: str = ""
    suffix: str = ""


def segments(text: str) -> list[Segment]:
    """Cut a text at its markers; a marker that does not end is text."""
    found: list[Segment] = []
    start, closing = 0, ""
    for at, character in enumerate(text):
        if not closing and character in _CLOSINGS:
            if start < at:
                found.append(Segment(text[start:at], is_marker=False))
            start, closing = at, _CLOSINGS[character]
        elif character == closing:
            found.append(Segment(text[start : at + 1], is_marker=True))
            start, closing = at + 1, ""
    if start < len(text):
        found.append(Segment(text[start:], is_marker=False))
    return found


def without_white_space(found: Sequence[Segment]) -> list[Segment]:
    """Leave out what is white space only."""
    return [one for one in found if one.text.strip(WHITE_SPACE)]


def common_prefix(left: str, right: str) -> str:
    """Return what two texts begin with."""
    at = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        at += 1
    return left[:at]


def split(left: str, right: str) -> Split:
    """Return what two prompts do not have in common, at their starts and their ends."""
    if not left or not right:
        return Split(left, right)
    mine, theirs = _Side(segments(left)), _Side(segments(right))
    _match(mine, theirs)
    _match_last(mine, theirs)
    remains = mine.remainder(), theirs.remainder()
    ends_in_text = not mine.last.is_marker and not theirs.last.is_marker
    starts_in_text = not mine.first.is_marker and not theirs.first.is_marker
    suffix = len(common_prefix(remains[0][::-1], remains[1][::-1])) if ends_in_text else 0
    cut = [one[: len(one) - suffix] for one in remains]
    prefix = len(common_prefix(cut[0], cut[1])) if starts_in_text else 0
    unique = Split(cut[0][prefix:], cut[1][prefix:])
    if not unique.left and (right.startswith(left) if unique.right else left == right):
        return Split("", right[len(left) :], prefix=left)
    before = max(mine.before(), theirs.before(), key=len) + cut[0][:prefix]
    return replace(unique, prefix=before, suffix=left[len(before) + len(unique.left) :])


class _Side:
    """The segments of one prompt, matched from both ends."""

    def __init__(self, found: list[Segment]) -> None:
        self.found = found
        self.start, self.end = 0, len(found) - 1  # both count
        self.is_used_up = False

    @property
    def first(self) -> Segment:
        return self.found[self.start]

    @property
    def last(self) -> Segment:
        return self.found[self.end]

    @property
    def is_single(self) -> bool:
        return self.start == self.end

    def take_last(self) -> None:
        if self.is_single:
            self.is_used_up = True
        else:
            self.end -= 1

    def before(self) -> str:
        return "".join(one.text for one in self.found[: self.start])

    def remainder(self) -> str:
        stop = self.end if self.is_used_up else self.end + 1
        return "".join(one.text for one in self.found[self.start : stop])


def _match(mine: _Side, theirs: _Side) -> None:
    """Leave out equal segments at both ends while each side has two or more."""
    while not mine.is_single and not theirs.is_single:
        has_moved = False
        if mine.first == theirs.first:
            mine.start += 1
            theirs.start += 1
            has_moved = True
        if mine.last == theirs.last:
            mine.take_last()
            theirs.take_last()
            has_moved = True
        if not has_moved:
            break


def _match_last(mine: _Side, theirs: _Side) -> None:
    """Match the one segment that is left of a side."""
    if mine.is_single and theirs.is_single:
        if mine.first == theirs.first and mine.first.is_marker:
            mine.is_used_up = theirs.is_used_up = True
        return
    single, other = (mine, theirs) if mine.is_single else (theirs, mine)
    if not single.is_single:
        return
    if single.first == other.last:
        other.end -= 1
        single.is_used_up = True
    elif single.first == other.first:
        other.start += 1
        single.is_used_up = True
