"""Dataclasses that cost next to nothing before the first of them is made.

:func:`dataclasses.dataclass` writes and compiles up to six functions for each class where it stands, in some
0.4 ms, and a call of the program imports hundreds of such classes and makes values of a few. Here the one
function that differs from class to class, ``__init__``, is compiled when it is first called; the others are
shared.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
import reprlib
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass

__all__ = ["dataclass"]

_Class = TypeVar("_Class", bound=type[Any])

if not TYPE_CHECKING:  # type checkers know the original

    def dataclass(
        *,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
        eq: bool = True,
        order: bool = False,
    ) -> Callable[[_Class], _Class]:
        """Make a dataclass, as :func:`dataclasses.dataclass` does; ``hash`` of a field is not looked at."""

        def make(cls: _Class) -> _Class:
            own = set(cls.__dict__)
            if "__eq__" in own and cls.__dict__.get("__hash__") is None:
                own.discard("__hash__")  # Python takes it out where a class says what is equal
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            functions = {"__init__": _init_of(made), "__signature__": _Signature(), "__repr__": _repr}
            if eq:
                functions |= _comparison_of(made, frozen=frozen, order=order)
            if frozen:
                functions |= _FROZEN
            if frozen and slots:
                functions |= _STATE
            for name, function in functions.items():
                if name not in own:
                    setattr(made, name, function)
            return made

        return make


def _init_of(cls: type[Any]) -> Callable[..., None]:
    """Return an ``__init__`` that puts the compiled one into its place when it is first called."""

    def __init__(self: object, /, *arguments: object, **values: object) -> None:  # noqa: N807
        _complete(cls)(self, *arguments, **values)

    return __init__


def _complete(cls: type[Any]) -> Callable[..., None]:
    cls.__init__ = made = _compile_init(cls)
    return made


def _compile_init(cls: type[Any]) -> Callable[..., None]:
    """Compile the ``__init__`` of a class for its fields, in their order."""
    known: dict[str, object] = {"_set": object.__setattr__, "_missing": object()}
    plain: list[str] = []
    keyword: list[str] = []
    lines: list[str] = []
    for field in dataclasses.fields(cls):
        name = value = parameter = field.name
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter = f"{name}=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        if field.init:
            (keyword if field.kw_only else plain).append(parameter)
        elif parameter != name:
            value = parameter.partition("=")[2].replace("_missing", f"_make_{name}()")
        else:
            continue
        lines.append(f" _set(self, {name!r}, {value})\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    parameters = ", ".join(("self", *plain, *(("*", *keyword) if keyword else ())))
    exec(f"def __init__({parameters}):\n{''.join(lines) or ' pass'}", known)  # noqa: S102 - names of fields
    made: Any = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made  # type: ignore[no-any-return]


class _Signature:
    """What :func:`inspect.signature` finds: that of the compiled ``__init__``."""

    def __get__(self, instance: object, owner: type[Any]) -> inspect.Signature:
        signature = inspect.signature(_complete(owner))
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _comparison_of(cls: type[Any], *, frozen: bool, order: bool) -> dict[str, Any]:
    """Return the functions that compare the values of the fields, and hash those that do not change."""
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    values: Callable[[Any], Any]
    if len(names) > 1:
        values = operator.attrgetter(*names)
    else:  # of which it makes no tuple

        def values(self: object) -> object:
            return tuple(getattr(self, name) for name in names)

    def compared_by(compare: Callable[[Any, Any], Any]) -> Callable[[object, object], Any]:
        def compared(self: object, other: object) -> Any:  # noqa: ANN401 - or NotImplemented
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compare(values(self), values(other))

        return compared

    comparisons = [operator.eq, *((operator.lt, operator.le, operator.gt, operator.ge) if order else ())]
    functions: dict[str, Any] = {f"__{compare.__name__}__": compared_by(compare) for compare in comparisons}
    return functions | {"__hash__": (lambda self: hash(values(self))) if frozen else None}


@reprlib.recursive_repr()
def _repr(self: Any) -> str:  # noqa: ANN401 - of any class
    shown = (
        f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr
    )
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_change(_self: object, name: str, _value: object = None) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:  # noqa: ANN401 - of any class
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[object]) -> None:  # noqa: ANN401 - of any class
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_FROZEN = {"__setattr__": _refuse_change, "__delattr__": _refuse_deletion}
_STATE = {
    "__getstate__": _state,
    "__setstate__": _restore,
}  # for pickle and copy, which set attributes otherwise
