"""The state of one run of a template: output and remaining limits; and the types of compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.nodes import Position
from gguf2ollama.gotmpl.values import Value

__all__ = [
    "MAX_INVOCATIONS",
    "MAX_OUTPUT_BYTES",
    "MAX_STEPS",
    "UNSET",
    "Evaluate",
    "Execute",
    "Frame",
    "Run",
]


MAX_OUTPUT_BYTES = 32 << 20
MAX_STEPS = 10_000_000
MAX_INVOCATIONS = 100
_LARGE_BYTES, _BYTES_PER_STEP = 4096, 256

Frame: TypeAlias = list[Value]
Evaluate: TypeAlias = "Callable[[Run, Frame, Value], Value]"
Execute: TypeAlias = "Callable[[Run, Frame, Value], str | None]"


class _Unset:
    """The type of :data:`UNSET`."""


UNSET: Final = _Unset()
"""The value of a variable that is not declared yet."""


class Run:
    """The output of a run, and how much more it may print and do."""

    __slots__ = ("depth", "out", "room", "steps")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.room = MAX_OUTPUT_BYTES
        self.steps = MAX_STEPS
        self.depth = 0

    def write(self, text: bytes) -> None:
        """Append to the output."""
        self.room -= len(text)
        if self.room < 0:
            raise EvaluationError(
                f"its output exceeds {MAX_OUTPUT_BYTES >> 20} MiB", hint="no model reads that much"
            )
        self.out.append(text)

    def spend(self, steps: int, position: Position) -> None:
        """Count steps: one for each node of a loop's iteration or of an invoked template."""
        self.steps -= steps
        if self.steps < 0:
            raise EvaluationError(
                f"it takes more than {MAX_STEPS:,} steps",
                position=position,
                hint="a loop runs too often, or on too long a string",
            )

    def spend_on(self, text: bytes, position: Position) -> None:
        """Count steps for copying or comparing a long string."""
        if len(text) > _LARGE_BYTES:
            self.spend(len(text) // _BYTES_PER_STEP, position)

    def call(
        self, function: Callable[[list[Value]], Value], values: list[Value], position: Position
    ) -> Value:
        """Call a function, and count steps for its long arguments and results."""
        try:
            result = function(values)
        except EvaluationError as error:
            error.position = error.position or position
            raise
        for value in (*values, result):
            if type(value) is bytes:
                self.spend_on(value, position)
        return result
