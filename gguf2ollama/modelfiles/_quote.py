"""Quote a value so that Ollama's parser reads the same text, or explain why that is impossible."""

from __future__ import annotations

import unicodedata

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles._charset import find_unprintable

__all__ = ["WAY_OUT", "obstacle", "quoted"]

_TRIPLE = '"""'
_BLANK = " \t\r\n"
WAY_OUT = (
    "use `gguf2ollama build`, which can pass any text to the server, "
    "or change the text; a Modelfile has no escapes"
)


def quoted(value: str, *, what: str) -> str:
    """Return ``value`` such that Ollama's parser reads it unchanged, with quotes only if needed.

    Args:
        value: The text.
        what: What it is, for the message: ``SYSTEM``, or ``PARAMETER stop``.

    Raises:
        InvalidModelfile: A Modelfile cannot represent the text.
    """
    if reason := obstacle(value):
        raise InvalidModelfile(f"{what} {reason}", hint=WAY_OUT)
    if "\n" in value or "\r" in value:
        return f"{_TRIPLE}{value}{_TRIPLE}"
    if value and value.strip(_BLANK) == value and not value.startswith('"'):
        return value
    return f"{_TRIPLE}{value}{_TRIPLE}" if '"' in value else f'"{value}"'


def obstacle(value: str) -> str | None:
    """Return why a Modelfile cannot represent ``value``; ``None`` if it can.

    Ollama's parser drops characters that are not printable for Go. Three quotation marks in a row end a
    value at the end of a line; elsewhere the parser accepts them, but they look like the end, and
    a line break more or less would make them so. So none are written.
    """
    if (at := value.find(_TRIPLE)) >= 0:
        return f'contains """ {_position(value, at)}, which ends a value in a Modelfile'
    if match := find_unprintable(value):
        character = match.group()[0]
        name = unicodedata.name(character, "")
        return (
            f"contains U+{ord(character):04X}{f' ({name})' if name else ''}"
            f" {_position(value, match.start())}, which Ollama drops from a Modelfile"
        )
    return None


def _position(value: str, at: int) -> str:
    line = value.count("\n", 0, at) + 1
    column = at - (value.rfind("\n", 0, at) + 1) + 1
    return f"at line {line}, column {column} of its text"
