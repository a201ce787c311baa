"""The smallest pieces of a form: texts that never change, and values of a scope, in Python and as Go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoDefine, GoText, go_value
from gguf2ollama.chat.synthesis.tool_forms.styles import Style
from gguf2ollama.gotmpl.write import go_print

__all__ = ["Path", "Print", "Text", "at", "go_field", "go_print_of", "joined"]

Path: TypeAlias = tuple[str, ...]

_GO_NAMES = {"$defs": "Defs", "anyOf": "AnyOf"}


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
