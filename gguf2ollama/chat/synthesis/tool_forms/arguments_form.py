"""How a chat template writes the arguments of a call down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.text import only_place
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoText, go_value
from gguf2ollama.chat.synthesis.tool_forms.grammar import Text, joined
from gguf2ollama.chat.synthesis.tool_forms.styles import Style
from gguf2ollama.gotmpl.write import go_print
from gguf2ollama.oci import go_json

__all__ = [
    "Arguments",
    "ArgumentsForm",
    "EachArgument",
    "Key",
    "Kind",
    "Part",
    "TextArguments",
    "Value",
    "WholeArguments",
    "kind_of",
]

Arguments: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal["text", "number", "true", "false", "null", "mapping", "array"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The name of an argument, as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The value of an argument, in a style."""

    style: Style


Part: TypeAlias = Text | Key | Value


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeArguments:
    """All arguments as one value in a style."""

    style: Style

    def print(self, arguments: Arguments) -> str:
        """Write arguments down as the chat template does."""
        return self.style.print(arguments)

    def locate(self, text: str, arguments: Arguments) -> tuple[int, int] | None:
        """Find where the arguments stand in a text, or ``None`` where they don't, or stand twice."""
        return only_place(text, self.print(arguments))

    def go(self, expression: str) -> GoText:
        """Return the Go text that prints the arguments of an expression, such as ``.Function.Arguments``."""
        return go_value(expression, self.style)


@dataclass(frozen=True, slots=True, kw_only=True)
class EachArgument:
    """The arguments one by one.

    Attributes:
        cases: For each kind of value, what one argument is made of.
        between: What stands between every two.
        around: What stands before and after all, where there are any.
        empty: What is printed where there are none.
    """

    cases: tuple[tuple[Kind, tuple[Part, ...]], ...]
    between: str
    around: tuple[str, str] = ("", "")
    empty: str = ""

    def print(self, arguments: Arguments) -> str:
        """Write arguments down as the chat template does, in alphabetical order as on Go's side."""
        if not arguments:
            return self.empty
        cases = dict(self.cases)
        entries = [
            "".join(_print(part, key, arguments[key]) for part in cases[kind_of(arguments[key])])
            for key in sorted(arguments)
        ]
        return self.around[0] + self.between.join(entries) + self.around[1]

    def locate(self, text: str, arguments: Arguments) -> tuple[int, int] | None:
        """Find where the arguments stand in a text, or ``None`` where they don't, or stand twice."""
        return only_place(text, self.print(arguments))

    def go(self, expression: str) -> GoText:
        """Return the Go text that prints the arguments of an expression, such as ``.Function.Arguments``."""
        between = go_print(self.between)
        entry = self._go_entry()
        before, after = (go_print(mark) for mark in self.around)
        loop = (
            f"{before}{{{{- $more := false }}}}\n" if between else f"{before}\n"
        ) + f"{{{{- range $key, $value := {expression} }}}}\n"
        if between:
            loop += f"{{{{- if $more }}}}{between}{{{{- end }}}}{{{{- $more = true }}}}\n"
        loop += f"{entry.statements}{{{{- end }}}}{after}\n"
        if any(self.around) or self.empty:
            empty = f"{{{{- else }}}}{go_print(self.empty)}\n" if self.empty else ""
            loop = f"{{{{- if {expression} }}}}\n{loop}{empty}{{{{- end }}}}\n"
        return GoText(statements=loop, defines=entry.defines)

    def _go_entry(self) -> GoText:
        by_parts: dict[tuple[Part, ...], list[Kind]] = {}
        for kind, parts in self.cases:
            by_parts.setdefault(parts, []).append(kind)
        usual = next(parts for parts, kinds in by_parts.items() if "number" in kinds)
        texts = {parts: joined([_go(part) for part in parts]) for parts in by_parts}
        if len(by_parts) == 1:
            return texts[usual]
        statements = "{{- $first := slice (json $value) 0 1 }}\n"
        opening = "if"
        for parts, kinds in by_parts.items():
            if parts == usual:
                continue
            firsts = " ".join(_FIRST[kind] for kind in kinds)
            statements += f"{{{{- {opening} eq $first {firsts} }}}}\n{texts[parts].statements}"
            opening = "else if"
        statements += f"{{{{- else }}}}\n{texts[usual].statements}{{{{- end }}}}\n"
        return GoText(statements=statements, defines=joined(list(texts.values())).defines)


@dataclass(frozen=True, slots=True)
class TextArguments:
    """Arguments as JSON in Go's way: as Ollama tells them to a chat template that takes them as a text."""

    def print(self, arguments: Mapping[str, Any]) -> str:
        """Write arguments down."""
        return go_json({key: arguments[key] for key in sorted(arguments)}).decode().removesuffix("\n")

    def go(self, expression: str) -> GoText:
        """Return the Go text that prints the arguments of an expression."""
        return GoText(statements=f"{{{{- json {expression} }}}}\n")


ArgumentsForm: TypeAlias = WholeArguments | EachArgument

_FIRST: Mapping[Kind, str] = {
    "text": '"\\""',
    "mapping": '"{"',
    "array": '"["',
    "true": '"t"',
    "false": '"f"',
    "null": '"n"',
}


def kind_of(value: Any) -> Kind:  # noqa: ANN401  # a value of JSON
    """Return what kind of value this is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "mapping"
    return "array" if isinstance(value, Sequence) else "number"


def _print(part: Part, key: str, value: Any) -> str:  # noqa: ANN401  # a value of JSON
    if isinstance(part, Text):
        return part.text
    return key if isinstance(part, Key) else part.style.print(value)


def _go(part: Part) -> GoText:
    if isinstance(part, Text):
        return GoText(statements=f"{go_print(part.text)}\n")
    if isinstance(part, Key):
        return GoText(statements="{{- $key }}\n")
    return go_value("$value", part.style)
