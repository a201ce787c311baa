"""Change expressions in the text of a chat template, leaving all other text as it is."""

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
# keywords: a new expression begins after them
_LEADING = frozenset({"and", "or", "not", "in", "if", "else", "elif"})
_WORDS = _LEADING | {"is", "set", "for", "recursive", "call", "filter", "macro"}
_BEGINS = {"block_begin", "variable_begin"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of a template other than whitespace: text, a delimiter, or a part of an expression.

    Attributes:
        kind: Its type in Jinja's lexer.
        text: Its source.
        start: Its offset.
    """

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.start + len(self.text)

    @property
    def deepens(self) -> int:
        """The change of the nesting depth after it: 1 for an opening bracket, -1 for a closing one."""
        return (self.text in _OPENING) - (self.text in _CLOSING) if self.kind == "operator" else 0

    @property
    def is_value(self) -> bool:
        """Whether it is a name or a literal."""
        return self.kind in _VALUES and self.text not in _WORDS


@dataclass(frozen=True, slots=True)
class Insertion:
    """A text that replaces a number of characters of a template."""

    at: int
    text: str
    instead_of: int = 0


@dataclass(frozen=True, slots=True)
class Operand:
    """The operand of a filter, a method or a subscript.

    Attributes:
        first: The index of its first token.
        calls: Whether it contains a call or a filter.
    """

    first: int
    calls: bool


def _with_line_ends(text: str) -> str:
    r"""Return a template with all line ends as ``\n``, as Jinja converts them."""
    return re.sub(r"\r\n|\r", "\n", text)


@lru_cache(maxsize=4)  # several changes are tried on the same template
def _pieces_of(text: str) -> tuple[Piece, ...]:
    r"""Return the tokens of a template whose line ends are ``\n``.

    Raises:
        ValueError: It is not valid Jinja.
    """
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - start-up counts

    from gguf2ollama.jinja.syntax import raw_tokens  # noqa: PLC0415 - as above

    try:
        tokens = list(raw_tokens(text))
    except TemplateSyntaxError as error:
        raise ValueError(str(error)) from error
    return tuple(_placed(text, tokens))


def _placed(text: str, tokens: Iterable[tuple[str, str]]) -> Iterator[Piece]:
    at = 0
    for kind, value in tokens:
        start = text.index(value, at)
        if text[at:start].strip():  # the lexer omits whitespace only
            raise ValueError(value)
        at = start + len(value)
        if kind != "whitespace":
            yield Piece(kind, value, start)


def operand_before(pieces: Sequence[Piece], at: int) -> Operand | None:
    """Return the operand of the filter, method or subscript that begins with a token.

    ``None`` where the tokens before it do not determine it.
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
    """Return the bracket that another one closes."""
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
    """Return whether an operand begins with a value, with no test, sign or string before it."""
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
    """Insert what is found for the tokens of a template; ``None`` if nothing is, or it is not valid Jinja."""
    source = _with_line_ends(text)
    try:
        pieces = _pieces_of(source)
    except ValueError:
        return None
    insertions = list(find(source, pieces))
    return _insert(source, insertions) if insertions else None


def _insert(text: str, insertions: Iterable[Insertion]) -> str:
    """Insert texts into a template; several at one offset stay in order."""
    parts: list[str] = []
    done = 0
    for insertion in sorted(insertions, key=lambda insertion: insertion.at):
        parts += [text[done : insertion.at], insertion.text]
        done = insertion.at + insertion.instead_of
    return "".join([*parts, text[done:]])


def unused_name(text: str, name: str) -> str:
    """Return a name that a template does not use and no one defines."""
    new = f"{name}_"
    while new in text:
        new += "_"
    return new
