"""Write a Go template that a person can read, and that prints exactly what is meant.

Actions cut the white space before themselves (``{{-``), so that they can stand on lines of their own,
unless that would cut white space that is to be printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gguf2ollama.gotmpl.write import go_quote

__all__ = ["GoWriter"]


class GoWriter:
    """Collects the text of a Go template."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._ends_in_text = False

    def __str__(self) -> str:
        return "".join(self._parts)

    def print(self, text: str) -> None:
        """Have a text printed."""
        if not text:
            return
        if not text.strip() or text.endswith("{") or not _is_plain(text):
            self.value(go_quote(text))
        else:
            self._parts.append(text)
            self._ends_in_text = True

    def value(self, expression: str) -> None:
        """Have the value of an expression printed."""
        self._parts.append(f"{{{{ {expression} }}}}" if self._must_stay else f"{{{{- {expression} }}}}")
        self._ends_in_text = False

    def do(self, action: str) -> None:
        """Have something done that prints nothing by itself, on a line of its own where that can be."""
        self._parts.append(f"{{{{ {action} }}}}" if self._must_stay else f"\n{{{{- {action} }}}}")
        self._ends_in_text = False

    def lines(self, statements: str) -> None:
        """Have statements done that are written already, each a line that begins with ``{{-``."""
        if self._must_stay:
            self.value('""')
        self._parts.append("\n" + statements.strip("\n"))
        self._ends_in_text = False

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        """Open a block, to be closed behind what is written within."""
        self.do(opening)
        yield
        self.do("end")

    @property
    def _must_stay(self) -> bool:
        """Whether the white space before an action is to be printed."""
        return self._ends_in_text and self._parts[-1][-1].isspace()


def _is_plain(text: str) -> bool:
    """Return whether a text can stand outside actions, in a TEMPLATE and in the Modelfile around it."""
    if "{{" in text or '"""' in text:
        return False
    return all(character.isprintable() or character == "\n" for character in text)
