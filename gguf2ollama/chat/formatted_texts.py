"""Have a chat template join texts where it fills them in: ``'%s=%s' | format(key, value)``.

llama.cpp takes its filter ``format`` for Python's method, which fills in braces and leaves ``%s`` as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.jinja.edit import Insertion, Piece, rewritten

__all__ = ["with_formats_joined"]

_DIRECTIVE = lazy_pattern(r"%(.?)", re.DOTALL)


def with_formats_joined(text: str) -> str | None:
    """Return a template that fills in no ``%s``; ``None`` where it does not, or does not read."""
    return rewritten(text, _joined)


def _joined(source: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
    done = 0
    for at in range(len(pieces) - 4):
        literal, *call = pieces[at : at + 4]
        is_filled = literal.kind == "string" and [one.text for one in call] == ["|", "format", "("]
        if not is_filled or at < done or (at and pieces[at - 1].kind == "string"):
            continue
        arguments, done = _arguments(source, pieces, at + 3)
        parts = _parts(literal.text)
        if parts is None or arguments is None or len(parts) != len(arguments) + 1:
            continue
        told = [parts[0]]
        for argument, part in zip(arguments, parts[1:], strict=True):
            told += [f"(({argument}) | string)", part]
        end = pieces[done - 1].end
        yield Insertion(literal.start, f"({' ~ '.join(told)})", instead_of=end - literal.start)


def _parts(literal: str) -> list[str] | None:
    """Cut a string literal at each ``%s``; ``None`` where it has another directive."""
    quote, body = literal[0], literal[1:-1]
    directives = list(_DIRECTIVE.finditer(body))
    if any(one[1] not in {"s", "%"} for one in directives):
        return None
    parts, start = [], 0
    for one in directives:
        if one[1] == "s":
            parts.append(body[start : one.start()])
            start = one.end()
    return [f"{quote}{part.replace('%%', '%')}{quote}" for part in (*parts, body[start:])]


def _arguments(source: str, pieces: Sequence[Piece], opening: int) -> tuple[list[str] | None, int]:
    """Return the arguments of a call as they are written, and the number of the piece behind it.

    ``None`` for them where one is named or unpacked.
    """
    depth, start, found = 0, pieces[opening].end, list[str]()
    is_plain = True
    for at in range(opening, len(pieces)):
        text = pieces[at].text if pieces[at].kind == "operator" else ""
        depth += pieces[at].deepens
        if depth == 1 and (text in {"=", "**"} or (text == "*" and pieces[at - 1].text in {"(", ","})):
            is_plain = False
        if depth == 0 or (depth == 1 and text == ","):
            found.append(source[start : pieces[at].start].strip())
            start = pieces[at].end
        if depth == 0:
            return ([one for one in found if one] if is_plain else None), at + 1
    return None, len(pieces)
