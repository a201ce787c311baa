"""Parse tool calls in a model's answer as Ollama does for models with a TEMPLATE (``tools.Parser``).

It looks for the tag that opens a call, then for the name of a tool, and for the first
JSON object; calls in XML or another language are not parsed. Source: ``tools/tools.go`` of 0.34.4.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["read_calls"]

_BRACKETS = ("{", "[")
_ARGUMENTS = ("arguments", "parameters")


def read_calls(answer: str, *, tag: str, names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls in a whole answer, each with the tool's name and its arguments.

    Args:
        answer: The model's output.
        tag: The text that opens a call (:attr:`Reading.tool_tag`); ``""`` for any.
        names: The names of the tools in the request.
    """
    before, found, rest = answer.partition(tag) if tag else ("", True, answer)
    if not found or (tag in _BRACKETS and before.strip()):
        return []
    return list(_calls(tag + rest, names=names))


def _calls(text: str, *, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    while True:
        positions = [(text.find(name), -len(name), name) for name in names if name and name in text]
        if not positions:
            return
        start, _, name = min(positions)
        found = _first_object(text)
        if found is None:
            return
        value, end = found
        arguments = _arguments(value, name=name)
        if arguments is None:
            return
        yield name, arguments
        text = text[max(end, start + len(name)) :]


def _first_object(text: str) -> tuple[dict[str, Any], int] | None:
    """Return the first JSON object between balanced braces, and the index of its end."""
    start, depth, is_string, is_escaped = -1, 0, False, False
    for position, character in enumerate(text):
        if is_escaped or character == "\\":
            is_escaped = not is_escaped
        elif character == '"':
            is_string = not is_string
        elif is_string:
            continue
        elif character == "{":
            start = position if depth == 0 else start
            depth += 1
        elif character == "}":
            depth = max(depth - 1, -1)
            if depth == 0 and start >= 0:
                value = _object(text[start : position + 1])
                if value is not None:
                    return value, position
                start = -1
            depth = max(depth, 0)
    return None


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _arguments(value: dict[str, Any], *, name: str) -> dict[str, Any] | None:
    """Return the arguments in an object: those of a call within it, or the object itself."""
    is_found, arguments = _search(value, name=name)
    return arguments if is_found else value


def _search(value: Mapping[str, Any], *, name: str) -> tuple[bool, dict[str, Any] | None]:
    if "name" in value:
        found = (_mapping(value.get(key)) for key in _ARGUMENTS)
        return True, next((arguments for arguments in found if arguments is not None), None)
    if (own := _mapping(value.get(name))) is not None:
        return True, own
    for child in value.values():
        for item in child if isinstance(child, list) else [child]:
            if isinstance(item, dict):
                is_found, arguments = _search(item, name=name)
                if is_found:
                    return True, arguments
    return False, None


def _mapping(value: object) -> dict[str, Any] | None:
    if isinstance(value, str):
        return _object(value)
    return value if isinstance(value, dict) else None
