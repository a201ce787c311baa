"""Write the rules that were found in a chat template, for a person.

What a text depends on is named as in ``gguf2ollama.chat.synthesis.facts``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from gguf2ollama.api.explain_template import Explanation
    from gguf2ollama.chat.synthesis.decisions import Decision
    from gguf2ollama.chat.synthesis.rules import Rules, Slot, Trim

__all__ = ["explained", "explanation_json"]

V = TypeVar("V")
_INDENT = "  "


def explained(explanation: Explanation) -> str:
    """Write the rules, and the branches that no compared conversation reaches."""
    return "\n".join([*_learnt(explanation), "", *_unreached(explanation)])


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Return the same as JSON values; the rules are lines of text."""
    from gguf2ollama.chat.synthesis.synthesis import Synthesis  # noqa: PLC0415 - not needed for help

    learnt = explanation.learnt
    found = learnt if isinstance(learnt, Synthesis) else None
    return {
        "rules": list(_rules(found.rules)) if found else None,
        "reason": None if isinstance(learnt, Synthesis) else learnt.reason,
        "go_template": found.go_template if found else None,
        "limitations": [
            {"feature": limitation.feature, "reason": limitation.reason}
            for limitation in (found.lacking if found else ())
        ],
        "uncovered_branches": [
            {"line": branch.line, "kind": branch.kind, "text": branch.text}
            for branch in explanation.unreached
        ],
    }


def _learnt(explanation: Explanation) -> Iterator[str]:
    from gguf2ollama.chat.synthesis.synthesis import Synthesis  # noqa: PLC0415 - not needed for help

    learnt = explanation.learnt
    if not isinstance(learnt, Synthesis):
        yield f"RULES  none found: {learnt.reason}"
        return
    yield "RULES"
    yield from _rules(learnt.rules)
    yield from (f"unsupported ({item.feature}): {item.reason}" for item in learnt.lacking)


def _unreached(explanation: Explanation) -> Iterator[str]:
    if not explanation.unreached:
        yield "BRANCHES  every branch of the chat template is covered by a compared conversation"
        return
    yield "BRANCHES that no compared conversation covers"
    yield from (
        f"{_INDENT}line {branch.line}: {branch.kind} {branch.text}" for branch in explanation.unreached
    )


def _rules(rules: Rules) -> Iterator[str]:
    for role, block in rules.blocks.items():
        yield f"{role} message:"
        yield from _indented(_decision("prefix", block.opening, _quoted))
        for slot in block.slots:
            yield from _indented(_slot(slot))
    yield "generation prompt:"
    yield from _indented(_decision("is", rules.ending, _quoted))
    yield from (f"{_quoted(text)} is the date in the format {form}" for text, form in rules.dates.items())


def _slot(slot: Slot) -> Iterator[str]:
    yield f"{slot.kind}:"
    lines = [
        *_decision("is", slot.shown, lambda is_shown: "" if is_shown else "omitted"),
        *_decision("prefix", slot.literal, _quoted),
        *_decision("trims on the left", slot.left, _trimmed),
        *_decision("trims on the right", slot.right, _trimmed),
        *([f"suffix {_quoted(slot.suffix)}"] if slot.suffix else []),
        *([f"written as {slot.form}"] if slot.form is not None else []),
        *(_decision("if empty, replaced by", slot.empty, _quoted) if slot.empty is not None else []),
    ]
    yield from _indented(lines or ["unchanged"])


def _decision(what: str, decision: Decision[V], write: Callable[[V], str]) -> Iterator[str]:
    """Write a line for each value of a decision and its conditions; none for a value with nothing to show."""
    for value, conditions in _leaves(decision):
        if text := write(value):
            yield f"{what} {text}" + (f"  if {', '.join(conditions)}" if conditions else "")


def _leaves(decision: Decision[V], *conditions: str) -> Iterator[tuple[V, tuple[str, ...]]]:
    from gguf2ollama.chat.synthesis.decisions import Leaf  # noqa: PLC0415 - not needed for help

    if isinstance(decision, Leaf):
        yield decision.value, conditions
        return
    known: list[str] = []
    for values, then in decision.cases:
        named = sorted(value or "none" for value in values)
        known += named
        yield from _leaves(then, *conditions, f"{decision.fact} = {' or '.join(named)}")
    yield from _leaves(decision.otherwise, *conditions, f"{decision.fact} ≠ {' or '.join(known)}")


def _trimmed(trim: Trim) -> str:
    return "" if trim.value == "nothing" else trim.value


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _indented(lines: Iterable[str]) -> Iterator[str]:
    yield from (f"{_INDENT}{line}" for line in lines)
