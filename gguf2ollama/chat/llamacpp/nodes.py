"""The parts of a chat template, as llama.cpp's own Jinja engine understands them."""

from __future__ import annotations

from typing import TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = [
    "ArrayLiteral",
    "Binary",
    "Call",
    "CallBlock",
    "Conditional",
    "Expression",
    "Filter",
    "FilterBlock",
    "For",
    "If",
    "Jump",
    "KeywordArgument",
    "Literal",
    "Macro",
    "Member",
    "Name",
    "Not",
    "Nothing",
    "ObjectLiteral",
    "Select",
    "Set",
    "Slice",
    "Spread",
    "Statement",
    "Test",
    "TupleLiteral",
]


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A string, a number, or the text between blocks."""

    value: str | int | float


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ArrayLiteral:
    """``[a, b]``."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TupleLiteral:
    """``a, b``."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectLiteral:
    """``{a: b}``."""

    items: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """Two operands and an operator, ``and``, ``or`` and ``not in`` among them."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Not:
    """``not a``."""

    operand: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Conditional:
    """``a if test else b``."""

    test: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Select:
    """``a if test`` without ``else``; in a loop, what it runs over and the test of each item."""

    operand: Expression
    test: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """``a | name(arguments)``; ``arguments`` is ``None`` without parentheses, ``name`` where none is told."""

    operand: Expression | None
    name: str | None
    arguments: tuple[Expression, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """``a is name(arguments)``."""

    operand: Expression
    negated: bool
    name: str | None
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """``start:stop:step`` in brackets."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """``a.b``, or ``a[b]`` where it is computed."""

    operand: Expression
    member: Expression | Slice
    computed: bool


@dataclass(frozen=True, slots=True, eq=False)
class KeywordArgument:
    """``key=value`` in a call, or a parameter with its default."""

    key: str
    value: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """``*a`` in a call, which llama.cpp parses and cannot run."""

    operand: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """``a(arguments)``."""

    callee: Expression
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, eq=False)
class If:
    """An ``if``, with an ``elif`` as an ``If`` of its own in ``otherwise``."""

    test: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class For:
    """A loop; ``otherwise`` is its ``else``."""

    target: Expression
    iterable: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Set:
    """``set a = b``, or a block whose text is the value."""

    target: Expression
    value: Expression | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Macro:
    """A macro; parameters are names and keyword arguments."""

    name: Expression
    parameters: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CallBlock:
    """A ``call`` block, whose body the macro calls as ``caller``."""

    call: Call
    parameters: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FilterBlock:
    """A ``filter`` block."""

    filter: Filter
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Jump:
    """``break``, or else ``continue``."""

    ends: bool


@dataclass(frozen=True, slots=True, eq=False)
class Nothing:
    """What prints nothing: a comment, a ``generation`` tag."""


Expression: TypeAlias = (
    "Literal | Name | ArrayLiteral | TupleLiteral | ObjectLiteral | Binary | Not | Conditional | Select"
    " | Filter | Test | Member | KeywordArgument | Spread | Call | Nothing"
)
Statement: TypeAlias = "Expression | If | For | Set | Macro | CallBlock | FilterBlock | Jump"
