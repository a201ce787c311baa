"""Have a chat template ask for the items of lists with brackets: ``content[0]``, and not ``content.0``.

Jinja takes both for the same. The llama.cpp of Ollama before 0.34.2 fails at the latter, and with it what it
tries to find out how the template takes calls of tools.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from gguf2ollama.jinja.edit import Insertion, Piece, rewritten

__all__ = ["with_brackets"]


def with_brackets(text: str) -> str | None:
    """Return a template without numbers behind dots; ``None`` where it has none, or does not read."""
    return rewritten(text, _bracketed)


def _bracketed(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    for dot, number in pairwise(pieces):
        if (dot.kind, dot.text, number.kind) == ("operator", ".", "integer"):
            yield Insertion(dot.start, f"[{number.text}]", instead_of=number.end - dot.start)
