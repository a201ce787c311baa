"""How a value is written down: as JSON with its spaces, as Python's ``repr``, or a text as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gguf2ollama._dataclass import dataclass

__all__ = [
    "ESCAPES_PROBE",
    "HTML",
    "JSON",
    "JSON_STYLES",
    "PYTHON",
    "RAW",
    "STRIPPED",
    "TEXT_STYLES",
    "Style",
    "escapes_of",
    "plain_value",
]

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    r"""A way to write a value down.

    Attributes:
        notation: ``"raw"`` prints a text as it is, ``"stripped"`` without white space at its ends, ``"html"``
            with HTML's entities, ``"escaped"`` with ``escapes``; ``"json"`` is
            ``json.dumps(ensure_ascii=False)``; ``"python"`` is ``repr``.
        separators: What stands between items, and between a key and its value; for JSON only.
        indent: Spaces of a level, each item on a line of its own; 0 for one line. For JSON only.
        margin: Spaces that every line after the first begins with besides; for indented JSON only.
        escapes: The codes of characters of ASCII, and what stands for each; for escaped texts only.
        escape: ``"ascii"`` for ``ensure_ascii=True``, ``"json"`` where the JSON stands inside a string of
            JSON (``{\"a\": 1}``; the quotes around it are no part of it), ``"html"`` where its quotes and
            angles are entities; for JSON only.
    """

    notation: Literal["raw", "stripped", "html", "escaped", "json", "python"]
    separators: tuple[str, str] = (", ", ": ")
    indent: int = 0
    margin: int = 0
    escapes: tuple[tuple[int, str], ...] = ()
    escape: Literal["", "ascii", "html", "json"] = ""

    @property
    def is_of_texts(self) -> bool:
        """Whether it is for texts only, which are not quoted."""
        return self.notation in {"raw", "stripped", "html", "escaped"}

    def print(self, value: Any) -> str:  # noqa: ANN401  # a value of JSON
        """Write a value down.

        Raises:
            TypeError: The value is no text, and the notation takes nothing else.
        """
        if self.is_of_texts:
            if not isinstance(value, str):
                raise TypeError(f"{type(value).__name__} is not a string")
            return self._text(value)
        value = plain_value(value)
        if self.notation == "python":
            return repr(value)
        text = json.dumps(
            value,
            ensure_ascii=self.escape == "ascii",
            indent=self.indent or None,
            separators=self.separators,
        ).replace("\n", "\n" + " " * self.margin)
        if self.escape == "json":
            return json.dumps(text, ensure_ascii=False)[1:-1]
        return _in_html(text) if self.escape == "html" else text

    def _text(self, text: str) -> str:
        if self.notation == "stripped":
            return text.strip()
        return _in_html(text) if self.notation == "html" else text.translate(dict(self.escapes))

    def __str__(self) -> str:
        if self.notation != "json":
            return _TOLD[self.notation]
        lines = f"indented by {self.indent}" if self.indent else "on one line"
        margin = f" from column {self.margin}" if self.margin else ""
        spaces = "" if self.separators == (", " if not self.indent else ",", ": ") else f", {self.separators}"
        escape = {
            "": "",
            "ascii": ", in ASCII",
            "json": ", inside a string",
            "html": ", with HTML's entities",
        }[self.escape]
        return f"JSON {lines}{margin}{spaces}{escape}"


_TOLD = {
    "raw": "as it is",
    "stripped": "without white space at its ends",
    "html": "with HTML's entities",
    "escaped": "with escapes of its own",
    "python": "as Python's repr",
}


def _in_html(text: str) -> str:
    return "".join(_HTML.get(character, character) for character in text)


def plain_value(value: Any) -> Any:  # noqa: ANN401  # a value of JSON
    """Return a JSON value made of ``dict`` and ``list``, whatever mappings and sequences it came as."""
    if isinstance(value, Mapping):
        return {key: plain_value(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(one) for one in value]
    return value


RAW = Style(notation="raw")
STRIPPED = Style(notation="stripped")
HTML = Style(notation="html")
JSON = Style(notation="json")
PYTHON = Style(notation="python")


def _json_styles() -> Iterator[Style]:
    yield JSON
    yield Style(notation="json", separators=(",", ":"))
    yield from (Style(notation="json", separators=one) for one in ((",", ": "), (", ", ":")))
    for indent in (4, 2, 1, 3, 8):
        for margin in range(0, 4 * indent + 1, indent):
            yield Style(notation="json", separators=(",", ": "), indent=indent, margin=margin)
    escapes: tuple[Literal["ascii", "json", "html"], ...] = ("ascii", "json", "html")
    for escape in escapes:
        for separators in ((", ", ": "), (",", ":")):
            yield Style(notation="json", separators=separators, escape=escape)
    for indent in (4, 2):
        yield Style(notation="json", separators=(",", ": "), indent=indent, escape="ascii")


JSON_STYLES = (*_json_styles(), PYTHON)
TEXT_STYLES = (RAW, HTML, STRIPPED)

_ESCAPED = "\\'\"\n\r\t<>&`{}"
_BETWEEN = "wqw"
ESCAPES_PROBE = _BETWEEN + _BETWEEN.join(_ESCAPED) + _BETWEEN
"""The text from what is printed of which :func:`escapes_of` learns."""


def escapes_of(text: str) -> Style | None:
    """Learn what a template escapes from a text with :data:`ESCAPES_PROBE`; ``None`` where it isn't told."""
    pieces = text.split(_BETWEEN)[1:-1]
    if len(pieces) != len(_ESCAPED):
        return None
    found = zip(map(ord, _ESCAPED), pieces, strict=True)
    return Style(
        notation="escaped", escapes=tuple((code, piece) for code, piece in found if chr(code) != piece)
    )
