"""Have a chat template ask for the items of lists with brackets: ``content[0]``, and not ``content.0``.

Jinja takes both for the same. The llama.cpp of Ollama before 0.34.2 fails at the latter, and with it what it
tries to find out how the template takes calls of tools.
"""

from __future__ import annotations

from itertools import pairwise

from gguf2ollama.chat.rewriting import pieces_of, with_line_ends

__all__ = ["with_brackets"]


def with_brackets(text: str) -> str | None:
    """Give a template without numbers behind dots; ``None`` where it has none, or does not read."""
    source = with_line_ends(text)
    try:
        pieces = pieces_of(source)
    except ValueError:
        return None
    parts: list[str] = []
    at = 0
    for dot, number in pairwise(pieces):
        if (dot.kind, dot.text, number.kind) == ("operator", ".", "integer"):
            parts += [source[at : dot.start], f"[{number.text}]"]
            at = number.end
    return "".join([*parts, source[at:]]) if parts else None
