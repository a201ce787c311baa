"""Filters and methods of strings, as far as llama.cpp has them.

Source: ``value_string_t::get_builtins`` in ``common/jinja/value.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.llamacpp.jinja_engine.arguments import (
    as_integer,
    at,
    expect_type,
    flag,
    is_integer,
    named,
)
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.slices import sliced
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    CAP_CHARACTERS,
    UNDEFINED,
    Joined,
    Value,
    capped,
    is_true,
    to_text,
)

__all__ = ["TEXT_METHODS", "WHITE_SPACE"]

Method: TypeAlias = Callable[[list[Any]], Any]
WHITE_SPACE: Final = " \t\n\v\f\r"
"""What C++ takes for white space in the plain locale."""

_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_TO_UPPER, _TO_LOWER = str.maketrans(_LOWER, _UPPER), str.maketrans(_UPPER, _LOWER)
_WORD = lazy_pattern(f"[^{WHITE_SPACE}]+")
_INTEGER = lazy_pattern(f"[{WHITE_SPACE}]*([+-]?[0-9]{{1,20}})")
_FLOAT = lazy_pattern(f"[{WHITE_SPACE}]*([+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_NOT_DECIMAL = lazy_pattern(f"[{WHITE_SPACE}]*[+-]?(?:0[xX]|inf|nan)", re.IGNORECASE)
_INT32 = 1 << 31


def _text(arguments: list[Any]) -> str:
    value = at(arguments, 0)
    expect_type(value, str)
    return str(value)


def _same(arguments: list[Any]) -> Value:
    expect_type(at(arguments, 0), str)
    return arguments[0]


def _whole(arguments: list[Any]) -> str:
    """Return the text, where it is not put together of several that would each be treated by itself."""
    if isinstance(at(arguments, 0), Joined):
        raise NotForeseen("capitalizing a concatenated string")
    return _text(arguments)


def _strip(left: bool, right: bool) -> Method:  # noqa: FBT001 - two sides
    def run(arguments: list[Any]) -> str:
        text = _text(arguments)
        told = named(arguments, "chars", 1)
        characters = WHITE_SPACE if told is UNDEFINED else to_text(told)
        text = text.lstrip(characters) if left and characters else text
        return text.rstrip(characters) if right and characters else text

    return run


def _capitalize(arguments: list[Any]) -> str:
    text = _whole(arguments)
    return text[:1].translate(_TO_UPPER) + text[1:].translate(_TO_LOWER)


def _title(arguments: list[Any]) -> str:
    return _WORD.sub(lambda word: _capitalize([word.group()]), _whole(arguments))


def _begins(arguments: list[Any]) -> bool:
    text, part = _text(arguments), at(arguments, 1)
    expect_type(part, str)
    return text.startswith(part)


def _ends(arguments: list[Any]) -> bool:
    text, part = _text(arguments), at(arguments, 1)
    expect_type(part, str)
    return text.endswith(part)


def _split(from_right: bool) -> Method:  # noqa: FBT001 - one of two
    def run(arguments: list[Any]) -> list[str]:
        text = _text(arguments)
        separator = to_text(arguments[1]) if len(arguments) > 1 else " "
        if not separator:
            raise TemplateFault("empty separator")
        most = as_integer(arguments[2]) if len(arguments) > 2 else -1  # noqa: PLR2004 - the third
        return text.rsplit(separator, most) if from_right else text.split(separator, most)

    return run


def _replace(arguments: list[Any]) -> str:
    text, old, new = _text(arguments), at(arguments, 1), at(arguments, 2)
    expect_type(old, str)
    expect_type(new, str)
    if len(arguments) > 3 and as_integer(arguments[3]) > 0:  # noqa: PLR2004 - the fourth
        raise TemplateFault("String replace with count argument not implemented")
    if len(text) + text.count(old) * len(new) > CAP_CHARACTERS:
        raise NotForeseen("a string that grows too large")
    return text.replace(old, new)


def _format(arguments: list[Any]) -> str:
    pieces = _text(arguments).split("{")
    told = [pieces[0]]
    for number, piece in enumerate(pieces[1:], 1):
        if not piece.startswith("}"):
            raise TemplateFault("format() only supports simple '{}' placeholders")
        told += [to_text(at(arguments, number)), piece[1:]]
    return capped("".join(told))


def _to_integer(arguments: list[Any]) -> int:
    default, base = named(arguments, "default", 1), named(arguments, "base", 2)
    text = _text(arguments)
    if base is not UNDEFINED and as_integer(base) != 10:  # noqa: PLR2004 - decimal
        raise NotForeseen("an integer that is not decimal")
    match = _INTEGER.match(text)
    value = int(match.group(1)) if match else _INT32
    if not -_INT32 <= value < _INT32:
        return 0 if default is UNDEFINED else as_integer(default)
    return value


def _to_float(arguments: list[Any]) -> float:
    default, text = named(arguments, "default", 1), _text(arguments)
    if _NOT_DECIMAL.match(text):
        raise NotForeseen("a float that is not decimal")
    match = _FLOAT.match(text)
    if match is None:
        return 0.0 if default is UNDEFINED else float(as_integer(default))
    return float(match.group(1))


def _default(arguments: list[Any]) -> Value:
    text = _text(arguments)
    other = arguments[1] if len(arguments) > 1 and arguments[1] is not UNDEFINED else ""
    return other if flag(arguments, "boolean", 2) and not is_true(text) else at(arguments, 0)


def _slice(arguments: list[Any]) -> str:
    return "".join(sliced(_text(arguments), arguments[1:]))


def _indent(arguments: list[Any]) -> str:
    width = named(arguments, "width", 1)
    first, blank = flag(arguments, "first", 2), flag(arguments, "blank", 3)
    text = _text(arguments)
    margin = to_text(width) if isinstance(width, str) else "    "
    if is_integer(width):
        if not 0 <= width <= CAP_CHARACTERS:
            raise NotForeseen(f"lines that are indented by {width}")
        margin = " " * width
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if len(text) + len(lines) * len(margin) > CAP_CHARACTERS:
        raise NotForeseen("a string that grows too large")
    told = ""
    for line in lines:
        has_begun = bool(told)
        told += ("\n" if has_begun else "") + (margin if ((line or blank) if has_begun else first) else "")
        told += line
    return told + ("\n" + (margin if blank else "") if text.endswith("\n") else "")


def _join(arguments: list[Any]) -> str:
    raise TemplateFault(f"String join builtin not implemented ({len(arguments)} arguments)")


TEXT_METHODS: Final[Mapping[str, Method]] = {
    "default": _default,
    "upper": lambda arguments: _text(arguments).translate(_TO_UPPER),
    "lower": lambda arguments: _text(arguments).translate(_TO_LOWER),
    "strip": _strip(left=True, right=True),
    "rstrip": _strip(left=False, right=True),
    "lstrip": _strip(left=True, right=False),
    "title": _title,
    "capitalize": _capitalize,
    "length": lambda arguments: len(_text(arguments)),
    "startswith": _begins,
    "endswith": _ends,
    "split": _split(from_right=False),
    "rsplit": _split(from_right=True),
    "replace": _replace,
    "format": _format,
    "int": _to_integer,
    "float": _to_float,
    "string": _text,
    "slice": _slice,
    "safe": _same,
    "indent": _indent,
    "join": _join,
}
