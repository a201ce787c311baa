"""What forms are made of: texts that never change, values of a scope, loops over tools; in Python and as Go.

A block is a row of nodes over a scope: the list of tools at the top, one tool inside :class:`EachTool`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoDefine, GoText, go_value
from gguf2ollama.chat.synthesis.tool_forms.styles import Style
from gguf2ollama.gotmpl.write import go_print

__all__ = [
    "EachTool",
    "Node",
    "Path",
    "Print",
    "Refusal",
    "Text",
    "at",
    "go_nodes",
    "go_print_of",
    "joined",
    "print_nodes",
]

Path: TypeAlias = tuple[str, ...]

_GO_NAMES = {"$defs": "Defs", "anyOf": "AnyOf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no form was found: one sentence."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that is always the same."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """A value of the scope, in a style; ``path`` are the keys that lead to it, none for the whole scope."""

    path: Path
    style: Style


def at(scope: Any, path: Path) -> Any:  # noqa: ANN401  # a value of JSON
    """Return the value at a path, or ``None`` where a key is missing."""
    for key in path:
        scope = scope.get(key) if isinstance(scope, Mapping) else None
    return scope


def go_field(expression: str, path: Path) -> str:
    """Return the expression of Go for a value at a path of a tool: ``$tool.Function.Name``."""
    names = [_GO_NAMES.get(key, key[:1].upper() + key[1:]) for key in path]
    return ".".join([expression, *names])


def joined(pieces: Sequence[GoText]) -> GoText:
    """Put pieces of Go one behind the other, each define once."""
    defines: dict[str, GoDefine] = {define.name: define for piece in pieces for define in piece.defines}
    return GoText(statements="".join(piece.statements for piece in pieces), defines=tuple(defines.values()))


def go_print_of(node: Text | Print, expression: str) -> GoText:
    """Return the Go text that prints a text, or a value of the scope that an expression of Go stands for."""
    if isinstance(node, Text):
        return GoText(statements=f"{go_print(node.text)}\n")
    return go_value(go_field(expression, node.path), node.style)


@dataclass(frozen=True, slots=True, kw_only=True)
class EachTool:
    """The tools one by one, with a text between every two."""

    body: tuple[Node, ...]
    between: str


Node: TypeAlias = Text | Print | EachTool


def print_nodes(nodes: Iterable[Node], scope: Any) -> str:  # noqa: ANN401  # a value of JSON
    """Print nodes over a scope."""
    return "".join(_print(node, scope) for node in nodes)


def _print(node: Node, scope: Any) -> str:  # noqa: ANN401  # a value of JSON
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Print):
        value = at(scope, node.path)
        return node.style.print("" if value is None and node.path[-1:] == ("description",) else value)
    return node.between.join(print_nodes(node.body, tool) for tool in scope)


def go_nodes(nodes: Iterable[Node], expression: str) -> GoText:
    """Return the Go text that prints nodes over the value of an expression."""
    return joined([_go(node, expression) for node in nodes])


def _go(node: Node, expression: str) -> GoText:
    if isinstance(node, (Text, Print)):
        return go_print_of(node, expression)
    body = go_nodes(node.body, "$tool")
    between = f"{{{{- if $number }}}}{go_print(node.between)}{{{{ end }}}}\n" if node.between else ""
    names = "$number, $tool" if between else "$_, $tool"
    return GoText(
        statements=f"{{{{- range {names} := {expression} }}}}\n{between}{body.statements}{{{{- end }}}}\n",
        defines=body.defines,
    )
