"""Fill the templates of reports: pages that load nothing, and are safe whatever names and texts they show."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._resources import templates_root
from gguf2ollama._text import printable
from gguf2ollama.chat.comparison import Score
from gguf2ollama.chat.difference import Piece

__all__ = ["render_page", "shorten"]

_LONG, _SHOWN = 20_000, 4_000  # characters: a longer piece of a prompt shows so many at its start and end
_NO_XML = lazy_pattern("[\ufffe\uffff]")  # an SVG with one of these is not shown at all
_KEPT = frozenset("\n\t")  # control characters that a page may contain


def render_page(template: str, /, **values: object) -> str:
    """Return a page; everything that is filled in is escaped.

    Control characters, and invisible ones that change the direction of a text or hide in it, are shown by
    their codes. The filter ``with_line_ends`` shows white space, too.

    Args:
        template: The name of the file in ``templates/report``.
        values: What the template uses.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_root() / "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        finalize=_printable,
    )
    environment.filters["with_line_ends"] = _with_line_ends
    environment.filters["colour"] = _colour
    return environment.get_template(template).render(**values)


def shorten(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Leave out the middle of long pieces: each prompt of a long template has the whole of it."""
    return tuple(
        Piece(piece.change, f"{piece.text[:_SHOWN]}\n[… {left_out:,} characters …]\n{piece.text[-_SHOWN:]}")
        if len(piece.text) > _LONG and (left_out := len(piece.text) - 2 * _SHOWN)
        else piece
        for piece in pieces
    )


def _colour(score: Score) -> str:
    """Return the class of a count: what only writes JSON differently is not wrong."""
    if not score.compared:
        return "dim"
    return "bad" if score.different else "good" if score.is_exact else "near"


def _with_line_ends(text: str) -> str:
    """Show white space, and other invisible characters by their codes."""
    shown = text.replace("\r", "␍").replace("\n", "⏎\n").replace("\t", "→\t")
    return "".join(char if char.isprintable() or char in _KEPT else ascii(char)[1:-1] for char in shown)


def _printable(value: object) -> object:
    if not isinstance(value, str) or isinstance(
        value, Markup
    ):  # Markup is a macro's, and has been through this
        return value
    return _NO_XML.sub(lambda match: ascii(match[0])[1:-1], printable(value))
