"""Show where two prompts differ, so that white space is seen."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Piece", "lines_of_difference", "pieces_of_difference"]

_CONTEXT = 2  # lines around a difference
_CAP_LINES = 2_000  # more are compared as a whole
_LEAST_IN_COMMON = 4  # letters between two changes
_CAP_CHARACTERS = 4_000  # of a changed passage that is compared letter by letter
_FIRST = ("@@ -0", "@@ -1 ", "@@ -1,")  # how a difference at the start is headed
_VISIBLE = {"\t": "→", "\r": "␍", "\n": "⏎"}

Change: TypeAlias = Literal["same", "meant", "made"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text: in both prompts, only in the one that was meant, or only in the one made."""

    change: Change
    text: str


def lines_of_difference(want: str, got: str) -> Iterator[str]:
    """Return the lines that differ, with two around them: ``-`` as meant, ``+`` as made.

    The end of each line is shown by ``⏎``, a tab by ``→``, and characters that cannot be seen by their codes.
    """
    difference = difflib.unified_diff(_lines(want), _lines(got), n=_CONTEXT, lineterm="")
    for line in difference:
        if line.startswith(("---", "+++")):
            continue
        if line.startswith("@@"):
            if not line.startswith(_FIRST):  # lines before it are left out
                yield "…"
        else:
            yield line


def pieces_of_difference(want: str, got: str) -> tuple[Piece, ...]:
    """Cut two prompts into what they share and what only one of them holds."""
    return tuple(_joined(_pieces(want, got)))


def _pieces(want: str, got: str) -> Iterator[Piece]:
    meant, made = want.splitlines(keepends=True), got.splitlines(keepends=True)
    if max(len(meant), len(made)) > _CAP_LINES:
        yield from (Piece("meant", want), Piece("made", got))
        return
    matcher = difflib.SequenceMatcher(None, meant, made, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        one, other = "".join(meant[start:end]), "".join(made[other_start:other_end])
        if kind == "equal":
            yield Piece("same", one)
        elif max(len(one), len(other)) > _CAP_CHARACTERS:
            yield from (Piece("meant", one), Piece("made", other))
        else:
            yield from _letters(one, other)


def _letters(want: str, got: str) -> Iterator[Piece]:
    """Compare letter by letter; a few letters that both share by chance are no part in common."""
    matcher = difflib.SequenceMatcher(None, want, got, autojunk=False)
    meant = made = ""
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        is_edge = start == 0 or end == len(want)
        if kind == "equal" and (is_edge or end - start >= _LEAST_IN_COMMON):
            yield from (Piece("meant", meant), Piece("made", made), Piece("same", want[start:end]))
            meant = made = ""
        else:
            meant += want[start:end]
            made += got[other_start:other_end]
    yield from (Piece("meant", meant), Piece("made", made))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    last = Piece("same", "")
    for piece in pieces:
        if not piece.text:
            continue
        if piece.change == last.change:
            last = Piece(last.change, last.text + piece.text)
        else:
            if last.text:
                yield last
            last = piece
    if last.text:
        yield last


def _lines(text: str) -> list[str]:
    return ["".join(map(_visible, line)) for line in text.splitlines(keepends=True)]


def _visible(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    return character if character.isprintable() else f"\\u{ord(character):04x}"
