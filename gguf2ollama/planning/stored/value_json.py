"""Frozen values as JSON and back, by the types that their classes declare: strictly, both ways."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

__all__ = ["Form", "Forms"]

_NONE: Mapping[Any, Any] = types.MappingProxyType({})
_PLAIN = (int, float, bool, type(None))


class Form(NamedTuple):
    """How the values of one type are written as JSON, and read.

    Both raise ``TypeError`` or ``ValueError`` for anything else; nothing is converted or left out silently.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


class Forms:
    """The forms of dataclasses and of what they hold.

    That is strings, numbers, ``None``, literals, enums, dates, paths, regular expressions, tuples, frozen
    sets, mappings with strings as keys, unions, and other dataclasses. A dataclass is the list of its fields:
    who stores it has to know that the classes are the same when it is read.

    Args:
        own: Forms of other types, or of dataclasses that are written otherwise.
        names: What annotations name that their modules import for type checkers alone.
    """

    def __init__(self, own: Mapping[Any, Form] = _NONE, *, names: Mapping[str, Any] = _NONE) -> None:
        self._forms = dict(own)
        self._names = dict(names)

    def of(self, kind: Any) -> Form:  # noqa: ANN401 - a class, or what an annotation may be
        """Return the form of a type.

        Raises:
            TypeError: It is none of the above.
        """
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = self._make(kind)
        return form

    def _make(self, kind: Any) -> Form:  # noqa: ANN401 - as above
        if (origin := get_origin(kind)) is not None:
            make = {
                Literal: _literal,
                Union: self._union,
                types.UnionType: self._union,
                tuple: self._tuple,
                frozenset: self._set,
                Mapping: self._mapping,
                re.Pattern: _pattern,
            }.get(origin)
            if make is not None:
                return make(get_args(kind))
        elif kind is str:
            return Form(_plain_text, _text)
        elif kind in _PLAIN:
            return _checked(lambda value: type(value) is kind)
        elif isinstance(kind, type):
            return self._record(kind) if dataclasses.is_dataclass(kind) else _text_form(kind)
        raise TypeError(f"no form for {kind!r}")

    def _union(self, kinds: tuple[Any, ...]) -> Form:
        """Return the form of a union: the number of the type, and the value."""
        forms = [self.of(kind) for kind in kinds]

        def write(value: Any) -> list[Any]:  # noqa: ANN401 - of any of these types
            for number, form in enumerate(forms):
                with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
                    return [number, form.write(value)]
            raise TypeError(f"unexpected value of type {type(value).__name__}")

        def read(json: Any) -> Any:  # noqa: ANN401 - whatever is in the file
            number, content = _list(json, length=2)
            if type(number) is not int or not 0 <= number < len(forms):
                raise ValueError("no such type")
            return forms[number].read(content)

        return Form(write, read)

    def _tuple(self, kinds: tuple[Any, ...]) -> Form:
        if kinds[-1] is not ...:
            raise TypeError(f"no form for a tuple of {kinds!r}")
        form = self.of(kinds[0])

        def write(value: Any) -> list[Any]:  # noqa: ANN401 - checked
            if type(value) is not tuple:
                raise TypeError("not a tuple")
            return [form.write(item) for item in value]

        return Form(write, lambda json: tuple(form.read(item) for item in _list(json)))

    def _set(self, kinds: tuple[Any, ...]) -> Form:
        form = self._tuple((*kinds, ...))
        return Form(lambda value: form.write(tuple(sorted(value))), lambda json: frozenset(form.read(json)))

    def _mapping(self, kinds: tuple[Any, ...]) -> Form:
        if kinds[0] is not str:
            raise TypeError(f"no form for a mapping of {kinds!r}")
        form = self.of(kinds[1])

        def read(json: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever is in the file
            if type(json) is not dict:
                raise TypeError("not an object")
            return types.MappingProxyType({key: form.read(item) for key, item in json.items()})

        return Form(lambda value: {key: form.write(item) for key, item in value.items()}, read)

    def _record(self, cls: type[Any]) -> Form:
        hints = get_type_hints(cls, localns=self._names)
        names = [field.name for field in dataclasses.fields(cls)]
        forms = [self.of(hints[name]) for name in names]

        def write(value: Any) -> list[Any]:  # noqa: ANN401 - checked
            if type(value) is not cls:
                raise TypeError(f"not a {cls.__name__}")
            return [form.write(getattr(value, name)) for name, form in zip(names, forms, strict=True)]

        def read(json: Any) -> Any:  # noqa: ANN401 - whatever is in the file
            values = _list(json, length=len(names))
            return cls(
                **{name: form.read(item) for name, form, item in zip(names, forms, values, strict=True)}
            )

        return Form(write, read)


def _checked(is_valid: Callable[[Any], bool]) -> Form:
    """Return the form of values that JSON has as they are."""

    def same(value: Any) -> Any:  # noqa: ANN401 - checked
        if not is_valid(value):
            raise TypeError(f"unexpected value of type {type(value).__name__}")
        return value

    return Form(same, same)


def _plain_text(value: Any) -> str:  # noqa: ANN401 - checked
    if not isinstance(value, str):
        raise TypeError("not a text")
    return str(value)  # of a class of texts of one's own, the text


def _literal(values: tuple[Any, ...]) -> Form:
    known = [(type(value), value) for value in values]
    return _checked(lambda value: (type(value), value) in known)


def _pattern(_kinds: tuple[Any, ...]) -> Form:
    def read(json: Any) -> re.Pattern[str]:  # noqa: ANN401 - whatever is in the file
        text, flags = _list(json, length=2)
        if type(flags) is not int:
            raise TypeError("not a number")
        return re.compile(_text(text), flags)

    return Form(lambda value: [value.pattern, value.flags], read)


def _text_form(kind: type[Any]) -> Form:
    """Return the form of values that are written as one text."""
    is_date, of_text = kind is date, issubclass(kind, Path | StrEnum)
    if not is_date and not of_text:
        raise TypeError(f"no form for {kind.__name__}")

    def write(value: Any) -> str:  # noqa: ANN401 - checked
        if not isinstance(value, kind):
            raise TypeError(f"not a {kind.__name__}")
        return str(value)  # of a date, as ISO 8601 has it

    read = date.fromisoformat if is_date else kind
    return Form(write, lambda json: read(_text(json)))


def _list(json: Any, *, length: int | None = None) -> list[Any]:  # noqa: ANN401 - checked
    if type(json) is not list or length not in {None, len(json)}:
        raise TypeError("not a list of that length")
    return json


def _text(json: Any) -> str:  # noqa: ANN401 - checked
    if type(json) is not str:
        raise TypeError("not a text")
    return json
