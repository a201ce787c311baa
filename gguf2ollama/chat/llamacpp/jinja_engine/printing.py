"""What statements print, what they assign to, and how loops run.

Source: ``exec_statements``, ``for_statement`` and ``gather_string_parts`` in ``common/jinja/runtime.cpp`` and
``runtime.h`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Scope, weight
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Joined,
    LoopState,
    Value,
    bounded,
    capped,
    is_true,
    to_text,
    type_name,
)

__all__ = ["Assign", "Code", "Jump", "Loop", "joined", "never", "printed", "to_name", "unpacking"]

Code: TypeAlias = Callable[[Scope], Value]
Assign: TypeAlias = Callable[[Scope, Value], None]


class Jump(Exception):
    """``break`` where ``ends``, else ``continue``."""

    def __init__(self, *, ends: bool) -> None:
        super().__init__()
        self.ends = ends


def printed(body: Sequence[Code], scope: Scope) -> str:
    """Run statements, and give what they print."""
    pieces: list[str] = []
    scope.run.step(len(body))
    for code in body:
        value = code(scope)
        if value is not UNDEFINED:
            _print(value, pieces)
    text = joined(pieces)
    scope.run.step(weight(text))
    return text


def joined(pieces: Sequence[str]) -> str:
    """Put together what was printed piece by piece."""
    if len(pieces) < 2:  # noqa: PLR2004 - none or one
        return pieces[0] if pieces else ""
    return Joined(capped("".join(pieces)))


def _print(value: Value, pieces: list[str]) -> None:
    """Print a value: items of lists one by one; nothing for objects, functions, ``None`` and undefined."""
    if isinstance(value, str):
        if value:
            pieces.append(value)
    elif isinstance(value, (list, tuple)):
        for one in bounded(value):
            _print(one, pieces)
    elif isinstance(value, (int, float)):
        pieces.append(to_text(value))


def to_name(name: str) -> Assign:
    """Return what assigns to a variable."""

    def run(scope: Scope, value: Value) -> None:
        scope.variables[name] = value

    return run


def unpacking(names: Sequence[str | None]) -> Assign:
    """Return what assigns the items of a list to variables; ``None`` stands for what is none."""

    def run(scope: Scope, value: Value) -> None:
        if not isinstance(value, (list, tuple)):
            raise TemplateFault(f"Cannot unpack non-iterable type: {type_name(value)}")
        if len(names) != len(value):
            raise TemplateFault(f"Too {'few' if len(names) > len(value) else 'many'} items to unpack")
        for name, one in zip(names, value, strict=True):
            if name is None:
                raise TemplateFault("Cannot unpack non-identifier type")
            scope.variables[name] = one

    return run


def never(problem: str) -> Assign:
    """Return what fails whenever it is to assign."""

    def run(scope: Scope, value: Value) -> None:
        scope.run.mark(value)
        raise TemplateFault(problem)

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop that is ready to be run.

    Attributes:
        iterable: What it runs over.
        test: Which items it leaves out, or ``None``.
        assign: Where each item goes.
        unpacks: Whether it goes to several variables.
        body: What is run for each item.
        otherwise: What is run where no round comes to its end, ``continue`` included.
    """

    iterable: Code
    test: Code | None
    assign: Assign
    unpacks: bool
    body: Sequence[Code]
    otherwise: Sequence[Code]

    def __call__(self, outer: Scope) -> Value:
        """Run it, and give what it prints."""
        scope = outer.within()
        items = self._items(scope, self.iterable(scope))
        if self.test is not None:
            items = [item for item in items if self._passes(scope, item, self.test)]
        pieces: list[str] = []
        if not self._run(scope, items, pieces):
            for code in self.otherwise:
                _print(code(outer), pieces)
        return joined(pieces)

    def _items(self, scope: Scope, value: Value) -> list[Any]:
        """Return the items; of an object its pairs where they are unpacked, else its keys."""
        scope.run.mark(value, "array_access")
        scope.run.step(weight(value))
        if value is UNDEFINED:
            return []
        if isinstance(value, dict):
            scope.run.mark(value, "object_access")
            return list(value.items()) if self.unpacks else list(value)
        if not isinstance(value, (list, tuple)):
            raise TemplateFault(f"Expected iterable or object type in for loop: got {type_name(value)}")
        return list(value)

    def _passes(self, scope: Scope, item: Value, test: Code) -> bool:
        inner = scope.within()
        self.assign(inner, item)
        return is_true(test(inner))

    def _run(self, scope: Scope, items: list[Any], pieces: list[str]) -> bool:
        """Run the rounds; tell whether one at least came to its end."""
        has_ended_one = False
        for at, item in enumerate(items):
            scope.variables["loop"] = _loop_state(items, at)
            self.assign(scope, item)
            try:
                if self.body:
                    scope.run.step(len(self.body) - 1)
                for code in self.body:
                    _print(code(scope), pieces)
            except Jump as jump:
                if jump.ends:
                    break
                continue
            has_ended_one = True
        return has_ended_one


def _loop_state(items: list[Any], at: int) -> LoopState:
    count = len(items)
    return LoopState(
        index=at + 1,
        index0=at,
        revindex=count - at,
        revindex0=count - at - 1,
        first=at == 0,
        last=at == count - 1,
        length=count,
        previtem=items[at - 1] if at else UNDEFINED,
        nextitem=items[at + 1] if at + 1 < count else UNDEFINED,
    )
