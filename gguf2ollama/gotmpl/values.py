"""The values of a running template, by their types in Go.

========================  =================================================
Go                        here
========================  =================================================
``string``                ``bytes``, any bytes
``bool``, ``int``         ``bool``, ``int``
``float64``               ``float``
``uint8``                 :class:`Byte`, what indexing a string gives
nil ``any``               ``None``
no value at all           :data:`NOTHING`, such as what a nil ``any`` becomes in a pipeline
``[]any``                 ``list``
``map[string]any``        ``dict`` with ``bytes`` for keys
other types               :class:`Struct`, :class:`Slice`, :class:`Map`, :class:`Pointer`, :class:`Pairs`
========================  =================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = [
    "BYTES",
    "NOTHING",
    "Byte",
    "GoType",
    "Map",
    "Pairs",
    "Pointer",
    "Slice",
    "Struct",
    "Value",
    "entries_of",
    "is_nil",
    "is_true",
    "items_of",
    "kind_of",
    "type_name",
]


Value: TypeAlias = Any
"""A value of the table above."""


class _Nothing:
    """The type of :data:`NOTHING`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()


class Byte(int):
    """A ``uint8``."""

    __slots__ = ()


BYTES: Final = tuple(Byte(number) for number in range(256))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoType:
    """A named or composite type of Go.

    Attributes:
        name: What ``%T`` prints.
        kind: ``struct``, ``slice``, ``map`` or ``func``.
        zero: The zero value of the items of a slice or map.
        text: Its method ``String``, if it has one on values.
        text_of_pointer: Its method ``String``, if it has one on pointers only.
        methods: Its other methods without arguments, by name; called with ``None`` for a nil pointer.
        tags: Of a struct: the JSON key of each field, and when it is omitted: ``"empty"``, ``"nil"`` or
            ``""`` for never.
        marshal: Its method ``MarshalJSON``, if it has one: returns the value to write instead.
    """

    name: str
    kind: str
    zero: Callable[[], Value] = lambda: None
    text: Callable[[Value], bytes] | None = None
    text_of_pointer: Callable[[Value], bytes] | None = None
    methods: Mapping[str, Callable[[Value], Value]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    marshal: Callable[[Value], Value] | None = None


class Struct:
    """A struct: its fields by name, in Go's order."""

    __slots__ = ("fields", "type")

    def __init__(self, type_: GoType, fields: dict[str, Value]) -> None:
        self.type = type_
        self.fields = fields


class Slice:
    """A slice of a type other than ``[]any``; ``items`` is ``None`` for a nil slice."""

    __slots__ = ("items", "type")

    def __init__(self, type_: GoType, items: list[Value] | None) -> None:
        self.type = type_
        self.items = items


class Map:
    """A map of a type other than ``map[string]any``; ``entries`` is ``None`` for a nil map."""

    __slots__ = ("entries", "type")

    def __init__(self, type_: GoType, entries: dict[bytes, Value] | None) -> None:
        self.type = type_
        self.entries = entries


class Pointer:
    """A pointer to a struct; ``target`` is ``None`` for a nil pointer of the type ``type``."""

    __slots__ = ("target", "type")

    def __init__(self, type_: GoType, target: Struct | None) -> None:
        self.type = type_
        self.target = target


class Pairs:
    """A function that iterates over pairs of key and value in their own order: an ``iter.Seq2``."""

    __slots__ = ("entries", "type")

    def __init__(self, type_: GoType, entries: dict[bytes, Value]) -> None:
        self.type = type_
        self.entries = entries


_NAMES = {
    bool: "bool",
    int: "int",
    float: "float64",
    bytes: "string",
    Byte: "uint8",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
_KINDS = {
    bool: "bool",
    int: "int",
    float: "float",
    bytes: "string",
    Byte: "uint",
    list: "slice",
    dict: "map",
    Pointer: "pointer",
    type(None): "invalid",
    _Nothing: "invalid",
}


def type_name(value: Value) -> str:
    """Return the name that ``%T`` prints."""
    if name := _NAMES.get(type(value)):
        return name
    if isinstance(value, Pointer):
        return f"*{value.type.name}"
    if isinstance(value, Struct | Slice | Map | Pairs):
        return value.type.name
    return "<nil>"


def kind_of(value: Value) -> str:
    """Return the kind: ``bool int uint float string slice map struct pointer func``, or ``invalid``."""
    return _KINDS.get(type(value)) or str(value.type.kind)


_PLAIN = frozenset({bool, bytes, int, list, dict})


def is_true(value: Value) -> bool:
    """Return whether a value is true for ``if``: not the zero value of its type."""
    if type(value) in _PLAIN:
        return bool(value)
    if isinstance(value, Struct):
        return True
    if isinstance(value, Slice):
        return bool(value.items)
    if isinstance(value, Map):
        return bool(value.entries)
    if isinstance(value, Pointer):
        return value.target is not None
    return value is not NOTHING and bool(value)


def is_nil(value: Value) -> bool:
    """Return whether a value is a nil of any type, or no value."""
    if isinstance(value, Slice):
        return value.items is None
    if isinstance(value, Map):
        return value.entries is None
    if isinstance(value, Pointer):
        return value.target is None
    return value is None or value is NOTHING


def items_of(value: Value) -> list[Value] | None:
    """Return the items of a slice; ``None`` for other values."""
    if isinstance(value, list):
        return value
    if isinstance(value, Slice):
        return value.items or []
    return None


def entries_of(value: Value) -> dict[bytes, Value] | None:
    """Return the entries of a map; ``None`` for other values."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Map):
        return value.entries or {}
    return None
