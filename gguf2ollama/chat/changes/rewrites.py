"""Rewrite chat templates in places where llama.cpp does something else than transformers.

Each rewriting keeps what a template means in transformers, and returns ``None`` for one
to which it does not apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gguf2ollama.jinja.edit import Insertion, Piece, operand_before, rewritten, unused_name

__all__ = [
    "WIDE_SPACES",
    "with_arguments_as_json",
    "with_missing_members",
    "with_text_split",
    "with_values_printed",
    "with_wide_trims",
]


_METHODS = {"get", "items", "keys", "values"}  # of objects, in both
_QUOTES = "'\""
_NOTHING = {"data": "{##}", "comment": " "}  # what stands within a text and prints nothing


def with_text_split(text: str, marks: Sequence[str]) -> str | None:
    """Return a template whose text holds none of some marks, and which prints what it printed.

    llama.cpp takes a template for that of a model family by such marks in its text.
    """

    def found(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
        for piece in pieces:
            cuts = [at + 1 for mark in marks for at in _places(piece.text, mark)] if piece.text else []
            quote = piece.text[:1]
            if piece.kind == "string" and cuts:
                yield Insertion(piece.start, "(")
                yield from (Insertion(piece.start + at, f"{quote} + {quote}") for at in sorted(cuts))
                yield Insertion(piece.end, ")")
            elif piece.kind in {"data", "comment"}:
                yield from (Insertion(piece.start + at, _NOTHING[piece.kind]) for at in cuts)

    return rewritten(text, found)


def _places(text: str, mark: str) -> Iterator[int]:
    at = text.find(mark) if mark else -1
    while at >= 0:
        yield at
        at = text.find(mark, at + len(mark))


def with_missing_members(text: str) -> str | None:
    """Return a template whose look-ups do not find methods.

    ``schema['items']`` of an object without ``items`` is its method of that name, in transformers and
    llama.cpp alike. A method is true in Python; llama.cpp raises on the truth of a method, so the request
    fails. Where the method would be found there now stands ``true``, which like a method is no text, no list
    and no mapping, and has no members.
    """
    return rewritten(text, _guarded)


def _guarded(source: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for at in range(len(pieces) - 3):
        opening, key, closing, after = pieces[at : at + 4]
        is_member = (opening.text, key.kind, closing.text) == ("[", "string", "]")
        if not is_member or key.text.strip(_QUOTES) not in _METHODS or after.text in {"(", "="}:
            continue
        operand = operand_before(pieces, at)
        if operand is None or operand.calls or not pieces[operand.first].is_value:
            continue
        first = pieces[operand.first]
        owner = source[first.start : opening.start].rstrip()
        yield Insertion(first.start, "(")
        yield Insertion(closing.end, f" if {owner} is not mapping or {key.text} in {owner} else true)")


def with_arguments_as_json(text: str) -> str | None:
    """Return a template that prints arguments of calls as JSON also where they are objects.

    llama.cpp learns how calls are written by rendering some whose arguments are objects. A template that
    takes them as text then prints something that is not JSON, and the form of its calls is not found.
    """
    return rewritten(text, _arguments_as_json)


def _arguments_as_json(source: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for at in range(1, len(pieces) - 1):
        if pieces[at].text.strip(_QUOTES) != "arguments":
            continue
        is_item = pieces[at].kind == "string" and (pieces[at - 1].text, pieces[at + 1].text) == ("[", "]")
        if not is_item and not (pieces[at].kind == "name" and pieces[at - 1].text == "."):
            continue
        last = at + 1 if is_item else at
        operand = operand_before(pieces, last + 1)
        if operand is None or operand.calls:
            continue
        before, after = pieces[operand.first - 1], pieces[last + 1]
        if before.text not in {"+", "~"} and after.text not in {"+", "~"}:
            continue  # it is not put between texts
        if after.text in {".", "[", "(", "|", "is", "if"}:
            continue  # it is taken apart, or changed
        start, end = pieces[operand.first].start, pieces[last].end
        told = source[start:end]
        printed = f"({told} if {told} is string else {told} | tojson(separators=(',', ':')))"
        yield Insertion(start, printed, instead_of=end - start)


def with_values_printed(text: str) -> str | None:
    """Return a template that prints the values of variables as Python does.

    llama.cpp prints nothing for ``None`` and for objects, and of a list its items, one behind the other; its
    filter ``string`` matches Python's ``str()``. Templates that print arguments one by one need it.
    """
    return rewritten(text, _as_text)


def _as_text(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for at, piece in enumerate(pieces):
        operand = operand_before(pieces, at) if piece.kind == "variable_end" else None
        if operand is None or operand.calls or pieces[operand.first].kind != "name":
            continue
        if operand.first and pieces[operand.first - 1].kind == "variable_begin":
            yield Insertion(pieces[at - 1].end, " | string")


WIDE_SPACES: Final = (
    "\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Python takes for white space and llama.cpp does not."""

_SIDES = {"trim": (1, 1), "strip": (1, 1), "lstrip": (1, 0), "rstrip": (0, 1)}


def with_wide_trims(text: str) -> str | None:
    """Return a template that trims all that Python takes for white space.

    To ``trim`` and ``strip`` of llama.cpp white space is what ASCII has of it; to those of transformers
    no-break and ideographic spaces, line separators and the like are so, too. Each trim is given to a macro
    that cuts away what such a server has left, and where nothing is left does nothing.

    The macro puts as many spaces as a white space has bytes in its place, since llama.cpp counts bytes, and
    sees how far the text is blank then. In Python, which counts characters, the ends are never blank, so that
    the counts do not matter there.
    """
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
