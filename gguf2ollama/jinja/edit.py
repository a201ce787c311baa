"""Change expressions within a chat template's text, and leave all other text as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from gguf2ollama._dataclass import dataclass

__all__ = [
    "Insertion",
    "Operand",
    "Piece",
    "operand_before",
    "rewritten",
    "unused_name",
]

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_VALUES = {"name", "string", "integer", "float"}
# names that are no values: what stands after them begins an expression of its own
_LEADING = frozenset({"and", "or", "not", "in", "if", "else", "elif"})
_WORDS = _LEADING | {"is", "set", "for", "recursive", "call", "filter", "macro"}
_BEGINS = {"block_begin", "variable_begin"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a template that is no white space: text, a mark such as ``{%``, or a part of an expression.

    Attributes:
        kind: What Jinja's lexer calls it.
        text: What it reads.
        start: Where it begins.
    """

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def deepens(self) -> int:
        """How much deeper within brackets what follows stands: 1 for an opening one, -1 for a closing one."""
        return (self.text in _OPENING) - (self.text in _CLOSING) if self.kind == "operator" else 0

    @property
    def is_value(self) -> bool:
        """Whether it is a name or a literal."""
        return self.kind in _VALUES and self.text not in _WORDS


@dataclass(frozen=True, slots=True)
class Insertion:
    """A text to be put into a template, in the place of so many characters."""

    at: int
    text: str
    instead_of: int = 0


@dataclass(frozen=True, slots=True)
class Operand:
    """What a filter, a method or a subscript is applied to.

    Attributes:
        first: The number of its first piece.
        calls: Whether anything is called in it, or filtered.
    """

    first: int
    calls: bool


def _with_line_ends(text: str) -> str:
    r"""Return a template with the line ends that Jinja makes of all others, ``\n``."""
    return re.sub(r"\r\n|\r", "\n", text)


@lru_cache(maxsize=4)  # several changes are tried on one and the same
def _pieces_of(text: str) -> tuple[Piece, ...]:
    """Cut a template into pieces, once its line ends are those of :func:`with_line_ends`.

    Raises:
        ValueError: It does not read.
    """
    import jinja2  # noqa: PLC0415 - start-up counts

    try:
        tokens = list(jinja2.Environment(keep_trailing_newline=True).lexer.tokeniter(text, None))  # noqa: S701
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(str(error)) from error
    return tuple(_placed(text, ((kind, value) for _, kind, value in tokens)))


def _placed(text: str, tokens: Iterable[tuple[str, str]]) -> Iterator[Piece]:
    at = 0
    for kind, value in tokens:
        start = text.index(value, at)
        if text[at:start].strip():  # only white space is left out by the lexer
            raise ValueError(value)
        at = start + len(value)
        if kind != "whitespace":
            yield Piece(kind, value, start)


def operand_before(pieces: Sequence[Piece], at: int) -> Operand | None:
    """Find what the filter, method or subscript that begins with a piece is applied to.

    ``None`` where that cannot be told by looking at the pieces before it.
    """
    calls = False
    while at > 0:
        at -= 1
        piece = pieces[at]
        if piece.deepens < 0:
            opening = _opening(pieces, at)
            if opening is None or piece.text == "}":
                return None
            at = opening
            if _ends_value(pieces, at - 1):  # a call or a subscript
                calls = calls or pieces[at].text == "("
                continue
        elif not piece.is_value and not _follows(pieces, at, {".", "|"}):
            return None
        if _follows(pieces, at, {".", "|"}):
            at -= 1
            calls = calls or pieces[at].text == "|"
            continue
        return Operand(first=at, calls=calls) if _begins_operand(pieces, at) else None
    return None


def _opening(pieces: Sequence[Piece], closing: int) -> int | None:
    """Find the bracket that is closed by another."""
    depth = 0
    for at in range(closing, -1, -1):
        depth += pieces[at].deepens
        if depth == 0:
            return at
    return None


def _ends_value(pieces: Sequence[Piece], at: int) -> bool:
    if at < 0:
        return False
    piece = pieces[at]
    is_closing = piece.kind == "operator" and piece.text in {")", "]"}
    return is_closing or (piece.kind == "name" and (piece.is_value or _follows(pieces, at, {".", "|"})))


def _follows(pieces: Sequence[Piece], at: int, operators: Collection[str]) -> bool:
    return at > 0 and pieces[at - 1].kind == "operator" and pieces[at - 1].text in operators


def _begins_operand(pieces: Sequence[Piece], at: int) -> bool:
    """Return whether nothing before a value belongs to it: a test, a sign, a text that goes on."""
    before = pieces[at - 1] if at else None
    if before is None or before.kind in _BEGINS:
        return True
    if before.kind == "operator" and before.text in {"+", "-"}:
        return _ends_value(pieces, at - 2) or (at > 1 and pieces[at - 2].is_value)
    if before.kind == "name":
        is_test = before.text == "not" and at > 1 and pieces[at - 2].text == "is"
        return before.text in _LEADING and not is_test
    return before.kind == "operator"


def rewritten(text: str, find: Callable[[str, Sequence[Piece]], Iterable[Insertion]]) -> str | None:
    """Put into a template what is found of its pieces; ``None`` where nothing is, or it does not read."""
    source = _with_line_ends(text)
    try:
        pieces = _pieces_of(source)
    except ValueError:
        return None
    insertions = list(find(source, pieces))
    return _insert(source, insertions) if insertions else None


def _insert(text: str, insertions: Iterable[Insertion]) -> str:
    """Put texts into a template; of several at one place, the first goes first."""
    parts: list[str] = []
    done = 0
    for insertion in sorted(insertions, key=lambda insertion: insertion.at):
        parts += [text[done : insertion.at], insertion.text]
        done = insertion.at + insertion.instead_of
    return "".join([*parts, text[done:]])


def unused_name(text: str, name: str) -> str:
    """Return a name that a template does not have, and nobody gives."""
    new = f"{name}_"
    while new in text:
        new += "_"
    return new
