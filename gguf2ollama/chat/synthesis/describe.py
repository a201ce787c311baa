"""Learnt rules in words, for people who want to know what a TEMPLATE does and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from gguf2ollama.chat.synthesis.decisions import Decision, Leaf
from gguf2ollama.chat.synthesis.rules import Rules, Slot, Trim

__all__ = ["describe"]

V = TypeVar("V")


def describe(rules: Rules) -> list[str]:
    """Return the rules line by line, what belongs to a role indented under it."""
    lines: list[str] = []
    for role, block in rules.blocks.items():
        if not block.slots:
            continue
        lines.append(f"A message of the {role}:")
        if block.opening != Leaf(""):
            lines.append(f"  begins with {_told(block.opening, repr)}")
        lines += [f"  {line}" for slot in block.slots for line in _slot(slot)]
    if rules.ignored:
        lines.append(f"Empty messages that count for nothing: {', '.join(sorted(rules.ignored))}")
    if rules.silent:
        lines.append(f"Empty messages that print nothing: {', '.join(sorted(rules.silent))}")
    if rules.inline != Leaf(None):
        lines.append("Thinking before </think> in an answer's text is cut off")
    lines += [f"{text!r} is the day's date, as {form}" for text, form in rules.dates.items()]
    lines.append(f"The model's turn: {_told(rules.ending, repr)}")
    return lines


def _slot(slot: Slot) -> Iterator[str]:
    if slot.shown == Leaf(value=False):
        yield f"{slot.kind}: not shown"
        return
    shown = "" if slot.shown == Leaf(value=True) else f" (shown: {_told(slot.shown, _yes_or_no)})"
    yield f"{slot.kind}{shown}: {_told(slot.literal, repr)} + text + {slot.suffix!r}"
    for side, trim in (("left", slot.left), ("right", slot.right)):
        if trim != Leaf(Trim.nothing):
            yield f"  taken off its {side}: {_told(trim, lambda one: one.value)}"
    if slot.empty is not None:
        yield f"  where it is empty: {_told(slot.empty, repr)}"


def _yes_or_no(value: bool) -> str:  # noqa: FBT001  # a word for a truth value
    return "yes" if value else "no"


def _told(decision: Decision[V], word: Callable[[V], str]) -> str:
    if isinstance(decision, Leaf):
        return word(decision.value)
    cases = [
        f"{_told(then, word)} where '{decision.fact}' is {' or '.join(sorted(values)) or 'none'}"
        for values, then in decision.cases
    ]
    return f"({'; '.join(cases)}; else {_told(decision.otherwise, word)})"
