"""Arguments of a call that a chat template takes as a text, and prints as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms import GoText
from gguf2ollama.oci import go_json

__all__ = ["TextArguments"]


@dataclass(frozen=True, slots=True)
class TextArguments:
    """Arguments as JSON in Go's way: as Ollama tells them to a chat template that takes them as a text."""

    def print(self, arguments: Mapping[str, Any]) -> str:
        """Write arguments down."""
        return go_json({key: arguments[key] for key in sorted(arguments)}).decode().removesuffix("\n")

    def go(self, expression: str) -> GoText:
        """Return the Go text that prints the arguments of an expression."""
        return GoText(statements=f"{{{{- json {expression} }}}}\n")
