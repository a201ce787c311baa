"""From rules to the Go TEMPLATE that does as they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from os.path import commonprefix
from typing import Any, TypeVar

from gguf2ollama import _resources
from gguf2ollama.chat.synthesis.dates import go_date, split_at_dates
from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Leaf, leaves, mapped, restricted
from gguf2ollama.chat.synthesis.go_facts import VARIABLES, condition
from gguf2ollama.chat.synthesis.go_writer import GoWriter
from gguf2ollama.chat.synthesis.probes import CALL_KINDS
from gguf2ollama.chat.synthesis.rules import NUMBER, Inline, Rules, Slot, Trim
from gguf2ollama.chat.synthesis.tool_forms import GoDefine, GoText
from gguf2ollama.chat.synthesis.words import whole_words
from gguf2ollama.detect.go_text import render_go_macro, render_go_template

__all__ = ["emit"]

V = TypeVar("V")
ROLES = ("system", "user", "assistant", "tool")
_FIELDS = {
    "thinking": ".Thinking",
    "tools": "$.Tools",
    "call name": ".Function.Name",
    "call id": ".ID",
    "arguments": ".Function.Arguments",
    "tool name": ".ToolName",
    "tool id": ".ToolCallID",
    "said": "$said",
}
_STATES = {
    "$previous": ".Role",
    "$previousContent": "",
    "$previousThinking": 'ne .Thinking ""',
    "$previousCalls": "gt (len $calls) 0",
}
_STARTS = {"$before": '"start"', "$previous": '""'}
_SEEN = {"$called": "$calls", "$calledSince": "$calls", "$resulted": 'eq .Role "tool"'}
"""Variables that are true once something was seen; ``$calledSince`` until the next question."""


def emit(rules: Rules, *, continues_thinking: bool = False) -> str:
    """Give the Go TEMPLATE of some rules.

    Args:
        rules: The rules.
        continues_thinking: Whether the thinking of an answer that is to be continued stands before it in
            ``<think>``, where the rules show no thinking at all. Ollama takes a TEMPLATE only where it shows that
            it can show thinking, if the GGUF's own chat template names these tags.
    """
    return _Emitter(rules, continues_thinking=continues_thinking).template()


class _Emitter:
    def __init__(self, rules: Rules, *, continues_thinking: bool) -> None:
        self.rules = rules
        shown = {slot.kind for block in rules.blocks.values() for slot in block.slots}
        self.declares_thinking = continues_thinking and "thinking" not in shown
        self.go = GoWriter()
        self.facts = set(_facts(rules))
        self.variables = {VARIABLES[fact] for fact in self.facts if fact in VARIABLES}
        if self._moves_system and "system" not in rules.ignored:
            self.variables.add("$hasSystem")
        self.defines: set[str] = set()
        self.forms: dict[str, GoDefine] = {}
        self.message = ""
        self.counter = "results"

    def template(self) -> str:
        self._before_messages()
        with self.go.block("range $i, $message := .Messages"):
            self._message()
        body = str(self.go).strip("\n")
        if "strip" in self.forms:
            self.defines.discard("strip")
        forms = [define.text for define in self.forms.values()]
        variables = {"defines": self.defines, "forms": forms, "body": body}
        folder = _resources.templates_root() / "chat"
        return render_go_template("_synthesised.gotmpl.j2", folder=folder, variables=variables)

    def _before_messages(self) -> None:
        """Find out what holds for the whole conversation."""
        used = self.variables
        if self.rules.dates:
            self._macro("cut_date", file="_date.gotmpl.j2")
        shows_system = self._moves_system
        if shows_system:
            self.go.do('$system := ""')
        if "$hasSystem" in used:
            self.go.do("$hasSystem := false")
        for variable in sorted(used & {"$first", "$firstUser", "$lastUser", "$lastAnswer"}):
            self.go.do(f"{variable} := {'0' if variable == '$first' else '-1'}")
        if "$lastRole" in used:
            self.go.do('$lastRole := ""')
        if shows_system or used & {
            *("$hasSystem", "$first", "$firstUser", "$lastUser", "$lastAnswer", "$lastRole")
        }:
            with self.go.block("range $i, $_ := .Messages"):
                self._look_at_message()
        if self._says_later:
            self.go.do('$said := ""')
        if self.rules.numbered is not None:  # Go's templates cannot add, but tell how long a text is
            for variable in ("$numbers", "$results"):
                self.go.do(f'{variable} := "{"." * self.rules.numbered}"')
        for variable in ("$before", "$previous"):
            if variable in used:
                self.go.do(f"{variable} := {_STARTS[variable]}")
        for variable in ("$previousContent", "$previousThinking", "$previousCalls", *_SEEN):
            if variable in used:
                self.go.do(f"{variable} := false")

    @property
    def _moves_system(self) -> bool:
        return any(
            slot.kind == "system" and role != "system"
            for role, block in self.rules.blocks.items()
            for slot in block.slots
        )

    @property
    def _says(self) -> str:
        """The expression for a message's text, empty where it is taken for that."""
        return "$says" if self.rules.blank else ".Content"

    def _read_blank(self) -> None:
        """Take texts of nothing but white space for empty."""
        if not self.rules.blank:
            return
        self.go.do("$says := .Content")
        roles = " ".join(f'"{role}"' for role in sorted(self.rules.blank))
        with self.go.block(f"if eq .Role {roles}"):
            self.go.do("$text := .Content")
            self.go.do('$says = ""')
            with self.go.block("range $at := len $text"):
                with self.go.block("if not (eq (index $text $at) 9 10 11 12 13 28 29 30 31 32)"):
                    self.go.do("$says = $text")
                    self.go.do("break")

    @property
    def _calls_tools(self) -> bool:
        return "tool" in self.rules.blocks

    def _look_at_message(self) -> None:
        used = self.variables
        steps = []
        if self._moves_system:
            steps.append(f"$system = {self._says}")
        if "$first" in used:
            steps.append("$first = 1")
        if "$hasSystem" in used:
            steps.append(
                "$hasSystem = ne " + self._says + ' ""'
                if "system" in self.rules.ignored
                else "$hasSystem = true"
            )
        if steps:
            self._read_blank()
            with self.go.block('if and (eq $i 0) (eq .Role "system")'):
                for step in steps:
                    self.go.do(step)
        counts = f'and (eq .Role "user") {self._says}' if "user" in self.rules.ignored else 'eq .Role "user"'
        if used & {"$firstUser", "$lastUser"}:
            with self.go.block(f"if {counts}"):
                if "$firstUser" in used:
                    with self.go.block("if lt $firstUser 0"):
                        self.go.do("$firstUser = $i")
                if "$lastUser" in used:
                    self.go.do("$lastUser = $i")
        if "$lastAnswer" in used:
            with self.go.block('if eq .Role "assistant"'):
                self.go.do("$lastAnswer = $i")
        if "$lastRole" in used:
            self.go.do("$lastRole = .Role")

    def _message(self) -> None:
        self.go.do("$last := eq (len (slice $.Messages $i)) 1")
        self._read_blank()
        if self._calls_tools:
            self.go.do("$calls := .ToolCalls")
        if self.rules.ignored:
            roles = " ".join(f'"{role}"' for role in sorted(self.rules.ignored))
            calls = " $calls" if self._calls_tools else ""
            with self.go.block(f"if or $last {self._says}{calls} (not (eq .Role {roles}))"):
                self._heard()
        else:
            self._heard()

    def _heard(self) -> None:
        if "$calledSince" in self.variables:
            with self.go.block('if eq .Role "user"'):
                self.go.do("$calledSince = false")
        if "$next" in self.variables:
            self.go.do('$next := ""')
            with self.go.block("if not $last"):
                self.go.do("$next = (index (slice $.Messages $i) 1).Role")
        roles = [role for role in ROLES if role in self.rules.blocks and self.rules.blocks[role].slots]
        for at, role in enumerate(roles):
            silent = role in self.rules.silent
            speaks = f"(or {self._says} $calls)" if self._calls_tools else self._says
            test = f'and (eq .Role "{role}") {speaks}' if silent else f'eq .Role "{role}"'
            self.go.do(f"{'else if' if at else 'if'} {test}")
            self._block(role)
        if roles:
            self.go.do("end")
        self._ending()
        if self.rules.numbered is not None:
            with self.go.block('if eq .Role "tool"'):
                self.go.do('$results = print $results "."')
        for variable, value in _STATES.items():
            if variable in self.variables:
                told = value or f'ne {self._says} ""'
                self.go.do(f"{variable} = {told}")
        for variable, test in _SEEN.items():
            if variable in self.variables:
                with self.go.block(f"if {test}"):
                    self.go.do(f"{variable} = true")

    def _block(self, role: str) -> None:
        block = self.rules.blocks[role]
        if role == "assistant" and self.rules.inline != Leaf(None):
            self._cut_thinking()
        if role == "assistant" and self._says_later:
            self.go.do('$said = ""')
            with self.go.block("if $calls"):
                self.go.do(f"$said = {'$content' if self._cuts else self._says}")
        self._print(block.opening)
        if role == "assistant" and self.declares_thinking:
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

    @property
    def _says_later(self) -> bool:
        """Whether the text before a call is printed behind its results."""
        return any(slot.kind == "said" for block in self.rules.blocks.values() for slot in block.slots)

    def _calls(self, slots: Sequence[Slot], role: str) -> None:
        """Print the calls; what differs before the first of them stands before the block of calls.

        Ollama takes the first text of that block for the tag by which the model opens a call.
        """
        first, *others = slots
        opens = restricted(first.literal, {"call": "first"})
        goes_on = restricted(first.literal, {"call": "later", "before": slots[-1].kind})
        heads, tag = _before_tag(opens, at=_behind_closing)
        if first.shown == Leaf(value=True) and tag.strip():
            if any(leaves(heads)):
                with self.go.block("if $calls"):
                    self._print(heads)
            literal: Decision[str] = Leaf(tag)
            if goes_on != literal:
                literal = Branch(fact="call", cases=((frozenset({"first"}), literal),), otherwise=goes_on)
            first = replace(first, literal=literal)
        with self.go.block("if .ToolCalls"), self.go.block("range $j, $_ := .ToolCalls"):
            self.message, self.counter = "$message", "numbers"
            for slot in (first, *others):
                self._slot(slot, role)
            self.message, self.counter = "", "results"
            if self.rules.numbered is not None:
                self.go.do('$numbers = print $numbers "."')

    def _cut_thinking(self) -> None:
        """Take thinking out of an answer's text."""
        self.go.do(f"$content := {self._says}")
        self.go.do("$thinking := .Thinking")
        self.go.do("$isCut := false")
        self._decide(self.rules.inline, self._cut_inline)

    def _cut_inline(self, inline: Inline | None) -> None:
        if inline is None:
            return
        self.go.do("$text := .Content")
        self.go.do('$thoughts := ""')
        first = "{{ if not $isCut }}{{ $thoughts = slice $text 0 $at }}{{ end }}"
        found = f"{{{{ $content = $rest }}}}{first if inline.told else ''}{{{{ $isCut = true }}}}"
        self._macro("each_tag", "$text", "</think>", found)
        if inline.paired:
            self.go.do("$isPaired := false")
            self._macro("each_tag", "$text", "<think>", "{{ $isPaired = true }}")
            with self.go.block("if not $isPaired"):
                self.go.do("$content = .Content")
                self.go.do("$isCut = false")
        if inline.left is Trim.newlines:
            with self.go.block("if $isCut"):
                self._macro("strip_newlines_left", "$content")
        if inline.told:
            with self.go.block("if and $isCut (not .Thinking)"):
                self.go.do("$thinking = $thoughts")
                self._macro("each_tag", "$thoughts", "<think>", "{{ $thinking = $rest }}")
                self._macro("strip_newlines_left", "$thinking")
                self._macro("strip_newlines_right", "$thinking")

    def _macro(self, macro: str, *arguments: str, file: str = "_cut.gotmpl.j2") -> None:
        folder = _resources.templates_root() / "chat"
        self.go.lines(render_go_macro(file, macro, *arguments, folder=folder))

    def _ending(self) -> None:
        if all(not text for text in leaves(self.rules.ending)):
            return
        speaks = 'or $calls (ne .Role "assistant")' if self._calls_tools else 'ne .Role "assistant"'
        with self.go.block(f"if and $last ({speaks})"):
            self._print(self.rules.ending)

    def _slot(self, slot: Slot, role: str) -> None:
        shown = self._truth(slot.shown)
        if shown is None:
            return
        tests = [test for test in (self._needs(slot, role), shown) if test]
        if not tests:
            self._shown(slot, role)
            return
        if len(tests) > 1:
            tests = [f"and {' '.join(map(_operand, tests))}"]
        if slot.kind == "thinking":
            heads, tag = _before_tag(slot.literal, at=_last_bracket)
            if any(leaves(heads)) and tag.strip():
                with self.go.block(f"if {_as_variable(tests[0])}"):
                    self._print(heads)
                slot = replace(slot, literal=Leaf(tag))
        with self.go.block(f"if {tests[0]}"):
            self._shown(slot, role)
        if "$before" in self.variables and slot.kind == "thinking":
            with self.go.block(f"if {_as_variable(tests[0])}"):  # apart: the tags are to be the first and last of their block
                self.go.do('$before = "thinking"')

    def _truth(self, decision: Decision[bool]) -> str | None:
        """Give the condition under which a decision comes to true; ``""`` for always, ``None`` for never."""
        if isinstance(decision, Leaf):
            return "" if decision.value else None
        tests: list[str] = []
        others: list[str] = []
        for values, case in decision.cases:
            test = self._condition(decision.fact, values, negated=False)
            others.append(self._condition(decision.fact, values, negated=True))
            then = self._truth(case)
            if then is not None:
                tests.append(f"and {_operand(test)} {_operand(then)}" if then else test)
        rest = self._truth(decision.otherwise)
        if rest == "" and len(decision.cases) == 1 and tests and not tests[0].startswith("and "):
            return ""
        if rest == "" and all(self._truth(case) is None for _, case in decision.cases):
            return others[0] if len(others) == 1 else f"and {' '.join(map(_operand, others))}"
        if rest is not None:
            is_simple = all(self._truth(case) == "" for _, case in decision.cases)
            guard = [] if is_simple else others
            tests.append(_all_of([*guard, *([rest] if rest else [])]))
        return tests[0] if len(tests) == 1 else f"or {' '.join(map(_operand, tests))}"

    def _needs(self, slot: Slot, role: str) -> str:
        """Give the condition under which there is anything to show; ``""`` where there always is."""
        if slot.kind == "system" and role != "system":
            return "$hasSystem" if "$hasSystem" in self.variables else "$system"
        if slot.kind == "thinking":
            return "$thinking" if self._cuts else ".Thinking"
        return {"tools": "$.Tools", "said": "$said"}.get(slot.kind, "")

    @property
    def _cuts(self) -> bool:
        return self.rules.inline != Leaf(None)

    def _expression(self, slot: Slot, role: str) -> str:
        """Give the expression of Go for what a slot shows."""
        if slot.kind == "system" and role != "system":
            return "$system"
        if self._cuts and slot.kind in {"thinking", "assistant"}:
            return "or .Thinking $thinking" if slot.kind == "thinking" else "$content"
        return _FIELDS.get(slot.kind, self._says)

    def _shown(self, slot: Slot, role: str) -> None:
        text = self._expression(slot, role)
        if slot.empty is None:
            self._filled(slot, text)
        elif all(not value for value in leaves(slot.empty)):
            with self.go.block(f"if {text}"):
                self._filled(slot, text)
        else:
            self.go.do(f"if {text}")
            self._filled(slot, text)
            self.go.do("else")
            self._print(slot.empty)
            self.go.do("end")
        if "$before" in self.variables and slot.kind != "thinking":
            self.go.do(f'$before = "{slot.kind}"')

    def _filled(self, slot: Slot, text: str) -> None:
        if isinstance(slot.literal, Branch) and slot.literal.fact == "call":
            self._decide(slot.literal, self._print_text)  # whole, for its tag
        else:
            self._print(slot.literal)
        if slot.form is not None:
            self._form(slot.form.go(text))
            self._print_text(slot.suffix)
            return
        if text == "$content":
            self._trim_cut(slot)
        else:
            self._trim_as(slot.left, slot.right, text)
        if slot.kind == "assistant" and slot.suffix:
            with self.go.block("if or (not $last) $calls" if self._calls_tools else "if not $last"):
                self._print_text(slot.suffix)
        else:
            self._print_text(slot.suffix)

    def _trim_cut(self, slot: Slot) -> None:
        """Print an answer's text; where it was cut from thinking, its beginning is trimmed otherwise."""

        def trim(inline: Inline | None) -> None:
            after = slot.left if inline is None or inline.again else Leaf(inline.left)
            if inline is not None and inline.again and inline.left is Trim.space:
                after = Leaf(Trim.space)
            if after == slot.left:
                self._trim_as(slot.left, slot.right, "$content")
                return
            self.go.do("if $isCut")
            self._trim_as(after, slot.right, "$content")
            self.go.do("else")
            self._trim_as(slot.left, slot.right, "$content")
            self.go.do("end")

        self._decide(self.rules.inline, trim)

    def _trim_as(self, left: Decision[Trim], right: Decision[Trim], text: str) -> None:
        self._decide(left, lambda one: self._decide(right, lambda other: self._trim(text, one, other)))

    def _form(self, go: GoText) -> None:
        self.forms |= {define.name: define for define in go.defines}
        self.go.lines(go.statements)

    def _trim(self, text: str, left: Trim, right: Trim) -> None:
        if (left, right) == (Trim.nothing, Trim.nothing):
            self.go.value(text)
            return
        if Trim.newlines in {left, right}:
            self.go.do(f"$text := {text}")
            text = "$text"
            for side, trim in (("left", left), ("right", right)):
                if trim is Trim.newlines:
                    self._macro(f"strip_newlines_{side}", text)
        define = {
            (True, True): "strip",
            (True, False): "strip-left",
            (False, True): "strip-end",
        }.get((left is Trim.space, right is Trim.space))
        if define is None:
            self.go.value(text)
            return
        self.defines.add("strip-left" if define == "strip-left" else "strip")
        self.go.value(f'template "{define}" {text}')

    def _print(self, decision: Decision[str]) -> None:
        """Print the text that a decision comes to; what all its texts begin or end with stands outside."""
        head, decision, tail = _factored(decision)
        self._print_text(head)
        self._decide(decision, self._print_text)
        self._print_text(tail)

    def _print_text(self, text: str) -> None:
        for number, piece in enumerate(text.split(NUMBER)):
            if number:
                self.go.value(f"len ${self.counter}")
            self._print_dated(piece)

    def _print_dated(self, text: str) -> None:
        for plain, date_format in split_at_dates(text, self.rules.dates):
            self.go.print(plain)
            for part, expression in go_date(date_format):
                self.go.print(part)
                if expression:
                    self.go.value(expression)

    def _decide(self, decision: Decision[V], then: Callable[[V], None]) -> None:
        if isinstance(decision, Leaf):
            then(decision.value)
            return
        cases = list(decision.cases)
        if decision.fact == "call" and "first" not in cases[0][0]:  # Ollama takes the first text for the tag of calls
            otherwise = decision.otherwise
            decision = replace(decision, cases=((frozenset({"first"}), otherwise),), otherwise=cases[0][1])
            cases = list(decision.cases)
        nothing = [values for values, case in cases if _is_nothing(case)]
        if len(cases) == 1 and nothing:
            with self.go.block(f"if {self._condition(decision.fact, nothing[0], negated=True)}"):
                self._within(decision.otherwise, then)
            return
        for at, (values, case) in enumerate(cases):
            test = self._condition(decision.fact, values, negated=False)
            self.go.do(f"{'else if' if at else 'if'} {test}")
            self._within(case, then)
        if not _is_nothing(decision.otherwise):
            self.go.do("else")
            self._within(decision.otherwise, then)
        self.go.do("end")

    def _within(self, decision: Decision[V], then: Callable[[V], None]) -> None:
        if isinstance(decision, Branch) and all(type(value) is str for value in leaves(decision)):
            self._print(decision)  # type: ignore[arg-type]  # every leaf is a text
        else:
            self._decide(decision, then)

    def _condition(self, fact: str, values: frozenset[str], *, negated: bool) -> str:
        if fact == "content" and self.rules.blank:
            return self._says if ("yes" in values) != negated else f"not {self._says}"
        return condition(fact, values, negated=negated, levelled=self.rules.levelled, message=self.message)


def _before_tag(
    decision: Decision[str], *, at: Callable[[str], int]
) -> tuple[Decision[str], str]:
    """Cut the tag off that all texts of a decision end with.

    Args:
        decision: The texts.
        at: Where the tag begins in what they have in common.
    """
    texts = list(leaves(decision))
    common = commonprefix([text[::-1] for text in texts])[::-1]
    tag = whole_words(common, texts, at_end=True)
    tag = tag[at(tag) :]
    return mapped(decision, lambda text: text[: len(text) - len(tag)]), tag


def _behind_closing(text: str) -> int:
    """Give where a text goes on behind the last tag in it that closes something."""
    closing = text.rfind("</")
    return text.find(">", closing) + 1 if closing >= 0 else 0


def _last_bracket(text: str) -> int:
    """Give where the last tag of a text begins."""
    return max(text.rstrip().rfind("<"), text.rstrip().rfind("["), 0)


def _as_variable(test: str) -> str:
    """Have a condition look at a message's thinking in a way that doesn't mislead Ollama."""
    return "$message.Thinking" if test == ".Thinking" else test.replace(" .Thinking", " $message.Thinking").replace("(.Thinking", "($message.Thinking")


def _operand(test: str) -> str:
    """Give a condition as one operand of another."""
    return f"({test})" if " " in test else test


def _all_of(tests: Sequence[str]) -> str:
    return tests[0] if len(tests) == 1 else f"and {' '.join(map(_operand, tests))}"


def _is_nothing(decision: Decision[Any]) -> bool:
    return (
        isinstance(decision, Leaf) and decision.value in {"", False} and not isinstance(decision.value, Trim)
    )


def _factored(decision: Decision[str]) -> tuple[str, Decision[str], str]:
    texts = list(leaves(decision))
    if len(texts) == 1:
        return "", decision, ""
    head = whole_words(commonprefix(texts), texts)
    head = head if head.strip() else ""  # Ollama takes the first text of a call for its tag: let it be one
    tail = whole_words(commonprefix([text[len(head) :][::-1] for text in texts])[::-1], texts, at_end=True)
    return head, mapped(decision, lambda text: text[len(head) : len(text) - len(tail)]), tail


def _facts(rules: Rules) -> Iterator[str]:
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
