"""Write the rules that were learnt of a chat template, for a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from gguf2ollama.chat.synthesis.decisions import Decision
    from gguf2ollama.chat.synthesis.rules import Rules, Slot
    from gguf2ollama.usecases.explain_template import Explanation

__all__ = ["explained", "explanation_json"]

V = TypeVar("V")
_INDENT = "  "


def explained(explanation: Explanation) -> str:
    """Write what was learnt, and what no compared conversation reaches."""
    return "\n".join([*_learnt(explanation), "", *_unreached(explanation)])


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Give the same as JSON values; the rules are lines of text."""
    from gguf2ollama.chat.synthesis.synthesis import Synthesis  # noqa: PLC0415 - not needed for help

    learnt = explanation.learnt
    is_learnt = isinstance(learnt, Synthesis)
    return {
        "rules": list(_rules(learnt.rules)) if is_learnt else None,
        "go_template": learnt.go_template if is_learnt else None,
        "lacking": [{"feature": one.feature, "reason": one.reason} for one in learnt.lacking]
        if is_learnt
        else None,
        "reason": "" if is_learnt else learnt.reason,
        "unreached": [
            {"line": one.line, "kind": one.kind, "text": one.text} for one in explanation.unreached
        ],
    }


def _learnt(explanation: Explanation) -> Iterator[str]:
    from gguf2ollama.chat.synthesis.synthesis import Synthesis  # noqa: PLC0415 - not needed for help

    learnt = explanation.learnt
    if not isinstance(learnt, Synthesis):
        yield f"RULES  none follow from what the chat template prints: {learnt.reason}"
        return
    yield "RULES"
    yield from _rules(learnt.rules)
    yield from (f"not learnt ({one.feature}): {one.reason}" for one in learnt.lacking)


def _unreached(explanation: Explanation) -> Iterator[str]:
    if not explanation.unreached:
        yield "BRANCHES  every branch of the chat template is reached by a conversation that is compared"
        return
    yield "BRANCHES that no compared conversation reaches"
    yield from (f"{_INDENT}line {one.line}: {one.kind} {one.text}" for one in explanation.unreached)


def _rules(rules: Rules) -> Iterator[str]:
    for role, block in rules.blocks.items():
        yield f"{role} message"
        yield from _indented(_decision("print", block.opening, _quoted))
        for slot in block.slots:
            yield from _indented(_slot(slot))
    yield "end, for the model to answer"
    yield from _indented(_decision("print", rules.ending, _quoted))
    for text, form in rules.dates.items():
        yield f"{_quoted(text)} is the date, as {form}"


def _slot(slot: Slot) -> Iterator[str]:
    yield f"its {slot.kind}" if slot.kind == "thinking" else f"the {slot.kind} text"
    lines = [
        *_decision("shown", slot.shown, lambda value: "yes" if value else "no"),
        *_decision("after", slot.literal, _quoted),
        *_decision("trimmed on the left of", slot.left, lambda value: value.value),
        *_decision("trimmed on the right of", slot.right, lambda value: value.value),
        *([f"before {_quoted(slot.suffix)}"] if slot.suffix else []),
        *([f"written as {slot.form}"] if slot.form is not None else []),
        *(_decision("where empty, print", slot.empty, _quoted) if slot.empty is not None else []),
    ]
    yield from _indented(lines)


def _decision(what: str, decision: Decision[V], write: Callable[[V], str]) -> Iterator[str]:
    """Write a decision: what it comes to, or a line for each case."""
    from gguf2ollama.chat.synthesis.decisions import Leaf  # noqa: PLC0415 - not needed for help

    if isinstance(decision, Leaf):
        told = write(decision.value)
        if told and told != "nothing":
            yield f"{what} {told}"
        return
    for values, then in decision.cases:
        yield f"where {decision.fact} is {' or '.join(sorted(map(_named, values)))}:"
        yield from _indented(_decision(what, then, write))
    yield "otherwise:"
    yield from _indented(_decision(what, decision.otherwise, write))


def _named(value: str) -> str:
    return value or "not there"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    yield from (f"{_INDENT}{line}" for line in lines)
