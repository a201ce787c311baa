"""Take a field of a value: of a struct, of what a pointer points to, or by key of a map."""

from __future__ import annotations

from collections.abc import Callable

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.values import Map, Pointer, Slice, Struct, Value, type_name

__all__ = ["field_of"]


def field_of(value: Value, name: str, key: bytes, missing: Value) -> Value:
    """Return a field, or what a method without arguments gives.

    Args:
        value: What has the field.
        name: Its name.
        key: Its name in bytes, as maps have it for a key.
        missing: What a ``map[string]any`` without such a key gives.

    Raises:
        EvaluationError: There is no such field.
    """
    if type(value) is dict:
        return value.get(key, missing)
    target = value.target if type(value) is Pointer else value
    if target is None and type(value) is Pointer and (method := value.type.methods.get(name)) is not None:
        return method(None)
    if type(target) is Struct and name in target.fields:
        return target.fields[name]
    if isinstance(target, Struct | Slice | Map):
        method = _method(target, name)
        if method is not None:
            return method(target)
    if type(target) is Map:
        absent = target.type.zero() if missing is None else missing
        return (target.entries or {}).get(key, absent)
    if target is None:
        raise EvaluationError(
            f"a missing value has no field {name}", hint="Ask first whether it is there, with `if` or `with`."
        )
    raise EvaluationError(f"a {type_name(value)} has no field {name}", hint=_hint(target))


def _method(value: Struct | Slice | Map, name: str) -> Callable[[Value], Value] | None:
    if name == "String":
        return value.type.text or value.type.text_of_pointer
    return value.type.methods.get(name)


def _hint(value: Value) -> str | None:
    if type(value) is Struct:
        return f"Its fields are: {', '.join(value.fields)}."
    return None
