"""Decisions of a record as conditions of Go, over Ollama's types.

A tool is a struct, its parameters' properties a map to structs, whose own properties are reached by a method;
``Items`` is whatever JSON was given (api/types.go and template/template.go of Ollama 0.17 to 0.34). The
properties of a parameter came with Ollama 0.13.5, what it requires with 0.20: asking for a field that is not
there is an error, so they are asked for of objects only, and the latter where the JSON shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.features import Table
from gguf2ollama.chat.synthesis.tool_forms.grammar import Path, go_field
from gguf2ollama.chat.synthesis.tool_forms.record import Record
from gguf2ollama.gotmpl.write import go_quote

__all__ = ["LATER", "GoScope", "asks", "go_condition", "go_variables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoScope:
    """Where the values of a record are found in Go.

    Attributes:
        value: The expression of the tool or the parameter.
        kind: A tool, a parameter as Ollama's struct, or as plain JSON: a property of ``Items``.
    """

    value: str
    kind: Literal["tool", "struct", "json"]

    @property
    def last(self) -> str:
        """The variable that tells which part was printed last."""
        return "$printed" if self.kind == "tool" else "$last"

    @property
    def schema(self) -> str:
        """The expression that has the type, the properties and what is required."""
        return f"{self.value}.Function.Parameters" if self.kind == "tool" else self.value

    def field(self, path: Path) -> str:
        """Return the expression of a value, or the variable for one that not every Ollama has."""
        if path[0] == "items" and len(path) > 1:
            return ".".join(["$items", *path[1:]])
        if path[0] == "function":
            return go_field(self.value, path)
        if self.kind == "json":
            return f"{self.value}.{path[0]}"
        if self.kind == "struct" and path[0] in LATER:
            return LATER[path[0]]
        is_above = self.kind == "tool" and path[0] == "description"
        return go_field(f"{self.value}.Function" if is_above else self.schema, path)


LATER = {"properties": "$inner", "required": "$names"}
"""What Ollama's parameters have not always had, and the variable that stands for it."""


def asks(record: Record, feature: str, *, path: Path = ()) -> bool:
    """Return whether a record decides by a feature, or prints the value at a path."""
    return feature in _features(record) or path in {step.part.path for step in record.steps}


def _features(record: Record) -> set[str]:
    tables = [table for step in record.steps for table in (step.present, *(one for _, one in step.before))]
    return {feature for table in (*tables, *(one for _, one in record.after)) for feature in table.features}


def go_condition(table: Table, outcome: str | bool, scope: GoScope) -> str:  # noqa: FBT001  # an outcome
    """Return the condition of Go under which a decision has an outcome."""
    rows = [values for values, found in table.rows if found == outcome]
    if len(table.features) == 1 and all(isinstance(values[0], str) for values in rows):
        words = " ".join(go_quote(str(values[0])) for values in rows)
        return f"eq {_variable(table.features[0])} {words}"
    alternatives = [
        [
            _test(feature, value, scope)
            for feature, value in zip(table.features, values, strict=True)
            if value is not None
        ]
        for values in _merged(rows, [values for values, found in table.rows if found != outcome])
    ]
    if len(alternatives) > 1:
        return f"or {' '.join(_all_of(tests) for tests in alternatives)}"
    condition = _all_of(alternatives[0])
    return condition[1:-1] if condition.startswith("(") else condition


def _merged(
    rows: Sequence[tuple[str | bool, ...]], others: Sequence[tuple[str | bool, ...]]
) -> list[tuple[str | bool | None, ...]]:
    """Leave out of each row, as ``None``, what no other outcome needs to be told apart by."""
    merged: list[tuple[str | bool | None, ...]] = []
    for row in rows:
        short: list[str | bool | None] = [*row]
        for at in range(len(row)):
            tried = [*short[:at], None, *short[at + 1 :]]
            if not any(
                all(one is None or one == value for one, value in zip(tried, other, strict=True))
                for other in others
            ):
                short = tried
        if tuple(short) not in merged:
            merged.append(tuple(short))
    return merged


def _all_of(tests: Sequence[str]) -> str:
    return tests[0] if len(tests) == 1 else f"(and {' '.join(tests)})"


def _variable(feature: str) -> str:
    return {"type": "$type", "item type": "$item", "required": "$required"}[feature]


def _test(feature: str, value: str | bool, scope: GoScope) -> str:  # noqa: FBT001  # a feature's value
    if isinstance(value, str):
        return f"(eq {_variable(feature)} {go_quote(value)})"
    if feature == "required":
        expression = "$required"
    elif feature.startswith("item has "):
        expression = f"(and $items {scope.field(('items', feature.removeprefix('item has ')))})"
    else:
        expression = scope.field((feature.removeprefix("has "),))
    return expression if value else f"(not {expression})"


def go_variables(record: Record, scope: GoScope) -> str:
    """Return the statements that compute what the record asks for and no field tells by itself."""
    asked = _features(record)
    of_items = any(step.part.path[0] == "items" and len(step.part.path) > 1 for step in record.steps)
    statements = ""
    later = [key for key in LATER if scope.kind == "struct" and asks(record, f"has {key}", path=(key,))]
    if "type" in asked or later:
        statements += _type_variable(scope)
    for key in later:
        statements += _later_variable(key, scope)
    if of_items or any(feature.startswith("item ") for feature in asked):
        items = scope.field(("items",))
        statements += (
            "{{- $items := false }}\n"
            f'{{{{- if eq (slice (json {items}) 0 1) "{{" }}}}{{{{ $items = {items} }}}}{{{{ end }}}}\n'
        )
    if "item type" in asked:
        statements += '{{- $item := "" }}\n' + _type_of_json("$item", "$items.type", "and $items $items.type")
    if "required" in asked:
        statements += (
            "{{- $required := false }}\n"
            "{{- if $given }}{{ range $_, $name := $given }}"
            "{{ if eq $name $key }}{{ $required = true }}{{ end }}{{ end }}{{ end }}\n"
        )
    return statements


def _later_variable(key: str, scope: GoScope) -> str:
    """Return what sets a variable to a value, of objects only, or of those that show it in their JSON."""
    value = go_field(scope.value, (key,))
    if key == "properties":
        return (
            f"{{{{- {LATER[key]} := false }}}}\n"
            f'{{{{- if eq $type "object" }}}}{{{{ {LATER[key]} = {value} }}}}{{{{ end }}}}\n'
        )
    return (
        f'{{{{- {LATER[key]} := "" }}}}\n'
        f'{{{{- if eq $type "object" }}}}{{{{ $json := json {scope.value} }}}}\n'
        '{{- if eq (slice $json (len (slice $json 2))) "]}" }}'
        f"{{{{ {LATER[key]} = {value} }}}}{{{{ end }}}}\n"
        "{{- end }}\n"
    )


def _type_variable(scope: GoScope) -> str:
    if scope.kind == "tool":
        return f"{{{{- $type := {scope.schema}.Type }}}}\n"
    if scope.kind == "json":
        return '{{- $type := "" }}\n' + _type_of_json("$type", f"{scope.value}.type", f"{scope.value}.type")
    return (
        '{{- $type := "" }}\n'
        f"{{{{- if eq (len {scope.value}.Type) 1 }}}}{{{{ $type = index {scope.value}.Type 0 }}}}\n"
        f'{{{{- else if {scope.value}.Type }}}}{{{{ $type = "several" }}}}\n{{{{- end }}}}\n'
    )


def _type_of_json(variable: str, expression: str, condition: str) -> str:
    return (
        f"{{{{- if {condition} }}}}\n"
        f'{{{{- if eq (slice (json {expression}) 0 1) "\\"" }}}}{{{{ {variable} = {expression} }}}}'
        f'{{{{ else }}}}{{{{ {variable} = "several" }}}}{{{{ end }}}}\n'
        "{{- end }}\n"
    )
