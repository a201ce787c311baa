"""One run of a template: what it has printed, what it may still do, and the shape of compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.nodes import Place
from gguf2ollama.gotmpl.values import NOTHING, Pairs, Value, entries_of, items_of, type_name

__all__ = [
    "MAX_INVOCATIONS",
    "MAX_OUTPUT_BYTES",
    "MAX_STEPS",
    "UNSET",
    "Evaluate",
    "Execute",
    "Frame",
    "Run",
    "turns",
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
"""What a variable holds that was not declared yet."""


class Run:
    """What a run has printed, and what it may still do."""

    __slots__ = ("depth", "out", "room", "steps")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.room = MAX_OUTPUT_BYTES
        self.steps = MAX_STEPS
        self.depth = 0

    def write(self, text: bytes) -> None:
        """Print."""
        self.room -= len(text)
        if self.room < 0:
            raise EvaluationError(
                f"it prints more than {MAX_OUTPUT_BYTES >> 20} MiB", hint="No model reads that much."
            )
        self.out.append(text)

    def spend(self, steps: int, place: Place) -> None:
        """Count steps: one for each node that a turn of a loop or an invocation of a template runs."""
        self.steps -= steps
        if self.steps < 0:
            raise EvaluationError(
                f"it takes more than {MAX_STEPS} steps",
                place=place,
                hint="A loop is far too long, or handles far too long a text.",
            )

    def spend_on(self, text: bytes, place: Place) -> None:
        """Count steps for a long text that is copied or compared."""
        if len(text) > _LARGE_BYTES:
            self.spend(len(text) // _BYTES_PER_STEP, place)


def turns(
    value: Value, place: Place, *, has_two: bool, over_integers: bool = True
) -> Iterable[tuple[Value, Value]]:
    """Return the pairs of key and value that a ``range`` walks over.

    Args:
        value: What it walks over.
        place: Where it stands.
        has_two: Whether it has two variables.
        over_integers: Whether it may walk over a number.

    Raises:
        EvaluationError: It cannot walk over that.
    """
    items = items_of(value)
    if items is not None:
        return enumerate(items)
    if isinstance(value, int) and not isinstance(value, bool):
        if not over_integers:
            raise EvaluationError(
                "a range walks over a number only from Ollama 0.5.13 on",
                place=place,
                hint="That is built with Go 1.24: update Ollama.",
            )
        if has_two:
            raise EvaluationError("a range over a number has one variable only", place=place)
        kind = type(value)
        return ((None, kind(one)) for one in range(value))
    entries = entries_of(value)
    if entries is not None:
        return sorted(entries.items())
    if isinstance(value, Pairs):  # with one variable, or none, it gets the keys
        return value.entries.items() if has_two else ((None, key) for key in value.entries)
    if value is NOTHING:
        return ()
    raise EvaluationError(
        f"a range cannot walk over a {type_name(value)}",
        place=place,
        hint="A string is walked over by the number of its bytes: {{ range $i := len $text }}.",
    )
