"""A form of a tool or a parameter that is written field by field, in the template's own way.

A record is a row of steps. Each prints one part, where a decision says so, and before it the text that stands
between the part printed last and this one: by decision too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.features import KEY, REQUIRED, Scope, Table, Unknown
from gguf2ollama.chat.synthesis.tool_forms.grammar import Path, Print, at

__all__ = [
    "EachItem",
    "EachProperty",
    "Part",
    "Record",
    "Step",
    "print_part",
    "property_scopes",
    "tool_scope",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EachItem:
    """The items of a list, with a text between every two.

    A text is printed as it is, between ``marks``; anything else as JSON.
    """

    path: Path
    between: str
    marks: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EachProperty:
    """The parameters of a tool, or the properties of a parameter or of its items, one by one.

    Attributes:
        path: The keys that lead to the properties.
        record: What one becomes; ``None`` inside the record that it belongs to: the same rules again.
        between: The text between.
        in_order: Whether a parameter's own properties stand in the order of the schema, or in alphabetical
            order as those of a tool and of items always do on Go's side.
    """

    path: Path = ("properties",)
    record: Record | None = None
    between: str
    in_order: bool = False


Part: TypeAlias = Print | EachItem | EachProperty


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of a record.

    Attributes:
        part: What is printed.
        present: Whether it is.
        before: For each earlier step that may have printed last (-1 for none), the text between.
    """

    part: Part
    present: Table
    before: tuple[tuple[int, Table], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The steps, and the texts after the last part by which step that was."""

    steps: tuple[Step, ...]
    after: tuple[tuple[int, Table], ...]

    def print(self, scope: Scope, *, properties: str | None = None) -> str:
        """Write a scope down, with another text in place of all its properties where one is given.

        Raises:
            Unknown: The rules say nothing of such a scope.
        """
        printed: list[str] = []
        last = -1
        for number, step in enumerate(self.steps):
            if step.present.decide(scope):
                is_given = properties is not None and isinstance(step.part, EachProperty)
                part = properties if is_given else print_part(step.part, scope, self)
                printed += _decided(step.before, last, scope), part or ""
                last = number
        return "".join([*printed, _decided(self.after, last, scope)])

    def loops(self) -> tuple[EachProperty, ...]:
        """Return the loops over properties, in the order in which they are printed."""
        return tuple(step.part for step in self.steps if isinstance(step.part, EachProperty))

    def with_loops(self, loops: Iterable[EachProperty]) -> Record:
        """Return the same record with other loops over properties, in the same order."""
        others = iter(loops)
        steps = (
            replace(step, part=next(others)) if isinstance(step.part, EachProperty) else step
            for step in self.steps
        )
        return replace(self, steps=tuple(steps))


def _decided(tables: Sequence[tuple[int, Table]], last: int, scope: Scope) -> str:
    for number, table in tables:
        if number == last:
            return str(table.decide(scope))
    raise Unknown("these parts were never seen in a row")


def print_part(part: Part, scope: Scope, record: Record | None) -> str:
    """Print a part of a scope; ``record`` is what it stands in."""
    if isinstance(part, EachProperty):
        inner = part.record or record
        if inner is None:
            raise Unknown("properties within properties")
        return part.between.join(inner.print(one) for one in property_scopes(scope, part))
    value = at(scope, part.path)
    if value is None:
        raise Unknown(f"{'.'.join(part.path)} is missing")
    if isinstance(part, EachItem):
        if isinstance(value, str):
            raise TypeError("a string is not a list")
        return part.between.join(
            one.join(part.marks) if isinstance(one, str) else json.dumps(one) for one in value
        )
    return part.style.print(value)


def property_scopes(scope: Scope, loop: EachProperty) -> list[Scope]:
    """Return the scopes of the properties that a loop goes through."""
    schema = at(scope, loop.path[:-1]) or {}
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    names = list(properties) if loop.in_order else sorted(properties)
    return [{KEY: name, REQUIRED: name in required, **properties[name]} for name in names]


def tool_scope(tool: Mapping[str, Any]) -> Scope:
    """Return the scope of a tool: itself, with its description and what its parameters have at hand."""
    function = tool["function"]
    return {**tool, **function["parameters"], "description": function.get("description", "")}
