"""From rules to the Go TEMPLATE that does as they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Leaf, leaves, mapped, restricted
from gguf2ollama.chat.synthesis.go_contents import Contents
from gguf2ollama.chat.synthesis.go_page import FOLDER, Page, all_of
from gguf2ollama.chat.synthesis.go_prelude import Memory, read_blank
from gguf2ollama.chat.synthesis.probes import CALL_KINDS
from gguf2ollama.chat.synthesis.rules import Rules, Slot
from gguf2ollama.chat.synthesis.text import common_end
from gguf2ollama.gotmpl.write import render_go_template

__all__ = ["emit"]

_ROLES = ("system", "user", "assistant", "tool")


def emit(rules: Rules, *, continues_thinking: bool = False) -> str:
    """Return the Go TEMPLATE of some rules.

    Args:
        rules: The rules.
        continues_thinking: Whether the thinking of an answer that is to be continued stands before it in
            ``<think>``, where the rules show no thinking at all. Ollama takes a TEMPLATE only where it shows
            that it can show thinking, if the GGUF's own chat template names these tags.
    """
    return _Emitter(rules, continues_thinking=continues_thinking).template()


class _Emitter:
    def __init__(self, rules: Rules, *, continues_thinking: bool) -> None:
        shown = {slot.kind for block in rules.blocks.values() for slot in block.slots}
        self.rules = rules
        self.continues_thinking = continues_thinking and "thinking" not in shown
        self.page = Page(rules)
        self.go = self.page.go
        self.contents = Contents(self.page)
        self.memory = Memory(self.page)

    def template(self) -> str:
        self.memory.begin()
        with self.go.block("range $i, $message := .Messages"):
            self._message()
        variables = {**self.contents.defines, "body": str(self.go).strip("\n")}
        return render_go_template("_synthesised.gotmpl.j2", folder=FOLDER, variables=variables)

    def _message(self) -> None:
        self.go.do("$last := eq (len (slice $.Messages $i)) 1")
        read_blank(self.page)
        if self.page.calls_tools:
            self.go.do("$calls := .ToolCalls")
        if not self.rules.ignored:
            self._heard()
            return
        roles = " ".join(f'"{role}"' for role in sorted(self.rules.ignored))
        says = f"{self.page.says} $calls" if self.page.calls_tools else self.page.says
        with self.go.block(f"if or $last {says} (not (eq .Role {roles}))"):
            self._heard()

    def _heard(self) -> None:
        roles = [role for role in _ROLES if role in self.rules.blocks and self.rules.blocks[role].slots]
        for at, role in enumerate(roles):
            test = f'eq .Role "{role}"'
            if role in self.rules.silent:
                says = f"(or {self.page.says} $calls)" if self.page.calls_tools else self.page.says
                test = f"and ({test}) {says}"
            self.go.do(f"{'else if' if at else 'if'} {test}")
            self._block(role)
        if roles:
            self.go.do("end")
        self._ending()
        self.memory.end_message()

    def _ending(self) -> None:
        if not any(leaves(self.rules.ending)):
            return
        speaks = 'ne .Role "assistant"'
        with self.go.block(f"if and $last ({f'or $calls ({speaks})' if self.page.calls_tools else speaks})"):
            self.page.print(self.rules.ending)

    def _block(self, role: str) -> None:
        block = self.rules.blocks[role]
        if role == "assistant":
            self._read_answer()
        self.page.print(block.opening)
        if role == "assistant" and self.continues_thinking:
            with self.go.block("if and $last .Thinking"):
                self.go.print("<think>\n")
                self.go.value(".Thinking")
                self.go.print("\n</think>\n\n")
        for is_call, slots in groupby(block.slots, key=lambda slot: slot.kind in CALL_KINDS):
            if is_call:
                self._calls(list(slots), role)
            else:
                for slot in slots:
                    self._slot(slot, role)

    def _read_answer(self) -> None:
        if self.page.cuts:
            self.contents.cut_thinking()
        if self.page.says_later:
            self.go.do('$said = ""')
            with self.go.block("if $calls"):
                self.go.do(f"$said = {'$content' if self.page.cuts else self.page.says}")

    def _calls(self, slots: Sequence[Slot], role: str) -> None:
        """Print the calls; what differs before the first of them stands before the block of calls.

        Ollama takes the first text of that block for the tag by which the model opens a call.
        """
        first, *others = slots
        heads, tag = _before_tag(restricted(first.literal, {"call": "first"}), at=_behind_closing)
        if first.shown == Leaf(value=True) and tag.strip():
            if any(leaves(heads)):
                with self.go.block("if $calls"):
                    self.page.print(heads)
            literal: Decision[str] = Leaf(tag)
            later = restricted(first.literal, {"call": "later", "before": slots[-1].kind})
            if later != literal:
                literal = Branch(fact="call", cases=((frozenset({"first"}), literal),), otherwise=later)
            first = replace(first, literal=literal)
        with self.go.block("if .ToolCalls"), self.go.block("range $j, $_ := .ToolCalls"):
            self.page.message = "$message"
            for slot in (first, *others):
                self._slot(slot, role)
            self.page.message = ""

    def _slot(self, slot: Slot, role: str) -> None:
        shown = self.page.truth(slot.shown)
        if shown is None:
            return
        tests = [test for test in (self._needs(slot, role), shown) if test]
        if slot.kind == "thinking":
            self._thinking(slot, tests)
        elif tests:
            with self.go.block(f"if {all_of(tests)}"):
                self._shown(slot, role)
        else:
            self._shown(slot, role)

    def _thinking(self, slot: Slot, tests: Sequence[str]) -> None:
        """Print thinking in a block that begins and ends with its tags: there Ollama looks for them.

        It takes any block that names the field ``.Thinking`` for that one; around it stands a variable.
        """
        around = all_of(["$message.Thinking" if test == ".Thinking" else test for test in tests])
        heads, tag = _before_tag(slot.literal, at=_last_bracket)
        if any(leaves(heads)) and tag.strip():
            with self.go.block(f"if {around}"):
                self.page.print(heads)
            slot = replace(slot, literal=Leaf(tag))
        with self.go.block(f"if {all_of(tests)}"):
            self._filled(slot, "assistant")
        if "$before" in self.memory.used:
            with self.go.block(f"if {around}"):
                self.go.do('$before = "thinking"')

    def _needs(self, slot: Slot, role: str) -> str:
        """Return the condition under which there is anything to show; ``""`` where there always is."""
        if slot.kind == "system" and role != "system":
            return "$system" if {"system"} & (self.rules.ignored | self.rules.silent) else "$hasSystem"
        if slot.kind == "thinking":
            return "$thinking" if self.page.cuts else ".Thinking"
        return {"tools": "$.Tools", "said": "$said"}.get(slot.kind, "")

    def _shown(self, slot: Slot, role: str) -> None:
        text = self.contents.expression(slot, role)
        if slot.empty is None:
            self._filled(slot, role)
        else:
            self.go.do(f"if {text}")
            self._filled(slot, role)
            if any(leaves(slot.empty)):
                self.go.do("else")
                self.page.print(slot.empty)
            self.go.do("end")
        if "$before" in self.memory.used:
            self.go.do(f'$before = "{slot.kind}"')

    def _filled(self, slot: Slot, role: str) -> None:
        if isinstance(slot.literal, Branch) and slot.literal.fact == "call":
            self.page.decide(slot.literal, self.page.print_text)  # each whole, for the tag
        else:
            self.page.print(slot.literal)
        self.contents.print(slot, role)
        if slot.kind == "assistant" and slot.suffix:
            with self.go.block("if or (not $last) $calls" if self.page.calls_tools else "if not $last"):
                self.page.print_text(slot.suffix)
        else:
            self.page.print_text(slot.suffix)


def _before_tag(decision: Decision[str], *, at: Callable[[str], int]) -> tuple[Decision[str], str]:
    """Cut off the tag that all texts of a decision end with.

    Args:
        decision: The texts.
        at: Where the tag begins in what they have in common.
    """
    common = common_end(list(leaves(decision)))
    tag = common[at(common) :]
    return mapped(decision, lambda text: text[: len(text) - len(tag)]), tag


def _behind_closing(text: str) -> int:
    """Return where a text goes on behind the last tag in it that closes something."""
    closing = text.rfind("</")
    return text.find(">", closing) + 1 if closing >= 0 else 0


def _last_bracket(text: str) -> int:
    """Return where the last tag of a text begins."""
    return max(text.rstrip().rfind("<"), text.rstrip().rfind("["), 0)
