"""Have a chat template take a member that is missing, and has a method's name, for one that is there.

``schema['items']`` of an object without ``items`` is its method of that name, in transformers and llama.cpp
alike. A method is true in Python; llama.cpp refuses to say whether one is, and with it the chat. Where the
method would be found there now stands ``true``, of which templates make what they make of a method: it is no
text, no list and no mapping, and has no members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gguf2ollama.jinja.edit import Insertion, Piece, operand_before, rewritten

__all__ = ["with_missing_members"]

_METHODS = {"get", "items", "keys", "values"}  # of objects, in both
_QUOTES = "'\""


def with_missing_members(text: str) -> str | None:
    """Return a template whose look-ups do not find methods; ``None`` where none does, or it does not read."""
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
