"""What the parts of an emitter share: the Go template being written, and how rules are told in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gguf2ollama._resources import templates_root
from gguf2ollama.chat.synthesis.dates import go_date, split_at_dates
from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Leaf, leaves, mapped
from gguf2ollama.chat.synthesis.go_facts import condition
from gguf2ollama.chat.synthesis.go_writer import GoWriter
from gguf2ollama.chat.synthesis.rules import Rules
from gguf2ollama.chat.synthesis.text import common_beginning, common_end
from gguf2ollama.gotmpl.write import render_go_macro

__all__ = ["FOLDER", "Page", "all_of"]

V = TypeVar("V")
FOLDER = templates_root() / "chat"


class Page:
    """A Go template being written.

    Attributes:
        rules: What it shall do.
        go: Where it is written.
        message: What stands for the message where the dot is something else, else ``""``.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.go = GoWriter()
        self.message = ""

    @property
    def says(self) -> str:
        """The expression for a message's text, which is empty where the text is taken for that."""
        return "$says" if self.rules.blank else ".Content"

    @property
    def cuts(self) -> bool:
        """Whether thinking is cut out of answers' texts."""
        return self.rules.inline != Leaf(None)

    @property
    def calls_tools(self) -> bool:
        """Whether there are calls and results."""
        return "tool" in self.rules.blocks

    @property
    def moves_system(self) -> bool:
        """Whether the system text is printed by other messages."""
        return any(kind == "system" and role != "system" for role, kind in self._printed)

    @property
    def says_later(self) -> bool:
        """Whether the text before a call is printed behind its results."""
        return any(kind == "said" for _, kind in self._printed)

    @property
    def _printed(self) -> list[tuple[str, str]]:
        blocks = self.rules.blocks.items()
        return [(role, slot.kind) for role, block in blocks for slot in block.slots]

    def macro(self, macro: str, *arguments: str, file: str = "_cut.gotmpl.j2") -> None:
        """Write the statements of a macro of ours."""
        self.go.lines(render_go_macro(file, macro, *arguments, folder=FOLDER))

    def print(self, decision: Decision[str]) -> None:
        """Print the text that a decision comes to; what all its texts begin or end with stands outside."""
        head, decision, tail = _factored(decision)
        self.print_text(head)
        self.decide(decision, self.print_text)
        self.print_text(tail)

    def print_text(self, text: str) -> None:
        """Print a text of the template's own, with its dates."""
        for plain, date_format in split_at_dates(text, self.rules.dates):
            self.go.print(plain)
            for part, expression in go_date(date_format):
                self.go.print(part)
                if expression:
                    self.go.value(expression)

    def decide(self, decision: Decision[V], then: Callable[[V], None]) -> None:
        """Write a decision, and what is to be done with each value it can come to."""
        if isinstance(decision, Leaf):
            then(decision.value)
            return
        cases, otherwise = _first_call_first(decision)
        nothing = [values for values, case in cases if _is_nothing(case)]
        if len(cases) == 1 and nothing:
            with self.go.block(f"if {self.condition(decision.fact, nothing[0], negated=True)}"):
                self._within(otherwise, then)
            return
        for at, (values, case) in enumerate(cases):
            self.go.do(f"{'else if' if at else 'if'} {self.condition(decision.fact, values)}")
            self._within(case, then)
        if not _is_nothing(otherwise):
            self.go.do("else")
            self._within(otherwise, then)
        self.go.do("end")

    def _within(self, decision: Decision[V], then: Callable[[V], None]) -> None:
        if isinstance(decision, Branch) and all(type(value) is str for value in leaves(decision)):
            self.print(decision)  # type: ignore[arg-type]  # every leaf is a text
        else:
            self.decide(decision, then)

    def truth(self, decision: Decision[bool]) -> str | None:
        """Return condition under which a decision comes to true; ``""`` for always, ``None`` for never."""
        if isinstance(decision, Leaf):
            return "" if decision.value else None
        tests = []
        for values, case in decision.cases:
            then = self.truth(case)
            if then is not None:
                tests.append(all_of([self.condition(decision.fact, values), *([then] if then else [])]))
        rest = self.truth(decision.otherwise)
        if rest is not None:
            others = [self.condition(decision.fact, values, negated=True) for values, _ in decision.cases]
            always = all(case == Leaf(value=True) for _, case in decision.cases)
            tests.append(all_of([*(others if not (always and rest) else []), *([rest] if rest else [])]))
        return tests[0] if len(tests) == 1 else f"or {' '.join(map(_operand, tests))}"

    def condition(self, fact: str, values: frozenset[str], *, negated: bool = False) -> str:
        """Return the condition that a fact has one of the values, or has none of them."""
        if fact == "content" and self.rules.blank:
            return self.says if ("yes" in values) != negated else f"not {self.says}"
        if fact == "system" and "system" in self.rules.silent:
            return _SYSTEM[frozenset({"yes", "no", "empty"}) - values if negated else values]
        return condition(fact, values, negated=negated, levelled=self.rules.levelled, message=self.message)


_SYSTEM = {
    frozenset({"yes"}): "$system",
    frozenset({"no"}): "not $hasSystem",
    frozenset({"empty"}): "and $hasSystem (not $system)",
    frozenset({"yes", "empty"}): "$hasSystem",
    frozenset({"no", "empty"}): "not $system",
    frozenset({"yes", "no"}): "or $system (not $hasSystem)",
}
"""Where an empty system text differs from one and from none."""


def all_of(tests: Sequence[str]) -> str:
    """Return the condition that all of some hold."""
    return tests[0] if len(tests) == 1 else f"and {' '.join(map(_operand, tests))}"


def _operand(test: str) -> str:
    """Return a condition as one operand of another."""
    return f"({test})" if " " in test else test


def _first_call_first(
    decision: Branch[V],
) -> tuple[Sequence[tuple[frozenset[str], Decision[V]]], Decision[V]]:
    """Have what stands before a first call come before what stands between calls.

    Ollama takes the first text in the block of calls for the tag that opens one.
    """
    if decision.fact != "call" or "first" in decision.cases[0][0]:
        return decision.cases, decision.otherwise
    return ((frozenset({"first"}), decision.otherwise),), decision.cases[0][1]


def _is_nothing(decision: Decision[Any]) -> bool:
    return isinstance(decision, Leaf) and (decision.value == "" or decision.value is False)


def _factored(decision: Decision[str]) -> tuple[str, Decision[str], str]:
    texts = list(leaves(decision))
    if len(texts) == 1:
        return "", decision, ""
    head = common_beginning(texts)
    head = head if head.strip() else ""  # Ollama takes the first text of a call for its tag: let it be one
    tail = common_end([text[len(head) :] for text in texts])
    return head, mapped(decision, lambda text: text[len(head) : len(text) - len(tail)]), tail
