"""Make text from outside safe to print: names in files, and what servers say, are hostile until then."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["message_line", "one_line", "printable", "without_credentials"]

# control characters move the cursor, set colours and titles, or write links; of the invisible ones some
# reverse the order of what follows, and others hide text; separators break lines in some terminals
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # of emoji, and of scripts that need them


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def printable(text: str, *, keep: str = "\n\t", escape: Callable[[str], str] = _escape) -> str:
    """Return a text with all characters that a terminal might obey, or not show, written as escapes.

    Args:
        text: The text.
        keep: Characters to leave as they are.
        escape: Writes a character as an escape; by default, Python's.
    """
    if text.isprintable():
        return text
    import unicodedata  # noqa: PLC0415 - for few texts

    return "".join(
        char
        if char.isprintable()
        or char in keep
        or char in _JOINERS
        or unicodedata.category(char) not in _ESCAPED
        else escape(char)
        for char in text
    )


def without_credentials(text: str) -> str:
    """Return what was to be a URL without what may be secret in it: a user name and password, and a query."""
    scheme, slashes, rest = text.rpartition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2].partition('?')[0]}"


def one_line(text: str, *, limit: int | None = None) -> str:
    """Return a text in one line: line ends, too, are written as escapes.

    Args:
        text: The text.
        limit: The most characters to return, with ``…`` for what is left out; ``None`` for all.
    """
    line = printable(text if limit is None else text[: limit + 1], keep="")
    return line if limit is None or len(line) <= limit else f"{line[:limit]}…"


def message_line(text: str) -> str:
    """Return a message of which only the first line begins at the margin, so none can pose as another."""
    return printable(text).replace("\n", "\n  ")
