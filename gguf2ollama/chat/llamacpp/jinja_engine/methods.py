"""Filters, methods and functions of llama.cpp's Jinja engine, by the type that they belong to.

What is not here is an error there: ``x | sort`` of an object, ``'%s' % x``, ``x | unique``.

Source: ``get_builtins`` and ``global_builtins`` in ``common/jinja/value.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gguf2ollama.chat.llamacpp.jinja_engine.arguments import (
    as_integer,
    at,
    expect_count,
    expect_type,
    flag,
    is_integer,
    keyword,
    named,
)
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Run
from gguf2ollama.chat.llamacpp.jinja_engine.slices import sliced
from gguf2ollama.chat.llamacpp.jinja_engine.text_methods import TEXT_METHODS, Method
from gguf2ollama.chat.llamacpp.jinja_engine.value_tests import TESTS, compare
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Function,
    Joined,
    Keyword,
    LoopState,
    Undefined,
    Value,
    capped,
    is_number,
    is_true,
    to_json,
    to_text,
    type_name,
)

__all__ = ["METHODS_OF_OBJECTS", "Bound", "functions", "method_of"]

Bound: TypeAlias = Callable[[Run, list[Any]], Any]
_CAP_ITEMS = 100_000
_STABLE_ITEMS = 16  # up to here std::sort leaves equal items in their order


def method_of(value: Value, name: str) -> Bound | None:
    """Find a filter or method of a value; ``None`` where its type has none of that name.

    Raises:
        TemplateFault: It is a function, of which nothing can be asked.
    """
    methods = _BOUND.get(type(value))
    if methods is None:
        raise TemplateFault(f"{type_name(value)} has no builtins")
    return methods.get(name)


def functions(name: str) -> Function | None:
    """Find a function that every template has, such as ``namespace`` and ``strftime_now``."""
    if name in _FUNCTIONS:
        return Function(name, lambda scope, arguments: _FUNCTIONS[name](scope.run, arguments))
    test = TESTS.get(name.removeprefix("test_is_")) if name.startswith("test_is_") else None
    return None if test is None else Function(name, lambda _, arguments: test(arguments))


def _to_json(run: Run, arguments: list[Any]) -> str:
    expect_count(arguments, 1, 5)
    value, indent = arguments[0], named(arguments, "indent", 2)
    run.mark_all(value)
    if flag(arguments, "sort_keys", 4):
        raise TemplateFault("tojson sort_keys=true not implemented")
    told = named(arguments, "separators", 3)
    separators = [to_text(one) for one in told] if isinstance(told, (list, tuple)) else []
    text = to_json(
        value,
        indent=indent if is_integer(indent) else -1,
        item=separators[0] if separators else None,
        key=separators[1] if len(separators) > 1 else ": ",
    )
    return _as_ascii(text) if flag(arguments, "ensure_ascii", 1) else text


def _as_ascii(text: str) -> str:
    try:
        told = text.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise NotForeseen("a character that the template splits") from error
    units = (told[at] if told[at].isascii() else _escaped(told[at]) for at in range(len(told)))
    return capped("".join(units))


def _escaped(character: str) -> str:
    pairs = character.encode("utf-16-be").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def _to_string(run: Run, arguments: list[Any]) -> str:
    run.mark_all(at(arguments, 0))
    return to_text(arguments[0])


def _default(arguments: list[Any]) -> Value:
    expect_count(arguments, 2, 3)
    value = arguments[0]
    is_missing = not is_true(value) if flag(arguments, "boolean", 2) else value is UNDEFINED or value is None
    return arguments[1] if is_missing else value


def _empty(value: Value) -> Method:
    return lambda _: type(value)() if isinstance(value, list) else value


# lists and tuples


def _items(arguments: list[Any]) -> list[Any] | tuple[Any, ...]:
    expect_type(at(arguments, 0), (list, tuple))
    items: list[Any] | tuple[Any, ...] = arguments[0]
    return items


def _like(items: list[Any] | tuple[Any, ...], result: list[Any]) -> list[Any] | tuple[Any, ...]:
    return tuple(result) if isinstance(items, tuple) else result


def _select(rejects: bool) -> Method:  # noqa: FBT001 - one of two
    def run(arguments: list[Any]) -> list[Any]:
        expect_count(arguments, 2, 4)
        items = _items(arguments)
        expect_type(arguments[1], str)
        return [item for item in items if _is_selected(item, arguments) is not rejects]

    return run


def _is_selected(item: Value, arguments: list[Any]) -> bool:
    if len(arguments) == 3:  # noqa: PLR2004 - a test and what it compares with
        return _test(arguments[1])([item, arguments[2]])
    if not isinstance(item, dict):
        raise TemplateFault("selectattr: item is not an object")
    value = item.get(arguments[1], UNDEFINED)
    if len(arguments) == 2:  # noqa: PLR2004 - an attribute alone
        return is_true(value)
    return _test(arguments[2])([value, arguments[3]])


def _test(name: Value) -> Callable[[list[Any]], bool]:
    test = TESTS.get(to_text(name))
    if test is None:
        raise TemplateFault(f"selectattr: unknown test '{to_text(name)}'")
    return test


def _attribute_of(item: Value, attribute: Value) -> Value:
    """Return an attribute of an object, or a place of a list.

    Raises:
        TemplateFault: It has none of that name.
    """
    if is_integer(attribute) and isinstance(item, (list, tuple)):
        if not -len(item) <= attribute < len(item):
            raise TemplateFault(f"Index {attribute} out of bounds for array of size {len(item)}")
        return item[attribute]
    if not is_integer(attribute) and isinstance(item, dict):
        if attribute not in item:
            raise TemplateFault(f"Key '{to_text(attribute)}' not found in value of type Object")
        return item[attribute]
    return item


def _join(arguments: list[Any]) -> str:
    expect_count(arguments, 1, 3)
    items = _items(arguments)
    told, attribute = named(arguments, "d", 1), named(arguments, "attribute", 2)
    if attribute is not UNDEFINED and not isinstance(attribute, str) and not is_integer(attribute):
        raise TemplateFault("join() attribute must be string or integer")
    pieces = []
    for item in items:
        piece = item if attribute is UNDEFINED else _attribute_of(item, attribute)
        if not isinstance(piece, str) and not is_number(piece):
            raise TemplateFault("join() can only join arrays of strings or numerics")
        pieces.append(to_text(piece))
    return capped(("" if told is UNDEFINED else to_text(told)).join(pieces))


def _map(arguments: list[Any]) -> list[Any] | tuple[Any, ...]:
    items = _items(arguments)
    if not isinstance(at(arguments, 1), Keyword):
        raise TemplateFault("map: filter-mapping not implemented")
    attribute, default = keyword(arguments, "attribute"), keyword(arguments, "default")
    if not isinstance(attribute, str) and not is_integer(attribute):
        raise TemplateFault("map: attribute must be string or integer")
    return _like(items, [_mapped(item, attribute, default) for item in items])


def _mapped(item: Value, attribute: Value, default: Value) -> Value:
    if is_integer(attribute):
        is_there = isinstance(item, (list, tuple)) and -len(item) <= attribute < len(item)
        return item[attribute] if is_there else default
    return item.get(attribute, default) if isinstance(item, dict) else default


def _append(arguments: list[Any]) -> list[Any]:
    items = _items(arguments)
    if not isinstance(items, list):
        raise TemplateFault("Attempting to modify immutable type")
    if len(items) >= _CAP_ITEMS:
        raise NotForeseen(f"a list of more than {_CAP_ITEMS:,} items")
    items.append(at(arguments, 1))
    return items


def _pop(arguments: list[Any]) -> Value:
    expect_count(arguments, 1, 2)
    items = _items(arguments)
    index = as_integer(arguments[1]) if len(arguments) > 1 else -1
    if not isinstance(items, list) or not -len(items) <= index < len(items):
        raise TemplateFault(f"Index {index} out of bounds for array of size {len(items)}")
    return items.pop(index)


def _sort(arguments: list[Any]) -> list[Any] | tuple[Any, ...]:
    expect_count(arguments, 1, 4)
    items, attribute = _items(arguments), named(arguments, "attribute", 3)
    how = "gt" if flag(arguments, "reverse", 1) else "lt"
    keys = list(items)
    if attribute is not UNDEFINED:
        kinds = (list, tuple) if is_integer(attribute) else (dict,)
        if len(items) > 1 and not all(isinstance(item, kinds) for item in items):
            raise TemplateFault("sort: unsupported object attribute comparison")
        keys = [_attribute_of(item, attribute) for item in items] if len(items) > 1 else keys
    order = _sorted(keys, how)
    return _like(items, [items[at] for at in order])


def _sorted(keys: list[Any], how: str) -> list[int]:
    """Return the order of keys."""

    def ordered(left: int, right: int) -> int:
        if compare(keys[left], keys[right], how):
            return -1
        return 1 if compare(keys[right], keys[left], how) else 0

    order = sorted(range(len(keys)), key=functools.cmp_to_key(ordered))
    are_equal = any(ordered(left, right) == 0 for left, right in itertools.pairwise(order))
    if are_equal and len(keys) > _STABLE_ITEMS:
        raise NotForeseen("sorting a long list with equal items")
    return order


def _extreme(how: str) -> Method:
    def run(arguments: list[Any]) -> Value:
        expect_count(arguments, 1, 4)
        items = _items(arguments)
        if named(arguments, "attribute", 2) is not UNDEFINED:
            raise TemplateFault("min and max: attribute not implemented")
        best = items[0] if items else UNDEFINED
        for item in items[1:]:
            best = item if compare(item, best, how) else best
        return best

    return run


def _unique(arguments: list[Any]) -> Value:
    raise TemplateFault(f"Array unique builtin not implemented ({len(arguments)} arguments)")


# objects


def _object(arguments: list[Any]) -> dict[Any, Any]:
    expect_type(at(arguments, 0), dict)
    value: dict[Any, Any] = arguments[0]
    return value


def _get(arguments: list[Any]) -> Value:
    expect_count(arguments, 2, 3)
    value = _object(arguments)
    expect_type(arguments[1], str)
    return value.get(arguments[1], arguments[2] if len(arguments) > 2 else None)  # noqa: PLR2004 - the third


def _dict_sort(arguments: list[Any]) -> dict[Any, Any]:
    value = _object(arguments)
    how = "gt" if flag(arguments, "reverse", 3) else "lt"
    keys = list(value.values() if named(arguments, "by", 2) == "value" else value)
    pairs = list(value.items())
    return dict(pairs[at] for at in _sorted(keys, how))


def _object_join(arguments: list[Any]) -> Value:
    raise TemplateFault(f"object join not implemented ({len(arguments)} arguments)")


# functions


def _raise(run: Run, arguments: list[Any]) -> Value:
    run.step()
    expect_type(at(arguments, 0), str)
    raise TemplateFault(arguments[0], raised=True)


def _namespace(run: Run, arguments: list[Any]) -> dict[Any, Any]:
    run.step()
    if not all(isinstance(one, Keyword) for one in arguments):
        raise TemplateFault("namespace() arguments must be kwargs")
    return {one.key: one.value for one in arguments}


def _strftime_now(run: Run, arguments: list[Any]) -> str:
    expect_type(at(arguments, 0), str)
    try:
        text = run.now.strftime(arguments[0])
    except ValueError as error:
        raise NotForeseen("a date format that Python does not support") from error
    if not 0 < len(text) < 100:  # noqa: PLR2004 - the size of the buffer there
        raise TemplateFault("strftime_now: failed to format time")
    return text


def _range(run: Run, arguments: list[Any]) -> list[int]:
    run.step()
    expect_count(arguments, 1, 3)
    expect_type(arguments[0], int)
    start, stop, step = 0, arguments[0], 1
    if len(arguments) > 1:
        start, stop = arguments[0], as_integer(arguments[1])
        step = as_integer(arguments[2]) if len(arguments) > 2 else 1  # noqa: PLR2004 - the third
    if step == 0:
        raise TemplateFault("range() step argument must not be zero")
    numbers = range(start, stop, step)
    if numbers and abs((stop - start) // step) > _CAP_ITEMS:
        raise NotForeseen(f"a range of more than {_CAP_ITEMS:,} numbers")
    return list(numbers)


_FUNCTIONS: Final[Mapping[str, Bound]] = {
    "raise_exception": _raise,
    "namespace": _namespace,
    "strftime_now": _strftime_now,
    "range": _range,
    "tojson": _to_json,
}
_NUMBER_METHODS: Mapping[str, Method] = {
    "default": _default,
    "abs": lambda arguments: abs(at(arguments, 0)),
    "int": lambda arguments: int(at(arguments, 0)),
    "float": lambda arguments: float(at(arguments, 0)),
}
_BOOLEAN_METHODS: Mapping[str, Method] = {
    "default": _default,
    "int": lambda arguments: int(at(arguments, 0)),
    "float": lambda arguments: float(at(arguments, 0)),
    "safe": lambda arguments: to_text(at(arguments, 0)),
    "string": lambda arguments: to_text(at(arguments, 0)),
}
_LIST_METHODS: Mapping[str, Method] = {
    "default": _default,
    "list": lambda arguments: list(_items(arguments)),
    "first": lambda arguments: _items(arguments)[0] if _items(arguments) else UNDEFINED,
    "last": lambda arguments: _items(arguments)[-1] if _items(arguments) else UNDEFINED,
    "length": lambda arguments: len(_items(arguments)),
    "slice": lambda arguments: _like(_items(arguments), sliced(_items(arguments), arguments[1:])),
    "selectattr": _select(rejects=False),
    "select": _select(rejects=False),
    "rejectattr": _select(rejects=True),
    "reject": _select(rejects=True),
    "join": _join,
    "map": _map,
    "append": _append,
    "pop": _pop,
    "sort": _sort,
    "reverse": lambda arguments: _like(_items(arguments), list(_items(arguments))[::-1]),
    "min": _extreme("lt"),
    "max": _extreme("gt"),
    "unique": _unique,
}
_OBJECT_METHODS: Mapping[str, Method] = {
    "get": _get,
    "keys": lambda arguments: list(_object(arguments)),
    "values": lambda arguments: list(_object(arguments).values()),
    "items": lambda arguments: list(_object(arguments).items()),
    "length": lambda arguments: len(_object(arguments)),
    "dictsort": _dict_sort,
    "join": _object_join,
}
_NONE_METHODS: Mapping[str, Method] = {"default": _default} | {
    "string": _empty("None"),
    "safe": _empty("None"),
    **{
        name: _empty([])
        for name in ("items", "map", "reject", "rejectattr", "select", "selectattr", "unique")
    },
}
_UNDEFINED_METHODS: Mapping[str, Method] = {"default": _default} | {
    **{name: _empty(UNDEFINED) for name in ("first", "last", "max", "min")},
    **{name: _empty(0) for name in ("length", "sum", "wordcount")},
    **{
        name: _empty("")
        for name in (
            *("capitalize", "join", "lower", "replace", "safe", "string", "strip", "title", "truncate"),
            "upper",
        )
    },
    **{
        name: _empty([])
        for name in (
            *("items", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "sort"),
            "unique",
        )
    },
}
_METHODS: Mapping[type, Mapping[str, Method]] = {
    str: TEXT_METHODS,
    Joined: TEXT_METHODS,
    int: _NUMBER_METHODS,
    float: _NUMBER_METHODS,
    bool: _BOOLEAN_METHODS,
    list: _LIST_METHODS,
    tuple: _LIST_METHODS,
    dict: _OBJECT_METHODS,
    type(None): _NONE_METHODS,
    Undefined: _UNDEFINED_METHODS,
}


def _alone(method: Method) -> Bound:
    return lambda _, arguments: method(arguments)


def _told_of_run(kind: type) -> dict[str, Bound]:
    """Return the methods of a type that need to know where they run."""
    if kind is Undefined:
        return {}
    told: dict[str, Bound] = {"tojson": _to_json}
    if kind in {list, tuple, dict}:
        told["string"] = _to_string
    return told | ({"string": _to_json, "safe": _to_json} if kind in {int, float} else {})


_BOUND: Final[Mapping[type, Mapping[str, Bound]]] = {LoopState: {}} | {
    kind: {name: _alone(method) for name, method in methods.items()} | _told_of_run(kind)
    for kind, methods in _METHODS.items()
}
METHODS_OF_OBJECTS: Final = frozenset(_BOUND[dict])
"""What of an object finds a method, and not what it holds."""
