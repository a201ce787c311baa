"""What ``a.b`` and ``a[b]`` give: methods, what objects hold, items of lists, bytes of texts.

Source: ``member_expression`` in ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.methods import METHODS_OF_OBJECTS, method_of
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Scope, weight
from gguf2ollama.chat.llamacpp.jinja_engine.slices import sliced
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Function,
    Value,
    as_key,
    to_text,
    type_name,
)

__all__ = ["NOT_TOLD", "attribute", "item", "part"]

NOT_TOLD: Final = object()
"""A bound of a slice that is not there."""


def _bound(value: Value, name: str) -> Function | None:
    method = method_of(value, name)
    if method is None:
        return None

    def run(scope: Scope, arguments: list[Any]) -> Value:
        scope.run.step(weight(value))
        return method(scope.run, [value, *arguments])

    return Function(name, run)


def attribute(scope: Scope, owner: Value, name: str) -> Value:
    """Return ``owner.name``: a method where the type has one, else what an object holds under that key."""
    if type(owner) is dict and scope.run.watched is None and name not in METHODS_OF_OBJECTS:
        return owner.get(name, UNDEFINED)
    scope.run.mark(owner, name)
    return _bound(owner, name) or item(scope, owner, name)


def item(scope: Scope, owner: Value, key: Value) -> Value:
    """Return ``owner[key]``: what is held, else a method of that name, else undefined."""
    if type(owner) is dict and type(key) is str and scope.run.watched is None:
        value = owner.get(key, UNDEFINED)
        if value is not UNDEFINED:
            return value
    if key is UNDEFINED:
        return UNDEFINED
    as_key(key)
    if owner is UNDEFINED:
        value = UNDEFINED
    elif isinstance(owner, dict):
        value = owner.get(key, UNDEFINED)
        if value is UNDEFINED:
            value = _method_named(scope, owner, to_text(key))
    elif isinstance(owner, (str, list, tuple)) and isinstance(key, int) and not isinstance(key, bool):
        value = _at(owner, key)
    elif isinstance(key, str):
        value = _method_named(scope, owner, key)
    else:
        raise TemplateFault(f"Cannot access property with non-string: got {type_name(key)}")
    if scope.run.watched is not None:
        is_index = isinstance(key, int) and not isinstance(key, bool)
        scope.run.mark(value)
        scope.run.mark(owner, "array_access" if is_index else "object_access")
        scope.run.mark(key)
    return value


def _method_named(scope: Scope, owner: Value, name: str) -> Value:
    scope.run.mark(owner, name)
    return _bound(owner, name) or UNDEFINED


def _at(owner: Sequence[Any], index: int) -> Value:
    """Return an item of a list, or a byte of a text, of which negative places are not known."""
    if index < 0 and not isinstance(owner, str):
        index += len(owner)
    return owner[index] if 0 <= index < len(owner) else UNDEFINED


def part(scope: Scope, owner: Value, start: Value, stop: Value, step: Value) -> Value:
    """Return ``owner[start:stop:step]``; ``NOT_TOLD`` for bounds that are not there.

    Raises:
        TemplateFault: It cannot be cut, or a bound is no number.
    """
    by = 1 if step is NOT_TOLD else step
    is_back = isinstance(by, (int, float)) and by < 0
    count = len(owner) if isinstance(owner, (str, list, tuple)) else 0
    first = (count - 1 if is_back else 0) if start is NOT_TOLD else start
    last = (-1 if is_back else count) if stop is NOT_TOLD else stop
    scope.run.mark(owner, "slice")
    scope.run.step(weight(owner))
    if isinstance(owner, str):
        return "".join(sliced(owner, [first, last, by]))
    if not isinstance(owner, (list, tuple)):
        raise TemplateFault(f"Unknown (built-in) filter 'slice' for type {type_name(owner)}")
    items = sliced(owner, [first, last, by])
    return tuple(items) if isinstance(owner, tuple) else items
