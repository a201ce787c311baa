"""A record written as Go: its parts in their order, each where a decision says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from gguf2ollama.chat.synthesis.tool_forms.features import KEY, OTHER, Table
from gguf2ollama.chat.synthesis.tool_forms.go_conditions import (
    GoScope,
    asks,
    go_condition,
    go_variables,
)
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoDefine, GoText, go_value
from gguf2ollama.chat.synthesis.tool_forms.grammar import joined
from gguf2ollama.chat.synthesis.tool_forms.record import EachItem, EachProperty, Part, Record
from gguf2ollama.gotmpl.write import go_print, go_quote

__all__ = ["go_record"]


def go_record(record: Record, expression: str) -> GoText:
    """Return the Go text that prints the record of the tool that an expression stands for."""
    writer = _Writer()
    text = writer.steps(record, GoScope(value=expression, kind="tool"))
    return GoText(statements=text.statements, defines=(*text.defines, *writer.defines.values()))


class _Writer:
    """Writes records, and a define for each loop over properties that may come to itself again."""

    def __init__(self) -> None:
        self.defines: dict[tuple[Record, EachProperty, str], GoDefine] = {}
        self._names: dict[tuple[Record, EachProperty, str], str] = {}

    def steps(self, record: Record, scope: GoScope) -> GoText:
        """Return the text of all steps of a record."""
        tells = any(len(step.before) > 1 for step in record.steps) or len(record.after) > 1
        pieces = [GoText(statements=go_variables(record, scope))]
        if tells:
            pieces.append(GoText(statements=f'{{{{- {scope.last} := "" }}}}\n'))
        for number, step in enumerate(record.steps):
            mark = f"{{{{- {scope.last} = {go_quote(_label(record, number))} }}}}\n" if tells else ""
            part = self._part(step.part, record, scope)
            text = GoText(
                statements=_between(step.before, record, scope) + part.statements + mark, defines=part.defines
            )
            pieces.append(_where(step.present, text, scope))
        pieces.append(GoText(statements=_between(record.after, record, scope)))
        return joined(pieces)

    def _part(self, part: Part, record: Record, scope: GoScope) -> GoText:
        if isinstance(part, EachProperty):
            return self._properties(part, record, scope)
        if isinstance(part, EachItem):
            return _items(part, scope)
        return go_value("$key" if part.path == (KEY,) else scope.field(part.path), part.style)

    def _properties(self, part: EachProperty, record: Record, scope: GoScope) -> GoText:
        """Return the loop over properties: in its place for a tool's, if these have none in turn."""
        inner = part.record or record
        if scope.kind == "tool" and not inner.loops():
            start = f"{{{{- $properties := {scope.schema}.Properties }}}}\n"
            if asks(inner, "required"):
                start += f"{{{{- $given := {scope.schema}.Required }}}}\n"
            loop = self._loop(part, inner, GoScope(value="$value", kind="struct"))
            return GoText(statements=start + loop.statements, defines=loop.defines)
        is_of_items = part.path[0] == "items"
        kind: Literal["struct", "json"] = "json" if is_of_items or scope.kind == "json" else "struct"
        owner = "$items" if is_of_items else scope.schema
        name, defines = self._define(part, inner, kind)
        return GoText(statements=f'{{{{- template "{name}" {owner} }}}}\n', defines=defines)

    def _define(
        self, part: EachProperty, inner: Record, kind: Literal["struct", "json"]
    ) -> tuple[str, tuple[GoDefine, ...]]:
        """Return the name of the define of a loop, and what else it calls where it is written now."""
        key = (inner, replace(part, path=(), record=None, in_order=part.in_order and kind == "struct"), kind)
        if key in self._names:
            return self._names[key], ()
        number = len(self._names)
        name = self._names[key] = f"properties-{number}" if number else "properties"
        loop = self._loop(part, inner, GoScope(value="$value", kind=kind))
        start = _JSON_START
        if kind == "struct":
            asked = asks(inner, "required")
            start = _STRUCT_START.format(
                method="All" if part.in_order else "ToMap",
                none='{{- $given := "" }}\n' if asked else "",
                some=_GIVEN_OF_PARAMETER if asked else "",
                all="{{- else }}{{- $given = .Required }}\n" if asked else "",
            )
        text = f'{{{{- define "{name}" }}}}\n{start}{loop.statements}{{{{- end }}}}\n'
        self.defines[key] = GoDefine(name=name, text=text)
        return name, loop.defines

    def _loop(self, part: EachProperty, inner: Record, scope: GoScope) -> GoText:
        body = self.steps(inner, scope)
        between = go_print(part.between)
        marks = f"{{{{- if $more }}}}{between}{{{{- end }}}}{{{{- $more = true }}}}\n" if between else ""
        return GoText(
            statements=("{{- $more := false }}\n" if between else "")
            + "{{- range $key, $value := $properties }}\n"
            + f"{marks}{body.statements}{{{{- end }}}}\n",
            defines=body.defines,
        )


_JSON_START = "{{- $properties := .properties }}{{- $given := .required }}\n"
_STRUCT_START = (
    "{{{{- $properties := .Properties }}}}\n{none}"
    '{{{{- if eq (printf "%T" .) "api.ToolProperty" }}}}\n'
    "{{{{- $properties = .Properties.{method} }}}}\n{some}{all}{{{{- end }}}}\n"
)
_GIVEN_OF_PARAMETER = (  # `required` is the last key of a parameter, where an Ollama knows it
    "{{- $json := json . }}\n"
    '{{- if eq (slice $json (len (slice $json 2))) "]}" }}{{- $given = .Required }}{{- end }}\n'
)


def _label(record: Record, number: int) -> str:
    """Name a step by its part, and by its number where the part is printed more than once."""
    if number < 0:
        return ""
    parts = [step.part for step in record.steps]
    name = _name(parts[number])
    return f"{name} {number}" if [_name(part) for part in parts].count(name) > 1 else name


def _name(part: Part) -> str:
    return "name" if part.path == (KEY,) else " ".join(part.path).removeprefix("function ")


def _where(present: Table, text: GoText, scope: GoScope) -> GoText:
    outcomes = {outcome for _, outcome in present.rows}
    if outcomes == {True}:
        return text
    condition = go_condition(present, True, scope)
    return GoText(
        statements=f"{{{{- if {condition} }}}}\n{text.statements}{{{{- end }}}}\n", defines=text.defines
    )


def _between(tables: Sequence[tuple[int, Table]], record: Record, scope: GoScope) -> str:
    if len(tables) == 1:
        return _text(tables[0][1], scope)
    texts: dict[str, list[str]] = {}
    for number, table in tables:
        texts.setdefault(_text(table, scope), []).append(go_quote(_label(record, number)))
    if len(texts) == 1:
        return next(iter(texts))
    *others, usual = sorted(texts, key=lambda text: len(texts[text]))
    statements = ""
    for text in others:
        opening = "else if" if statements else "if"
        statements += f"{{{{- {opening} eq {scope.last} {' '.join(texts[text])} }}}}\n{text}"
    return f"{statements}{{{{- else }}}}\n{usual}{{{{- end }}}}\n"


def _text(table: Table, scope: GoScope) -> str:
    """Return the statements that print what a decision says."""
    counts: dict[str, int] = {}
    for _, outcome in table.rows:
        counts[str(outcome)] = counts.get(str(outcome), 0) + 1
    for values, outcome in table.rows:
        counts[str(outcome)] += len(table.rows) * (OTHER in values)
    *others, usual = sorted(counts, key=lambda outcome: counts[outcome])
    statements = ""
    for outcome in others:
        opening = "else if" if statements else "if"
        statements += f"{{{{- {opening} {go_condition(table, outcome, scope)} }}}}{go_print(outcome)}\n"
    if not statements:
        return f"{go_print(usual)}\n" if usual else ""
    return f"{statements}{{{{- else }}}}{go_print(usual)}\n{{{{- end }}}}\n"


def _items(part: EachItem, scope: GoScope) -> GoText:
    between = f"{{{{- if $place }}}}{go_print(part.between)}{{{{- end }}}}" if part.between else ""
    opening, closing = (go_print(mark) for mark in part.marks)
    item = f"{opening}{{{{- $item }}}}{closing}"
    if part.path[-1] == "enum":
        other = "{{- else }}{{- json $item }}{{- end }}"
        item = f'{{{{- if eq (slice (json $item) 0 1) "\\"" }}}}{item}{other}'
    items = scope.field(part.path)
    return GoText(statements=f"{{{{- range $place, $item := {items} }}}}\n{between}{item}{{{{- end }}}}\n")
