"""Read the tokens of a template one after the other, and say where one stands."""

from __future__ import annotations

from bisect import bisect_right

from gguf2ollama.gotmpl.errors import ParsingError
from gguf2ollama.gotmpl.lex import Token, tokenize
from gguf2ollama.gotmpl.nodes import Place

__all__ = ["TokenReader"]


class TokenReader:
    """The tokens of a template; ``at`` is the number of the next one, and may be set back."""

    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._furthest = 0
        self._line_starts = [0] + [at + 1 for at, sign in enumerate(text) if sign == "\n"]
        self.at = 0

    def place_of(self, at: int) -> Place:
        """Return the place of an offset."""
        line = bisect_right(self._line_starts, at)
        return Place(line, at - self._line_starts[line - 1] + 1)

    def error(self, reason: str, *, hint: str | None = None) -> ParsingError:
        """Make the error for the last token that was looked at, as Go does."""
        at = self._tokens[min(self._furthest, len(self._tokens)) - 1].at if self._furthest else 0
        return ParsingError(reason, place=self.place_of(at), hint=hint)

    def unexpected(self, token: Token, context: str) -> ParsingError:
        """Make the error for a token that cannot stand there."""
        if token.kind == "error":
            return ParsingError(token.value, place=self.place_of(token.at))
        return self.error(f"{_shown(token)} is out of place in {context}")

    def take(self) -> Token:
        """Take the next token; the last one again and again."""
        at = self.at
        token = self._tokens[at] if at < len(self._tokens) else self._tokens[-1]
        self.at = at + 1
        if at >= self._furthest:
            self._furthest = at + 1
        return token

    def peek(self) -> Token:
        """Return the next token and leave it."""
        token = self.take()
        self.at -= 1
        return token

    def take_word(self) -> Token:
        """Take the next token that is no space."""
        token = self.take()
        while token.kind == "space":
            token = self.take()
        return token

    def peek_word(self) -> Token:
        """Return the next token that is no space, and leave it; the spaces are gone."""
        token = self.take_word()
        self.at -= 1
        return token

    def expect(self, kind: str, context: str) -> Token:
        """Take the next token that is no space, which is to be of a kind."""
        token = self.take_word()
        if token.kind != kind:
            raise self.unexpected(token, context)
        return token


def _shown(token: Token) -> str:
    return token.value if token.kind == "eof" else repr(token.value[:40])
