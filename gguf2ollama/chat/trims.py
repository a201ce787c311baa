"""Have a chat template trim all that Python takes for white space, on a server that does not.

To ``trim`` and ``strip`` of llama.cpp white space is what ASCII has of it; to those of transformers no-break
and ideographic spaces, line separators and the like are so, too. Each trim is given to a macro that cuts away
what such a server has left, and where nothing is left does nothing.

The macro puts as many spaces as a white space has bytes in its place, since llama.cpp counts bytes, and sees
how far the text is blank then. In Python, which counts characters, the ends are never blank, so that the
counts do not matter there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gguf2ollama.jinja.edit import Insertion, Piece, operand_before, rewritten, unused_name

__all__ = ["WIDE_SPACES", "with_wide_trims"]

WIDE_SPACES: Final = (
    "\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Python takes for white space and llama.cpp does not."""

_SIDES = {"trim": (1, 1), "strip": (1, 1), "lstrip": (1, 0), "rstrip": (0, 1)}


def with_wide_trims(text: str) -> str | None:
    """Return a template with its trims wrapped; ``None`` where it has none, or does not read."""
    macro = unused_name(text, "trimmed")
    wrapped = rewritten(text, lambda _, pieces: _wrapped(pieces, macro=macro))
    return None if wrapped is None else f"{_definition(macro)}\n{wrapped}"


def _wrapped(pieces: Sequence[Piece], *, macro: str) -> Iterator[Insertion]:
    for at in range(len(pieces)):
        last = _end_of_trim(pieces, at)
        if last is None:
            continue
        operand = operand_before(pieces, at)
        if operand is None:
            continue
        left, right = _SIDES[pieces[at + 1].text]
        yield Insertion(pieces[operand.first].start, f"{macro}(")
        yield Insertion(pieces[last].end, f", {left}, {right})")


def _end_of_trim(pieces: Sequence[Piece], at: int) -> int | None:
    """Return number of the last piece of a trim without arguments that begins there, ``None`` for none."""
    named = pieces[at + 1] if at + 1 < len(pieces) else None
    if pieces[at].kind != "operator" or named is None or named.text not in _SIDES:
        return None
    begun = [piece.text for piece in pieces[at + 2 : at + 4]]
    if begun == ["(", ")"]:
        return at + 3
    return at + 1 if pieces[at].text == "|" and begun[:1] != ["("] else None


def _definition(macro: str) -> str:
    """Write the macro; its last mark lets the template's own first white space be."""
    blanks = "".join(f".replace('{one}', '{' ' * len(one.encode())}')" for one in WIDE_SPACES)
    return (
        f"{{%- macro {macro}(text, left, right) -%}}"
        f"{{%- set spaces = '{WIDE_SPACES}' -%}}"
        "{%- if text[:1] in spaces or text[-1:] in spaces -%}"
        f"{{%- set even = text{blanks} -%}}"
        "{%- set first = (even|length - even.lstrip()|length) * left -%}"
        "{%- set last = text|length - (even|length - even.rstrip()|length) * right -%}"
        "{{- text[first:last] -}}"
        "{%- else -%}{{- text -}}{%- endif -%}"
        "{%- endmacro %}"
    )
