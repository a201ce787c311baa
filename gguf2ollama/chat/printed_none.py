"""Have a chat template print ``None`` where transformers does, on a server that prints nothing for it.

An argument that is null is printed so by templates that write arguments one by one and not as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gguf2ollama.chat.rewriting import Insertion, Piece, operand_before, rewritten

__all__ = ["with_none_printed"]


def with_none_printed(text: str) -> str | None:
    """Give a template that prints the values of variables so; ``None`` where it prints none as it is."""
    return rewritten(text, _guarded)


def _guarded(source: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for at, piece in enumerate(pieces):
        operand = operand_before(pieces, at) if piece.kind == "variable_end" else None
        if operand is None or operand.calls or pieces[operand.first].kind != "name":
            continue
        if operand.first and pieces[operand.first - 1].kind == "variable_begin":
            end = pieces[at - 1].end
            value = source[pieces[operand.first].start : end]
            yield Insertion(end, f" if {value} is not none else 'None'")
