"""A system text where the authors take none: it is said with the first question, not lost."""

from __future__ import annotations

from dataclasses import replace

from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Leaf, restricted
from gguf2ollama.chat.synthesis.rules import Block, Rules, Slot, Trim

__all__ = ["JOINT", "with_system"]

JOINT = "\n\n"
"""What stands between a system text and the first question."""


def with_system(rules: Rules) -> Rules:
    """Return rules that print a system text before the first question, in its turn."""
    block = rules.blocks["user"]
    slots: list[Slot] = []
    for slot in block.slots:
        if slot.kind == "user":
            slots += [_system_slot(slot), replace(slot, literal=_behind_system(slot.literal))]
        else:
            slots.append(slot)
    blocks = {**rules.blocks, "user": Block(opening=block.opening, slots=tuple(slots))}
    return replace(rules, blocks=blocks)


def _system_slot(user: Slot) -> Slot:
    is_first: Decision[bool] = Branch(
        fact="first", cases=((frozenset({"yes"}), Leaf(value=True)),), otherwise=Leaf(value=False)
    )
    return Slot(
        kind="system",
        shown=is_first,
        literal=restricted(user.literal, {"previous": "", "before": "start", "system": "no"}),
        left=Leaf(Trim.nothing),
        right=Leaf(Trim.nothing),
        suffix=JOINT,
    )


def _behind_system(literal: Decision[str]) -> Decision[str]:
    nothing: Decision[str] = Leaf("")
    return Branch(fact="before", cases=((frozenset({"system"}), nothing),), otherwise=literal)
