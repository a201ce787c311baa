"""Read the arguments of filters, tests and functions, and fail where llama.cpp does when they don't fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.values import UNDEFINED, Keyword, Value, type_name

__all__ = ["as_integer", "at", "expect_count", "expect_type", "flag", "is_integer", "keyword", "named"]


def is_integer(value: Value) -> bool:
    """Whether it is an integer, and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_integer(value: Value) -> int:
    """Return a number without its decimals.

    Raises:
        TemplateFault: It is none.
    """
    if not isinstance(value, (int, float)):
        raise TemplateFault(f"{type_name(value)} is not an int value")
    return int(value)


def at(arguments: Sequence[Any], position: int) -> Value:
    """Return an argument by its position, keyword or not.

    Raises:
        TemplateFault: There is none.
    """
    if position >= len(arguments):
        raise TemplateFault(f"at least {position + 1} arguments are expected, {len(arguments)} are given")
    return arguments[position]


def keyword(arguments: Sequence[Any], key: str) -> Value:
    """Return a keyword argument; undefined where it is not given."""
    for argument in arguments:
        if isinstance(argument, Keyword) and argument.key == key:
            return argument.value
    return UNDEFINED


def named(arguments: Sequence[Any], key: str, position: int) -> Value:
    """Return an argument by its name or its position; undefined where it is not given."""
    value = keyword(arguments, key)
    if value is UNDEFINED and position < len(arguments) and not isinstance(arguments[position], Keyword):
        return arguments[position]
    return value


def flag(arguments: Sequence[Any], key: str, position: int) -> bool:
    """Return an argument as true or false; false where it is not given."""
    value = named(arguments, key, position)
    return value is not UNDEFINED and bool(value)


def expect_count(arguments: Sequence[Any], least: int, most: int = 999) -> None:
    """Check how many arguments there are.

    Raises:
        TemplateFault: Too few or too many.
    """
    if not least <= len(arguments) <= most:
        raise TemplateFault(f"between {least} and {most} arguments are expected, {len(arguments)} are given")


def expect_type(value: Value, kind: type | tuple[type, ...]) -> None:
    """Check the type of an argument.

    Raises:
        TemplateFault: It is of another.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise TemplateFault(f"the argument is of an unexpected type: {type_name(value)}")
