"""Read the body of ``/api/chat`` as Go's ``encoding/json`` reads it into Ollama's types."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput
from gguf2ollama.gotmpl.fmt import printed
from gguf2ollama.gotmpl.values import BYTES, GoType, Slice, Struct, Value
from gguf2ollama.ollama_template.go_json import Json, as_any, go_bytes

__all__ = [
    "ANYTHINGS",
    "IMAGES",
    "PROPERTY_TYPE",
    "STRINGS",
    "Decode",
    "Member",
    "StructReader",
    "any_member",
    "empty_text",
    "nil_slice",
    "read_anythings",
    "read_array",
    "read_images",
    "read_integer",
    "read_object",
    "read_property_type",
    "read_strings",
    "read_text",
    "slice_type",
    "string_member",
    "struct_reader",
]

Decode: TypeAlias = Callable[[Json, str], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field of a struct: name, JSON key, decoder and zero value.

    ``omits_empty``: JSON omits it when it is empty; ``holds_any``: only when it is nil.
    """

    name: str
    key: str
    decode: Decode
    zero: Callable[[], Value]
    omits_empty: bool = False
    holds_any: bool = False

    @property
    def omits(self) -> str:
        """When JSON omits it; see ``GoType.tags``."""
        return ("nil" if self.holds_any else "empty") if self.omits_empty else ""


def read_text(value: Json, path: str) -> bytes:
    """Read a string."""
    if isinstance(value, str):
        return go_bytes(value)
    raise _mismatch(value, path, "a string")


def read_integer(value: Json, path: str) -> int:
    """Read an integer."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise _mismatch(value, path, "an integer")


def _mismatch(value: Json, path: str, wanted: str) -> InvalidInput:
    return InvalidInput(
        f"{path}: expected {wanted}, got {type(value).__name__}",
        hint="Ollama refuses such a request with HTTP 400",
    )


def _anything(value: Json, path: str) -> Value:
    return as_any(value, path=path)


def empty_text() -> bytes:
    """Return the zero value of a string."""
    return b""


def string_member(name: str, key: str, *, omits_empty: bool = False) -> Member:
    """Return a member of type string."""
    return Member(name=name, key=key, decode=read_text, zero=empty_text, omits_empty=omits_empty)


def any_member(name: str, key: str) -> Member:
    """Return a member of type ``any`` that is omitted when nil."""
    return Member(name=name, key=key, decode=_anything, zero=lambda: None, omits_empty=True, holds_any=True)


def read_object(value: Json, path: str) -> Mapping[str, Json]:
    """Return a value that must be an object."""
    if isinstance(value, Mapping):
        return value
    raise _mismatch(value, path, "an object")


def read_array(value: Json, path: str) -> Sequence[Json]:
    """Return a value that must be an array."""
    if isinstance(value, list | tuple):
        return value
    raise _mismatch(value, path, "an array")


class StructReader:
    """A decoder of structs of a type: keys match case-insensitively, and unknown ones are dropped."""

    def __init__(self, type_: GoType, members: Sequence[Member]) -> None:
        self.type = type_
        self._members = members
        self._by_key = {member.key: member for member in members}
        self._by_folded_key = {member.key.lower(): member for member in reversed(members)}

    def zero(self) -> Struct:
        """Return the zero value."""
        return Struct(self.type, {member.name: member.zero() for member in self._members})

    def __call__(self, value: Json, path: str) -> Struct:
        """Read a struct; a null leaves a member at its zero value."""
        struct = self.zero()
        for key, item in read_object(value, path).items():
            member = self._by_key.get(key) or self._by_folded_key.get(key.lower())
            if member is not None and (item is not None or member.decode in _TAKES_NULL):
                struct.fields[member.name] = member.decode(item, f"{path}.{key}")
        return struct


def struct_reader(name: str, members: Sequence[Member], **methods: Value) -> StructReader:
    """Return the decoder of a struct type with this name."""
    tags = {member.name: (member.key, member.omits) for member in members}
    return StructReader(GoType(name=name, kind="struct", tags=tags, **methods), members)


def slice_type(name: str, zero: Callable[[], Value] = empty_text, **methods: Value) -> GoType:
    """Return the type of a slice."""
    return GoType(name=name, kind="slice", zero=zero, **methods)


STRINGS = slice_type("[]string")
ANYTHINGS = slice_type("[]interface {}", lambda: None)
_IMAGE = slice_type("api.ImageData", lambda: BYTES[0])
IMAGES = slice_type("[]api.ImageData", lambda: Slice(_IMAGE, None))


def read_strings(value: Json, path: str) -> Slice:
    """Read an array of strings."""
    return Slice(
        STRINGS,
        [
            b"" if item is None else read_text(item, f"{path}[{at}]")
            for at, item in enumerate(read_array(value, path))
        ],
    )


def read_anythings(value: Json, path: str) -> Slice:
    """Read an array of any JSON values."""
    return Slice(
        ANYTHINGS, [_anything(item, f"{path}[{at}]") for at, item in enumerate(read_array(value, path))]
    )


def read_images(value: Json, path: str) -> Slice:
    """Read an array of base64-encoded files."""
    return Slice(IMAGES, [_image(item, f"{path}[{at}]") for at, item in enumerate(read_array(value, path))])


def _image(value: Json, path: str) -> Slice:
    try:
        data = b64decode(read_text(value, path).replace(b"\r", b"").replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise _mismatch(value, path, "a base64-encoded file") from None
    return Slice(_IMAGE, [BYTES[byte] for byte in data])


def _text_of_property_type(value: Slice) -> bytes:
    items = value.items or []
    if len(items) == 1:
        return bytes(items[0])
    return printed(Slice(STRINGS, items)) if items else b""


def _json_of_property_type(value: Slice) -> Value:
    items = value.items
    return items[0] if items is not None and len(items) == 1 else Slice(STRINGS, items)


PROPERTY_TYPE = slice_type("api.PropertyType", text=_text_of_property_type, marshal=_json_of_property_type)


def read_property_type(value: Json, path: str) -> Slice:
    """Read the type of a property: a name, or several."""
    if value is None or isinstance(value, str):
        return Slice(PROPERTY_TYPE, [go_bytes(value or "")])
    return Slice(PROPERTY_TYPE, read_strings(value, path).items)


def nil_slice(type_: GoType) -> Callable[[], Slice]:
    """Return a function that returns nil slices of a type."""
    return lambda: Slice(type_, None)


_TAKES_NULL = frozenset({read_property_type})  # decoders that Go calls for null, too
