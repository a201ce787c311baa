"""What a tools block is made of, printed in Python and written as Go.

A block is a row of nodes over a scope: the list of tools at the top, one tool inside :class:`EachTool`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.go_record import go_record
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoText
from gguf2ollama.chat.synthesis.tool_forms.grammar import Print, Text, at, go_print_of, joined
from gguf2ollama.chat.synthesis.tool_forms.record import Record, tool_scope
from gguf2ollama.gotmpl.write import go_print

__all__ = ["EachTool", "Node", "go_nodes", "print_nodes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EachTool:
    """The tools one by one, with a text between every two."""

    body: tuple[Node, ...]
    between: str


Node: TypeAlias = Text | Print | EachTool | Record


def print_nodes(nodes: Iterable[Node], scope: Any) -> str:  # noqa: ANN401  # a value of JSON
    """Print nodes over a scope.

    Raises:
        Unknown: The rules of a record say nothing of such a tool.
    """
    return "".join(_print(node, scope) for node in nodes)


def _print(node: Node, scope: Any) -> str:  # noqa: ANN401  # a value of JSON
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Print):
        value = at(scope, node.path)
        return node.style.print("" if value is None and node.path[-1:] == ("description",) else value)
    if isinstance(node, Record):
        return node.print(tool_scope(scope))
    return node.between.join(print_nodes(node.body, tool) for tool in scope)


def go_nodes(nodes: Iterable[Node], expression: str) -> GoText:
    """Return the Go text that prints nodes over the value of an expression."""
    return joined([_go(node, expression) for node in nodes])


def _go(node: Node, expression: str) -> GoText:
    if isinstance(node, (Text, Print)):
        return go_print_of(node, expression)
    if isinstance(node, Record):
        return go_record(node, expression)
    body = go_nodes(node.body, "$tool")
    between = f"{{{{- if $number }}}}{go_print(node.between)}{{{{ end }}}}\n" if node.between else ""
    names = "$number, $tool" if between else "$_, $tool"
    return GoText(
        statements=f"{{{{- range {names} := {expression} }}}}\n{between}{body.statements}{{{{- end }}}}\n",
        defines=body.defines,
    )
