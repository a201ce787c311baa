"""The syntax tree of a Go template: nodes with their positions, without any behaviour.

The kinds of node are those of Go's ``text/template/parse``, since Ollama reads a model's capabilities from
that tree (:mod:`gguf2ollama.ollama_template.introspect`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = [
    "Action",
    "Body",
    "Boolean",
    "Branch",
    "Break",
    "Chain",
    "Command",
    "Continue",
    "Dot",
    "Expression",
    "Field",
    "Identifier",
    "If",
    "Invocation",
    "Nil",
    "Node",
    "Number",
    "Pipe",
    "Position",
    "Range",
    "String",
    "Template",
    "Text",
    "Variable",
    "With",
]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a template: line and column, both from 1, in characters.

    It is the one that Go reports: for ``.A.B`` that of the second dot.
    """

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot(_Placed):
    """The cursor, ``.``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nil(_Placed):
    """The constant ``nil``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean(_Placed):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(_Placed):
    """A number or a character; ``source`` is how it was written."""

    value: int | float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class String(_Placed):
    """A string; the value is bytes, as strings are in Go."""

    value: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(_Placed):
    """``.A.B``: fields of the cursor."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable(_Placed):
    """``$x`` or ``$x.A``; the first name is the variable's, with its ``$``."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier(_Placed):
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(_Placed):
    """``(pipeline).A.B`` or ``function.A``: fields of the value of an expression."""

    node: Expression
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(_Placed):
    """One command of a pipeline: its operands, the first of which may be a function."""

    args: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe(_Placed):
    """A pipeline: ``$a, $b := command | command``.

    Attributes:
        declared: The variables on its left-hand side.
        assigns: Whether they are set (``=``) rather than declared (``:=``).
        commands: At least one; each gets the value of the previous one as its last argument.
    """

    declared: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(_Placed):
    """Text outside actions, without the whitespace that trim markers remove."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(_Placed):
    """An action that prints the value of its pipeline, unless the pipeline declares."""

    pipe: Pipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation(_Placed):
    """``{{ template "name" pipeline }}``, or a ``block``, whose body is a template of that name."""

    name: bytes
    pipe: Pipe | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Break(_Placed):
    """``{{ break }}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue(_Placed):
    """``{{ continue }}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body(_Placed):
    """A list of nodes: a whole template, or the inside of a block."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(_Placed):
    """The base of ``if``, ``with`` and ``range``; ``{{ else if }}`` is an ``If`` in ``otherwise``."""

    pipe: Pipe
    body: Body
    otherwise: Body | None


@dataclass(frozen=True, slots=True, kw_only=True)
class If(Branch):
    """``{{ if pipeline }}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class With(Branch):
    """``{{ with pipeline }}``: the body sees the pipeline's value as its cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(Branch):
    """``{{ range pipeline }}``."""


Expression: TypeAlias = Dot | Nil | Boolean | Number | String | Field | Variable | Identifier | Chain | Pipe
Node: TypeAlias = Text | Action | Invocation | Break | Continue | If | With | Range


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """A parsed template.

    Attributes:
        text: Its source.
        bodies: The templates that it defines, by name; the main one is ``b""``.
    """

    text: str
    bodies: Mapping[bytes, Body]

    @property
    def root(self) -> Body:
        """The main template."""
        return self.bodies[b""]
