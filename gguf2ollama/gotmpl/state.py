"""The state of one run of a template: output and remaining limits; and the types of compiled code."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.nodes import Position
from gguf2ollama.gotmpl.values import Value

__all__ = [
    "BYTES_PER_STEP",
    "MAX_INVOCATIONS",
    "MAX_OUTPUT_BYTES",
    "MAX_SECONDS",
    "MAX_STEPS",
    "UNSET",
    "Budget",
    "Evaluate",
    "Execute",
    "Frame",
    "Run",
]


MAX_OUTPUT_BYTES = 32 << 20
MAX_STEPS = 10_000_000
MAX_SECONDS = 2.0
MAX_INVOCATIONS = 100
_LARGE_BYTES = 4096
BYTES_PER_STEP = 256
_STEPS_BETWEEN_LOOKS = 10_000  # at the clock, some milliseconds

Frame: TypeAlias = list[Value]
Evaluate: TypeAlias = "Callable[[Run, Frame, Value], Value]"
Execute: TypeAlias = "Callable[[Run, Frame, Value], str | None]"


class _Unset:
    """The type of :data:`UNSET`."""


UNSET: Final = _Unset()
"""The value of a variable that is not declared yet."""


class Budget:
    """What all runs of one template may take together.

    Attributes:
        steps: The steps left.
        seconds: The seconds of this thread's CPU time left, for what steps do not measure.
    """

    __slots__ = ("seconds", "steps")

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.seconds = MAX_SECONDS


class Run:
    """The output of a run, and how much more it may print and do."""

    __slots__ = ("_began", "_budget", "_next_look", "depth", "out", "room", "steps")

    def __init__(self, budget: Budget) -> None:
        self.out: list[bytes] = []
        self.room = MAX_OUTPUT_BYTES
        self.steps = budget.steps
        self.depth = 0
        self._budget = budget
        self._began = time.thread_time()
        self._next_look = max(self.steps - _STEPS_BETWEEN_LOOKS, 0) if budget.seconds > 0 else self.steps

    def end(self) -> None:
        """Take what the run took from the budget."""
        self._budget.steps = self.steps
        self._budget.seconds -= time.thread_time() - self._began

    def write(self, text: bytes) -> None:
        """Append to the output."""
        self.room -= len(text)
        if self.room < 0:
            raise EvaluationError(
                f"its output exceeds {MAX_OUTPUT_BYTES >> 20} MiB",
                hint="no model reads that much",
                is_limit=True,
            )
        self.out.append(text)

    def spend(self, steps: int, position: Position) -> None:
        """Count steps: one for each node of a loop's iteration or of an invoked template."""
        self.steps -= steps
        if self.steps > self._next_look:
            return
        self._next_look = max(self.steps - _STEPS_BETWEEN_LOOKS, 0)
        if self.steps < 0:
            raise _exhausted(f"{MAX_STEPS:,} steps", position)
        if time.thread_time() - self._began > self._budget.seconds:
            raise _exhausted(f"{MAX_SECONDS:g} seconds", position)

    def spend_on(self, text: bytes, position: Position) -> None:
        """Count steps for copying or comparing a long string."""
        if len(text) > _LARGE_BYTES:
            self.spend(len(text) // BYTES_PER_STEP, position)

    def call(
        self,
        function: Callable[[list[Value]], Value],
        values: list[Value],
        position: Position,
        *,
        bytes_per_step: int = BYTES_PER_STEP,
    ) -> Value:
        """Call a function, and count steps for its long arguments and results, or for any that it writes."""
        try:
            result = function(values)
        except EvaluationError as error:
            error.position = error.position or position
            raise
        for value in (*values, result):
            if type(value) is bytes:
                self.spend_on(value, position)
        if bytes_per_step != BYTES_PER_STEP and type(result) is bytes:
            self.spend(len(result) // bytes_per_step, position)
        return result


def _exhausted(limit: str, position: Position) -> EvaluationError:
    return EvaluationError(
        f"it takes more than {limit}",
        position=position,
        hint="a loop runs too often, or on too long a string",
        is_limit=True,
    )
