"""The forms in which models write calls of tools, each read as Ollama's parser reads it.

Sources: ``qwen3coder.go``, ``glm46.go`` and ``cohere.go`` in ``model/parsers`` of Ollama 0.34.4. What they do
to mend calls that a model wrote wrongly is left out.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.answer_parsers.reading import SPACE, Call, Unread

__all__ = ["cohere_calls", "glm_call", "qwen_coder_call"]

_MAX_INTEGER = (1 << 63) - 1
_FUNCTION = lazy_pattern(r"\s*<function=([^>]+)>(.*?)</function>", re.DOTALL)
_PARAMETER = lazy_pattern(r"<parameter=([^>]+)>(.*?)</parameter>", re.DOTALL)
_DIGITS = r"[0-9]+(?:_[0-9]+)*"  # as Go's ParseFloat takes them
_NUMBER = lazy_pattern(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_ARGUMENT = lazy_pattern(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_GLM_TAG = lazy_pattern(r"</?arg_(?:key|value)>")


def qwen_coder_call(raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    """Read ``<function=NAME><parameter=KEY>VALUE</parameter></function>``.

    Raises:
        Unread: It is written in another way.
    """
    match = _FUNCTION.match(raw)
    if match is None:
        raise Unread
    name = match[1]
    rest = _PARAMETER.sub("", match[2])
    if "<parameter" in rest or "</parameter" in rest or "<function" in rest:
        raise Unread
    types = _types(tools, name)
    return name, {key: _value(told, types.get(key, ())) for key, told in _PARAMETER.findall(match[2])}


def glm_call(raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    """Read ``NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>``.

    Raises:
        Unread: It is written in another way.
    """
    name = _ARGUMENT.sub("", raw)
    if _GLM_TAG.search(name) or not name.strip(SPACE):
        raise Unread
    return _with_arguments(name.strip(SPACE), raw, tools)


def cohere_calls(raw: str) -> Iterator[Call]:
    """Read a JSON array of calls, each with ``tool_name`` and ``parameters``; else there are none."""
    try:
        found = json.loads(raw.strip(SPACE))
    except (ValueError, RecursionError):
        return
    if not isinstance(found, list):
        return
    for one in found:
        if isinstance(one, dict) and isinstance(one.get("parameters", {}), dict):
            yield str(one.get("tool_name", "")), one.get("parameters", {})


def _with_arguments(name: str, raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    types = _types(tools, name)
    found = ((key.strip(SPACE), told) for key, told in _ARGUMENT.findall(raw))
    return name, {key: _value(told, types.get(key, ())) for key, told in found}


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text.strip(SPACE))
    except (ValueError, RecursionError):
        raise Unread from None
    if not isinstance(found, dict):
        raise Unread
    return found


def _types(tools: Sequence[Mapping[str, Any]], name: str) -> dict[str, tuple[str, ...]]:
    """Return the types of a tool's arguments, by their names."""
    for tool in tools:
        function = tool.get("function", {})
        if function.get("name") == name:
            properties = function.get("parameters", {}).get("properties") or {}
            return {key: tuple(_types_of(schema)) for key, schema in properties.items()}
    return {}


def _types_of(schema: Mapping[str, Any]) -> Iterator[str]:
    for one in schema.get("anyOf") or [schema]:
        told = one.get("type", ())
        yield from [told] if isinstance(told, str) else told


def _value(raw: str, types: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
    """Read a value by the types that it may have, the narrowest first (``parseValue``)."""
    raw = raw.removeprefix("\n").removesuffix("\n")
    word = raw.lower()
    if word == "null":
        return None
    if "boolean" in types and word in {"true", "false"}:
        return word == "true"
    if types == ("boolean",):
        return False
    return next(_values(raw, types), raw)


def _values(raw: str, types: tuple[str, ...]) -> Iterator[Any]:
    """Return what a text is as a number, an array or an object, where it may be one."""
    if "integer" in types and re.fullmatch(r"[+-]?[0-9]+", raw) and abs(int(raw)) <= _MAX_INTEGER:
        yield int(raw)
    if "number" in types and (number := _number(raw)) is not None:
        yield number
    for kind, wanted in (("array", list), ("object", dict)):
        if kind in types:
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(raw)
                if isinstance(found, wanted):
                    yield found


def _number(raw: str) -> float | int | None:
    if not _NUMBER.fullmatch(raw):
        return None
    number = float(raw)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) <= _MAX_INTEGER else number
