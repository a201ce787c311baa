"""What a Go template must remember of a chat: found out before the messages, kept up with each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gguf2ollama.chat.synthesis.decisions import Branch, Decision
from gguf2ollama.chat.synthesis.go_facts import VARIABLES
from gguf2ollama.chat.synthesis.go_page import Page
from gguf2ollama.chat.synthesis.rules import Rules

__all__ = ["Memory"]

_STARTS = {
    "$system": '""',
    "$hasSystem": "false",
    "$first": "0",
    "$lastUser": "-1",
    "$lastAnswer": "-1",
    "$lastRole": '""',
    "$said": '""',
    "$before": '"start"',
    "$previous": '""',
}
"""The variables that outlive a message, and what they are before the first."""
_LOOKED_UP = {"$system", "$hasSystem", "$first", "$lastUser", "$lastAnswer", "$lastRole"}


class Memory:
    """What is remembered, as far as the rules ask for it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.used = {VARIABLES[fact] for fact in facts_of_rules(page.rules) if fact in VARIABLES}
        silent = "system" in page.rules.silent
        if silent or (page.moves_system and "system" not in page.rules.ignored):
            self.used.add("$hasSystem")
        if silent or page.moves_system:
            self.used.add("$system")
        if page.says_later:
            self.used.add("$said")

    def begin(self) -> None:
        """Write what comes before the messages."""
        go = self.page.go
        if self.page.rules.dates:
            self.page.macro("cut_date", file="_date.gotmpl.j2")
        for variable, start in _STARTS.items():
            if variable in self.used:
                go.do(f"{variable} := {start}")
        if self.used & _LOOKED_UP:
            with go.block("range $i, $_ := .Messages"):
                self._look_at_system()
                self._look_at_places()

    def _look_at_system(self) -> None:
        says = self.page.says
        is_told = f'ne {says} ""' if "system" in self.page.rules.ignored else "true"
        steps = {"$system": says, "$hasSystem": is_told, "$first": "1"}
        wanted = [f"{variable} = {value}" for variable, value in steps.items() if variable in self.used]
        if not wanted:
            return
        read_blank(self.page)
        with self.page.go.block('if and (eq $i 0) (eq .Role "system")'):
            for step in wanted:
                self.page.go.do(step)

    def _look_at_places(self) -> None:
        go = self.page.go
        if "$lastUser" in self.used:
            heard = f" {self.page.says}" if "user" in self.page.rules.ignored else ""
            with go.block(f'if and (eq .Role "user"){heard}' if heard else 'if eq .Role "user"'):
                go.do("$lastUser = $i")
        if "$lastAnswer" in self.used:
            with go.block('if eq .Role "assistant"'):
                go.do("$lastAnswer = $i")
        if "$lastRole" in self.used:
            go.do("$lastRole = .Role")

    def end_message(self) -> None:
        """Write what is to be remembered of a message."""
        if "$previous" in self.used:
            self.page.go.do("$previous = .Role")


def read_blank(page: Page) -> None:
    """Take texts of nothing but white space for empty; of ASCII's, which is enough for what people write."""
    if not page.rules.blank:
        return
    go = page.go
    go.do("$says := .Content")
    roles = " ".join(f'"{role}"' for role in sorted(page.rules.blank))
    with go.block(f"if eq .Role {roles}"):
        go.do("$text := .Content")
        go.do('$says = ""')
        with go.block("range $at := len $text"), go.block(f"if not (eq (index $text $at) {_SPACES})"):
            go.do("$says = $text")
            go.do("break")


_SPACES = "9 10 11 12 13 28 29 30 31 32"


def facts_of_rules(rules: Rules) -> Iterator[str]:
    """Return the facts on which something depends."""
    decisions: list[Decision[Any]] = [rules.ending, rules.inline]
    for block in rules.blocks.values():
        decisions.append(block.opening)
        for slot in block.slots:
            decisions += [slot.shown, slot.literal, slot.left, slot.right]
            decisions += [slot.empty] if slot.empty is not None else []
    for decision in decisions:
        yield from _facts_of(decision)


def _facts_of(decision: Decision[Any]) -> Iterator[str]:
    if isinstance(decision, Branch):
        yield decision.fact
        for _, then in decision.cases:
            yield from _facts_of(then)
        yield from _facts_of(decision.otherwise)
