"""Cut a chat template into tokens as llama.cpp does, white space and quirks included.

Every character stands for one byte, as in C++ (see ``values.as_bytes_text``). Blocks are trimmed as with
``trim_blocks`` and ``lstrip_blocks``, with one difference from Jinja2: of a template that begins with a
single character and a block, that character is lost.

Source: ``common/jinja/lexer.cpp`` of llama.cpp b10488 and b11095, which are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.llamacpp.errors import TemplateFault

__all__ = ["Kind", "Token", "tokenize"]

Kind: TypeAlias = Literal[
    "text",
    "comment",
    "number",
    "string",
    "name",
    "unary",
    "open statement",
    "close statement",
    "open expression",
    "close expression",
    "additive",
    "multiplicative",
    "comparison",
    "symbol",
]
_SPACE = " \t\n\r\v\f"
_TRIMMED = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_SPACES = lazy_pattern(f"[{_SPACE}]*")
_SIGNED = lazy_pattern(r"[0-9]*(?:\.[0-9]+)?")
_WORD = lazy_pattern(r"(?P<number>[0-9]+(?:\.[0-9]+)?)|[0-9A-Za-z_]+")
_PLAIN = {quote: lazy_pattern(rf"[^{quote}\\]*") for quote in "'\""}  # what stands in a string as it is
_KINDS: Mapping[str, Kind] = {  # in the order in which they are looked for
    "{%-": "open statement",
    "-%}": "close statement",
    "{{-": "open expression",
    "-}}": "close expression",
    "{%": "open statement",
    "%}": "close statement",
    "{{": "open expression",
    "}}": "close expression",
    **dict.fromkeys("(){}[],.:|", "symbol"),
    **dict.fromkeys(("<=", ">=", "==", "!=", "<", ">"), "comparison"),
    **dict.fromkeys("+-~", "additive"),
    **dict.fromkeys("*/%", "multiplicative"),
    "=": "symbol",
}
_SYMBOL = lazy_pattern("|".join(map(re.escape, _KINDS)))
_OPENINGS = ("{%", "{{", "{#")


class Token(NamedTuple):
    """A piece of a template; ``text`` is what it says, or how it is written."""

    kind: Kind
    text: str

    def is_symbol(self, text: str) -> bool:
        """Whether it is that bracket, comma or the like."""
        return self.kind == "symbol" and self.text == text

    def is_name(self, text: str) -> bool:
        """Whether it is that name or keyword."""
        return self.kind == "name" and self.text == text


def tokenize(source: str) -> list[Token]:
    """Cut a template into tokens.

    Raises:
        TemplateFault: llama.cpp does not take it.
    """
    return list(_Lexer(source).tokens())


class _Lexer:
    """Walks over one template."""

    def __init__(self, source: str) -> None:
        text = source.replace("\r\n", "\n").replace("\r", "\n")
        self._text = text[:-1] if source.endswith("\n") else text
        self._at = 0
        self._braces = 0
        self._last: Token | None = None

    def tokens(self) -> Iterator[Token]:
        while self._at < len(self._text):
            token = self._next()
            if token is not None:
                self._last = token
                yield token

    def _next(self) -> Token | None:
        """Return the next token; ``None`` where nothing of it is left."""
        last = self._last
        if last is None or last.kind in {"close statement", "close expression", "comment"}:
            text = self._outside()
            if text:
                return Token("text", text)
        if self._text.startswith("{#", self._at):
            return self._comment()
        if last is not None and last.kind in {"open statement", "open expression"} and self._peek() == "-":
            self._at += 1
        self._match(_SPACES)
        if self._at >= len(self._text):
            return None
        return self._inside()

    def _peek(self, offset: int = 0) -> str:
        return self._text[self._at + offset : self._at + offset + 1]

    def _outside(self) -> str:
        """Take the text up to the next block, without what trimming removes of it."""
        source, start = self._text, self._at
        before = source[start - 3 : start] if start > 3 else ""  # noqa: PLR2004 - as the original asks
        found = [at for mark in _OPENINGS if (at := source.find(mark, start)) >= 0]
        self._at = end = min(found, default=len(source))
        if source[end : end + 2] in {"{%", "{#"}:
            end = _left_of_block(source, start, end)
        text = source[start:end]
        if before[1:] in {"#}", "%}", "-}"} and text.startswith("\n"):
            text = text[1:]
        if before in {"-%}", "-}}", "-#}"}:
            text = text.lstrip(_TRIMMED)
        if source[self._at + 2 : self._at + 3] == "-" and self._at < len(source):
            text = text.rstrip(_TRIMMED)
        return text

    def _comment(self) -> Token:
        end = self._text.find("#}", self._at + 2)
        if end < 0:
            raise TemplateFault("missing end of comment tag")
        text = self._text[self._at + 2 : end]
        self._at = end + 2
        return Token("comment", text)

    def _inside(self) -> Token:
        """Take one token of a statement or an expression."""
        first = self._peek()
        closes = first == "-" and self._peek(1) in {"%", "}"}
        if first in {"-", "+"} and not closes and not self._is_binary():
            self._at += 1
            digits = self._match(_SIGNED)
            return Token("number" if digits else "unary", first + digits)
        if first in _PLAIN:
            return self._string(first)
        if symbol := self._symbol():
            self._at += len(symbol)
            self._count_braces(symbol)
            return Token(_KINDS[symbol], symbol)
        word = _WORD.match(self._text, self._at)
        if word is None:
            raise TemplateFault(f"unexpected character: {first}")
        self._at = word.end()
        return Token("number" if word["number"] else "name", word[0])

    def _symbol(self) -> str:
        """Look for a symbol; of two braces within an object, only the first is one."""
        match = _SYMBOL.match(self._text, self._at)
        if match is None:
            return ""
        return "}" if match[0] == "}}" and self._braces else match[0]

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _is_binary(self) -> bool:
        """Whether a sign that comes now stands between two operands."""
        last = self._last
        if last is None or last.kind == "text":
            raise TemplateFault(f"unexpected character: {self._peek()}")
        return last.kind in {"name", "number", "string"} or last.is_symbol(")") or last.is_symbol("]")

    def _count_braces(self, symbol: str) -> None:
        if symbol in {"{{", "{{-"}:
            self._braces = 0
        elif symbol in {"{", "}"}:
            self._braces += 1 if symbol == "{" else -1

    def _string(self, quote: str) -> Token:
        """Take a string; what a backslash and the next character stand for is written in its place."""
        self._at += 1
        pieces = [self._match(_PLAIN[quote])]
        while (mark := self._peek()) == "\\":
            escaped = self._peek(1)
            if escaped not in _ESCAPES:
                raise TemplateFault(f"unknown escape character \\{escaped}")
            self._at += 2
            pieces += [_ESCAPES[escaped], self._match(_PLAIN[quote])]
        if not mark:
            raise TemplateFault("unexpected end of input")
        self._at += 1
        return Token("string", "".join(pieces))


def _left_of_block(source: str, start: int, end: int) -> int:
    """Return where the text before a block ends, once the block's indentation is taken away."""
    current = end
    while current > start:
        character = source[current - 1]
        if current == 1:
            return 0
        if character == "\n":
            return current
        if character not in _SPACE:
            return end
        current -= 1
    return end
