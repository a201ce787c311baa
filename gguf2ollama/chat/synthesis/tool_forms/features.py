"""What a rule may look at in a tool or in a parameter, and decisions by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["FEATURES", "KEY", "OTHER", "REQUIRED", "Scope", "Table", "Unknown", "learn_table"]

Scope: TypeAlias = Mapping[str, Any]
KEY = "@key"
REQUIRED = "@required"
"""What a scope that is a parameter has besides its schema: its name, and whether it must be given."""

OTHER = "othertype"
"""A type that no schema has: what is printed for it is printed for every type that isn't known."""
_SEVERAL = "several"
_MOST_FEATURES = 3


class Unknown(ValueError):
    """A rule says nothing of such a tool: none like it was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A decision by features: the outcome for each row of their values.

    Without features there is one row, and the outcome is always the same.
    """

    features: tuple[str, ...]
    rows: tuple[tuple[tuple[str | bool, ...], str | bool], ...]

    def decide(self, scope: Scope) -> str | bool:
        """Return the outcome for a scope.

        Raises:
            Unknown: No row is like it.
        """
        asked = tuple(FEATURES[name](scope) for name in self.features)
        rows = dict(self.rows)
        for values in (
            asked,
            tuple(self._other(name, value) for name, value in zip(self.features, asked, strict=True)),
        ):
            if values in rows:
                return rows[values]
        told = ", ".join(f"{name} is {value}" for name, value in zip(self.features, asked, strict=True))
        raise Unknown(f"nothing is known where {told}")

    def _other(self, name: str, value: str | bool) -> str | bool:  # noqa: FBT001  # a feature's value
        """Return the value that stands for all types that no row knows."""
        known = {values[self.features.index(name)] for values, _ in self.rows}
        return value if value in known or name not in {"type", "item type"} else OTHER


def _type_of(schema: Scope) -> str:
    declared = schema.get("type", "")
    return declared if isinstance(declared, str) else _SEVERAL


def _item_type(scope: Scope) -> str:
    items = scope.get("items")
    return _type_of(items) if isinstance(items, Mapping) else ""


def _has(key: str) -> Callable[[Scope], bool]:
    return lambda scope: bool(scope.get(key))


def _item_has(key: str) -> Callable[[Scope], bool]:
    return lambda scope: isinstance(scope.get("items"), Mapping) and bool(scope["items"].get(key))


FEATURES: Mapping[str, Callable[[Scope], str | bool]] = {
    "type": _type_of,
    "item type": _item_type,
    "required": lambda scope: bool(scope.get(REQUIRED)),
    "has description": _has("description"),
    "has enum": _has("enum"),
    "has items": _has("items"),
    "has properties": _has("properties"),
    "has required": _has("required"),
    "has anyOf": _has("anyOf"),
    "has $defs": _has("$defs"),
    "item has description": _item_has("description"),
    "item has enum": _item_has("enum"),
    "item has items": _item_has("items"),
    "item has properties": _item_has("properties"),
    "item has required": _item_has("required"),
}


def _tells_type(row: tuple[tuple[str | bool, ...], str | bool]) -> bool:
    """Return whether a text has the type of a probe in it that no schema has: it holds for nothing else."""
    values, outcome = row
    return OTHER in values and isinstance(outcome, str) and OTHER in outcome.lower()


def learn_table(samples: Sequence[tuple[Scope, str | bool]]) -> Table | None:
    """Find the fewest features that tell the outcomes of all samples apart; ``None`` where none do."""
    for count in range(_MOST_FEATURES + 1):
        for names in itertools.combinations(FEATURES, count):
            rows: dict[tuple[str | bool, ...], str | bool] = {}
            if all(
                rows.setdefault(tuple(FEATURES[name](scope) for name in names), outcome) == outcome
                for scope, outcome in samples
            ):
                return Table(features=names, rows=tuple(row for row in rows.items() if not _tells_type(row)))
    return None
