"""Schemas and tools whose every text is found again: a mark that stands nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.synthesis.tool_forms.features import OTHER
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import Tool, tool

__all__ = ["Marks", "Schema", "flat_schemas", "marks_in", "varied_tools"]

Schema: TypeAlias = Mapping[str, Any]

_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null", OTHER)
_ITEM_TYPES = ("string", "number", "integer", "boolean", "object", "array", OTHER)
_LETTERS = "bcdfghjkmnprstvw"
_MARK = lazy_pattern(r"[a-z]q\d+q[a-z]")


class Marks:
    """A source of marks, whose first and last letters change from one to the next."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def __call__(self) -> str:
        """Return the next mark."""
        number = next(self._numbers)
        return f"{_LETTERS[number % 16]}q{number}q{_LETTERS[(number // 5 + 3 * number) % 16]}"

    def text(self) -> str:
        """Return a text of two words."""
        return f"{self()} {self()}"


def marks_in(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # a value of JSON
    """Return the marks in a value, its keys included."""
    if isinstance(value, str):
        return tuple(_MARK.findall(value))
    if isinstance(value, Mapping):
        return tuple(mark for key, one in value.items() for mark in (*marks_in(key), *marks_in(one)))
    if isinstance(value, (list, tuple)):
        return tuple(mark for one in value for mark in marks_in(one))
    return ()


def flat_schemas(mark: Marks) -> Iterator[Schema]:
    """Return schemas of parameters in every combination of fields; each key stands where Ollama puts it."""
    for is_described in (False, True):
        for declared in _TYPES:
            description = {"description": mark.text()} if is_described else {}
            yield {"type": declared, **description}
            if declared in {"string", "integer", "number", "boolean"}:
                values = [mark(), mark(), mark()]
                yield {"type": declared, **description, "enum": values}
                yield {"type": declared, **description, "enum": values[:1]}
            if declared == "array":
                for item in _ITEM_TYPES:
                    yield {"type": declared, "items": {"type": item}, **description}
                for count in (1, 3):
                    items = {"enum": [mark() for _ in range(count)], "type": "string"}
                    yield {"type": declared, "items": items, **description}
                yield {
                    "type": declared,
                    "items": {"description": mark.text(), "type": "string"},
                    **description,
                }
        description = {"description": f" {mark()}\n{mark()}\n "} if is_described else {}
        yield {**description}
        yield {"type": "integer", **description, "enum": [7001, 7002]}
        yield {"type": ["string", "null"], **description}
        yield {"anyOf": [{"type": "string"}, {"type": "integer"}], **description}


def varied_tools(mark: Marks, flat: Sequence[tuple[str, Schema]]) -> Iterator[Tool]:
    """Return tools with and without descriptions, parameters, and names of parameters that must be given."""
    for count, required, is_described in itertools.product((1, 2, 0), (0, 1, 2), (True, False)):
        yield tool(
            mark(),
            dict(flat[:count]),
            description=mark.text() if is_described else "",
            required=[mark() for _ in range(required)],
        )
    definitions = {mark(): {"description": mark.text(), "type": "string"}}
    for count, required, is_described in itertools.product((1, 0), (0, 1), (True, False)):
        yield tool(
            mark(),
            dict(flat[:count]),
            description=f"\n {mark.text()} \n" if is_described else "",
            required=[mark() for _ in range(required)],
            definitions=definitions,
        )
