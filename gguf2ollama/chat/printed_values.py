"""Have a chat template print values as transformers does, on a server that prints some in another way.

llama.cpp prints nothing for ``None`` and for objects, and of a list its items, one behind the other; what its
filter ``string`` makes of them is what Python prints. Arguments of calls are printed so by templates that
write them one by one and not as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gguf2ollama.jinja.edit import Insertion, Piece, operand_before, rewritten

__all__ = ["with_values_printed"]


def with_values_printed(text: str) -> str | None:
    """Return a template that prints the values of variables so; ``None`` where it prints none as it is."""
    return rewritten(text, _as_text)


def _as_text(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for at, piece in enumerate(pieces):
        operand = operand_before(pieces, at) if piece.kind == "variable_end" else None
        if operand is None or operand.calls or pieces[operand.first].kind != "name":
            continue
        if operand.first and pieces[operand.first - 1].kind == "variable_begin":
            yield Insertion(pieces[at - 1].end, " | string")
