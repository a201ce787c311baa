"""How a Go template prints what it is given: trimmed, cut from thinking, or in a form of its own."""

from __future__ import annotations

from gguf2ollama.chat.synthesis.decisions import Decision, Leaf
from gguf2ollama.chat.synthesis.go_page import Page
from gguf2ollama.chat.synthesis.rules import Inline, Slot, Trim
from gguf2ollama.chat.synthesis.tool_forms import GoDefine, GoText

__all__ = ["Contents"]

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
_TRIMS = {
    (Trim.space, Trim.space): "strip",
    (Trim.space, Trim.nothing): "strip-left",
    (Trim.nothing, Trim.space): "strip-end",
}


class Contents:
    """Prints what slots show, and remembers what has to be defined for that."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._trims: set[str] = set()
        self._forms: dict[str, GoDefine] = {}

    @property
    def defines(self) -> dict[str, object]:
        """What the whole template is to define."""
        return {
            "strips": bool(self._trims & {"strip", "strip-end"}) and "strip" not in self._forms,
            "strips_left": "strip-left" in self._trims,
            "forms": [define.text for define in self._forms.values()],
        }

    def expression(self, slot: Slot, role: str) -> str:
        """Return the expression of Go for what a slot shows in a message of a role."""
        if slot.kind == "system" and role != "system":
            return "$system"
        if self.page.cuts and slot.kind in {"thinking", "assistant"}:
            return "or .Thinking $thinking" if slot.kind == "thinking" else "$content"
        return _FIELDS.get(slot.kind, self.page.says)

    def print(self, slot: Slot, role: str) -> None:
        """Print what a slot shows."""
        text = self.expression(slot, role)
        if slot.form is not None:
            self._form(slot.form.go(text))
        elif text == "$content":
            self._print_cut(slot)
        else:
            self._print_trimmed(slot.left, slot.right, text)

    def _form(self, go: GoText) -> None:
        self._forms |= {define.name: define for define in go.defines}
        self.page.go.lines(go.statements)

    def _print_cut(self, slot: Slot) -> None:
        """Print an answer's text; where it was cut from thinking, its beginning may be trimmed otherwise."""

        def trimmed(inline: Inline | None) -> None:
            left = slot.left if inline is None else _left_of_cut(inline, slot.left)
            if left == slot.left:
                self._print_trimmed(slot.left, slot.right, "$content")
                return
            self.page.go.do("if $isCut")
            self._print_trimmed(left, slot.right, "$content")
            self.page.go.do("else")
            self._print_trimmed(slot.left, slot.right, "$content")
            self.page.go.do("end")

        self.page.decide(self.page.rules.inline, trimmed)

    def _print_trimmed(self, left: Decision[Trim], right: Decision[Trim], text: str) -> None:
        self.page.decide(
            left, lambda one: self.page.decide(right, lambda other: self._trim(text, one, other))
        )

    def _trim(self, text: str, left: Trim, right: Trim) -> None:
        if Trim.newlines in {left, right}:
            self.page.go.do(f"$text := {text}")
            text = "$text"
        if left is Trim.newlines:
            self.page.macro("strip_newlines_left", text)
            left = Trim.nothing
        if right is Trim.newlines:
            self.page.macro("strip_newlines_right", text)
            right = Trim.nothing
        define = _TRIMS.get((left, right))
        if define is None:
            self.page.go.value(text)
            return
        self._trims.add(define)
        self.page.go.value(f'template "{define}" {f"({text})" if " " in text else text}')

    def cut_thinking(self) -> None:
        """Take the thinking out of an answer's text: into ``$content``, ``$thinking`` and ``$isCut``."""
        go = self.page.go
        go.do(f"$content := {self.page.says}")
        go.do("$thinking := .Thinking")
        go.do("$isCut := false")
        self.page.decide(self.page.rules.inline, self._cut)

    def _cut(self, inline: Inline | None) -> None:
        if inline is None:
            return
        go = self.page.go
        go.do("$text := .Content")
        found = "{{ $content = $rest }}"
        if inline.told:
            go.do('$thoughts := ""')
            found += "{{ if not $isCut }}{{ $thoughts = slice $text 0 $at }}{{ end }}"
        self.page.macro("each_tag", "$text", "</think>", found + "{{ $isCut = true }}")
        if inline.paired:
            go.do("$isPaired := false")
            self.page.macro("each_tag", "$text", "<think>", "{{ $isPaired = true }}")
            with go.block("if not $isPaired"):
                go.do("$content = $text")
                go.do("$isCut = false")
        if inline.left is Trim.newlines:
            with go.block("if $isCut"):
                self.page.macro("strip_newlines_left", "$content")
        if inline.told:
            with go.block("if and $isCut (not $thinking)"):
                go.do("$thinking = $thoughts")
                self.page.macro("each_tag", "$thoughts", "<think>", "{{ $thinking = $rest }}")
                self.page.macro("strip_newlines_left", "$thinking")
                self.page.macro("strip_newlines_right", "$thinking")


def _left_of_cut(inline: Inline, left: Decision[Trim]) -> Decision[Trim]:
    """Return what is taken off the beginning of a text that was cut."""
    if inline.left is Trim.space or not inline.again:
        return Leaf(inline.left)
    return left
