"""Where a template runs: its variables, what it may cost, and what is watched of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen
from gguf2ollama.chat.llamacpp.jinja_engine.values import Joined, LoopState, Value

__all__ = ["Budget", "Run", "Scope", "Watch", "weight"]

_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
_STEPS = 100_000  # for one rendering; real templates take less than 1,000 for a long chat
_STEPS_IN_ALL = 3_000_000
_WEIGHED_BITS: Mapping[type, int] = {str: 8, Joined: 8, list: 4, tuple: 4, dict: 4, LoopState: 4}


@dataclass(slots=True)
class Budget:
    """What all renderings of a template together may cost, in steps."""

    left: int = _STEPS_IN_ALL

    @property
    def of_one(self) -> int:
        """What the next rendering may cost."""
        return min(_STEPS, self.left)


def weight(value: Value) -> int:
    """Return what handling a value costs, in steps: one for each 256 bytes, or 16 items."""
    bits = _WEIGHED_BITS.get(type(value))
    return 0 if bits is None else len(value) >> bits


@dataclass(slots=True)
class Watch:
    """What a template did with one of its inputs, or with a list or an object that it made.

    Attributes:
        value: The value; kept, so that no other value comes to lie at its place.
        used: Whether it was asked for.
        operations: Filters, methods and members asked of it; ``array_access`` and ``object_access`` too.
    """

    value: Value
    used: bool = False
    operations: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Run:
    """One rendering.

    Attributes:
        now: What the clock says.
        watched: Inputs and what the template makes of its own, by ``id``; ``None`` where nothing is watched.
        steps: How many statements, loops and calls are still allowed.
    """

    now: datetime
    watched: dict[int, Watch] | None
    steps: int

    def step(self, extra: int = 0) -> None:
        """Count one step, and more for something large.

        Raises:
            NotForeseen: There were too many.
        """
        self.steps -= 1 + extra
        if self.steps < 0:
            raise NotForeseen("a template that exceeds the limit of steps")

    def mark(self, value: Value, operation: str | None = None) -> None:
        """Note that an input was asked for, and for what."""
        watch = self.watched.get(id(value)) if self.watched else None
        if watch is not None:
            watch.used = True
            if operation is not None:
                watch.operations.add(operation)

    def made(self, value: Value) -> Value:
        """Watch a list or an object that the template makes, too: it may put it in the place of an input."""
        if self.watched is not None:
            self.watched[id(value)] = Watch(value)
        return value

    def made_anew(self, value: Value) -> Value:
        """Tell a text that was computed from an equal one that is watched: Python may hold both for one."""
        return "".join(list(value)) if self.watched is not None and isinstance(value, str) else value

    def mark_all(self, value: Value) -> None:
        """Note that an input was asked for with all that it holds."""
        if self.watched:
            self.step()
            self.mark(value)
            if isinstance(value, dict):
                for one in value.values():
                    self.mark_all(one)
            elif isinstance(value, (list, tuple)):
                for one in value:
                    self.mark_all(one)


class Scope:
    """The variables that are seen at one place; a scope within starts as a copy."""

    __slots__ = ("run", "variables")

    def __init__(self, run: Run, variables: dict[str, Any]) -> None:
        self.run = run
        self.variables = variables

    @classmethod
    def outermost(cls, run: Run, variables: dict[str, Any]) -> Scope:
        """Return the scope of a template, with the constants that it knows."""
        return cls(run, _CONSTANTS | variables)

    def within(self) -> Scope:
        """Return a scope for a loop or a macro: what is set there is not seen here."""
        self.run.step(len(self.variables) >> 6)
        return Scope(self.run, self.variables.copy())
