"""Split a Go template into tokens.

The rules are those of ``text/template/parse/lex.go`` of Go 1.24 to 1.26. An error is a token, too, so that
the parser reports the first error in the text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.gotmpl.errors import ParsingError
from gguf2ollama.gotmpl.nodes import Position

__all__ = [
    "KEYWORDS",
    "Token",
    "TokenReader",
    "tokenize",
]


KEYWORDS = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"}
)
_SPACE = " \t\r\n"
_SPACES = lazy_pattern(r"[ \t\r\n]+")
_TERMINATORS = frozenset(".,|:)(") | frozenset(_SPACE)
_QUOTED = lazy_pattern(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER = lazy_pattern(r"'(?:[^'\\\n]|\\[^\n])*'")
_RAW = lazy_pattern(r"`[^`]*`")
_NUMBER = lazy_pattern(
    "[+-]?(?:"
    r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?"
    ")i?"
)


class Token(NamedTuple):
    """A token of a template.

    ``kind`` is ``text``, ``{{``, ``}}``, ``space``, ``:=``, ``=``, ``|``, ``(``, ``)``, ``.``, ``char`` (any
    other character), ``identifier``, ``field``, ``variable``, ``bool``, ``number``, ``complex``,
    ``character``, ``string``, ``raw``, ``eof``, ``error`` (``value`` is the message), or a keyword. ``at`` is
    its offset.
    """

    kind: str
    value: str
    at: int


class _UnreadableError(Exception):
    """No token begins at an offset; the message says why."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.token = Token("error", reason, at)


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a template; the last one is ``eof`` or ``error``."""
    tokens: list[Token] = []
    try:
        _walk(text, tokens)
    except _UnreadableError as error:
        tokens.append(error.token)
    return tokens


def _walk(text: str, tokens: list[Token]) -> None:
    at = 0
    while (start := text.find("{{", at)) >= 0:
        trims = text.startswith("-", start + 2) and text[start + 3 : start + 4] in _SPACE_SIGNS
        literal = text[at:start].rstrip(_SPACE) if trims else text[at:start]
        if literal:
            tokens.append(Token("text", literal, at))
        inside = start + (4 if trims else 2)
        if text.startswith("/*", inside):
            at = _after_comment(text, inside)
        else:
            tokens.append(Token("{{", "{{", start))
            at = _action(text, inside, tokens)
    if at < len(text):
        tokens.append(Token("text", text[at:], at))
    tokens.append(Token("eof", "end of the template", len(text)))


_SPACE_SIGNS = frozenset(_SPACE)


def _right_delimiter(text: str, at: int) -> int:
    """Return the length of the ``}}`` or ``-}}`` at an offset; 0 where there is none."""
    if text.startswith("}}", at):
        return 2
    if text[at : at + 1] in _SPACE_SIGNS and text.startswith("-}}", at + 1):
        return 4
    return 0


def _behind(text: str, at: int, length: int) -> int:
    """Return the offset after a right delimiter and the whitespace that its trim marker removes."""
    end = at + length
    if length == 4:  # noqa: PLR2004  # with a trim marker
        match = _SPACES.match(text, end)
        return match.end() if match else end
    return end


def _after_comment(text: str, at: int) -> int:
    end = text.find("*/", at + 2)
    if end < 0:
        raise _UnreadableError("unclosed comment", at)
    length = _right_delimiter(text, end + 2)
    if not length:
        raise _UnreadableError("comment ends before closing delimiter", at)
    return _behind(text, end + 2, length)


def _action(text: str, at: int, tokens: list[Token]) -> int:
    """Read the tokens of an action up to its right delimiter; return the offset after that."""
    depth = 0
    while True:
        if length := _right_delimiter(text, at):
            if depth:
                raise _UnreadableError("unclosed left parenthesis", at)
            tokens.append(Token("}}", "}}", at))
            return _behind(text, at, length)
        if at >= len(text):
            raise _UnreadableError("unclosed action", at)
        token = _token(text, at)
        if token.kind == "(":
            depth += 1
        elif token.kind == ")":
            depth -= 1
            if depth < 0:
                raise _UnreadableError("unexpected right parenthesis", at)
        tokens.append(token)
        at += len(token.value)


def _token(text: str, at: int) -> Token:  # noqa: C901, PLR0911  # one for each kind of token
    sign = text[at]
    if sign in _SPACE_SIGNS:
        return _space(text, at)
    if sign in "|()=":
        return Token(sign, sign, at)
    if sign == ":":
        if text.startswith(":=", at):
            return Token(":=", ":=", at)
        raise _UnreadableError("expected :=", at)
    if reader := _QUOTES.get(sign):
        return reader(text, at)
    if sign == "$":
        return _word(text, at, "variable")
    if sign == "." and not ("0" <= text[at + 1 : at + 2] <= "9"):
        return _word(text, at, "field")
    if sign in "+-.0123456789":
        return _number(text, at)
    if _is_letter(sign):
        return _identifier(text, at)
    if "!" <= sign <= "~":
        return Token("char", sign, at)
    raise _UnreadableError(f"unrecognized character in action: {sign!r}", at)


def _space(text: str, at: int) -> Token:
    match = _SPACES.match(text, at)
    end = match.end() if match else at
    if text.startswith("-}}", end):
        end -= 1  # the last space belongs to the trim marker
    return Token("space", text[at:end], at)


def _quoted(text: str, at: int) -> Token:
    match = _QUOTED.match(text, at)
    if match is None:
        raise _UnreadableError("unterminated quoted string", at)
    return Token("string", match.group(), at)


def _raw(text: str, at: int) -> Token:
    match = _RAW.match(text, at)
    if match is None:
        raise _UnreadableError("unterminated raw quoted string", at)
    return Token("raw", match.group(), at)


def _character(text: str, at: int) -> Token:
    match = _CHARACTER.match(text, at)
    if match is None:
        raise _UnreadableError("unterminated character constant", at)
    return Token("character", match.group(), at)


_QUOTES: dict[str, Callable[[str, int], Token]] = {'"': _quoted, "`": _raw, "'": _character}


def _is_letter(sign: str) -> bool:
    return sign == "_" or sign.isalpha() or sign.isdecimal()


def _end_of_word(text: str, at: int) -> int:
    while at < len(text) and _is_letter(text[at]):
        at += 1
    return at


def _ends_there(text: str, at: int) -> bool:
    return at >= len(text) or text[at] in _TERMINATORS or text.startswith("}}", at)


def _word(text: str, at: int, kind: str) -> Token:
    """Read a field, a variable or a lone dot."""
    end = _end_of_word(text, at + 1)
    if not _ends_there(text, end):
        raise _UnreadableError(f"bad character {text[end]!r} after {text[at:end]!r}", at)
    value = text[at:end]
    return Token("." if value == "." else kind, value, at)


def _identifier(text: str, at: int) -> Token:
    end = _end_of_word(text, at)
    if not _ends_there(text, end):
        raise _UnreadableError(f"bad character {text[end]!r} after {text[at:end]!r}", at)
    word = text[at:end]
    if word in KEYWORDS:
        return Token(word, word, at)
    return Token("bool" if word in {"true", "false"} else "identifier", word, at)


def _number(text: str, at: int) -> Token:
    end = _end_of_number(text, at)
    if text[end : end + 1] in {"+", "-"}:
        end = _end_of_number(text, end)
        if text[end - 1] != "i":
            raise _UnreadableError(f"bad number syntax: {text[at:end]!r}", at)
        return Token("complex", text[at:end], at)
    return Token("number", text[at:end], at)


def _end_of_number(text: str, at: int) -> int:
    match = _NUMBER.match(text, at)
    end = match.end() if match else at
    if end < len(text) and _is_letter(text[end]):
        raise _UnreadableError(f"bad number syntax: {text[at : end + 1]!r}", at)
    return end


class TokenReader:
    """A reader of the tokens of a template; ``at`` is the index of the next one, and may be set back."""

    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._furthest = 0
        self._line_starts = [0] + [at + 1 for at, sign in enumerate(text) if sign == "\n"]
        self.at = 0

    def position_of(self, at: int) -> Position:
        """Return the line and column of an offset."""
        line = bisect_right(self._line_starts, at)
        return Position(line, at - self._line_starts[line - 1] + 1)

    def error(self, reason: str, *, hint: str | None = None, is_limit: bool = False) -> ParsingError:
        """Return an error at the last token that was read, as Go does."""
        at = self._tokens[min(self._furthest, len(self._tokens)) - 1].at if self._furthest else 0
        return ParsingError(reason, position=self.position_of(at), hint=hint, is_limit=is_limit)

    def unexpected(self, token: Token, context: str) -> ParsingError:
        """Return the error for an unexpected token."""
        if token.kind == "error":
            return ParsingError(token.value, position=self.position_of(token.at))
        return self.error(f"unexpected {_shown(token)} in {context}")

    def take(self) -> Token:
        """Read the next token; at the end, the last one again."""
        at = self.at
        token = self._tokens[at] if at < len(self._tokens) else self._tokens[-1]
        self.at = at + 1
        if at >= self._furthest:
            self._furthest = at + 1
        return token

    def peek(self) -> Token:
        """Return the next token without reading it."""
        token = self.take()
        self.at -= 1
        return token

    def take_word(self) -> Token:
        """Read the next token that is not a space."""
        token = self.take()
        while token.kind == "space":
            token = self.take()
        return token

    def peek_word(self) -> Token:
        """Skip spaces and return the next token without reading it."""
        token = self.take_word()
        self.at -= 1
        return token

    def expect(self, kind: str, context: str) -> Token:
        """Read the next token that is not a space.

        Raises:
            ParsingError: It is of another kind.
        """
        token = self.take_word()
        if token.kind != kind:
            raise self.unexpected(token, context)
        return token


def _shown(token: Token) -> str:
    return token.value if token.kind == "eof" else repr(token.value[:40])
