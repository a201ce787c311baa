"""Chat templates as text: their syntax, facts found without running them, edits, and an environment. Pure.

``environment`` runs templates, in the worker process of ``chat/reference/`` only, and is not exported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.jinja.edit import Insertion, Operand, Piece, operand_before, rewritten, unused_name
    from gguf2ollama.jinja.facts import (
        ChatTemplate,
        find_syntax_error,
        normalize_mark,
        read_chat_template,
        shows_media,
        shows_thinking,
        shows_tools,
    )
    from gguf2ollama.jinja.safety import SafetyFinding, TemplateSafety, check_safety

__all__ = [
    "ChatTemplate",
    "Insertion",
    "Operand",
    "Piece",
    "SafetyFinding",
    "TemplateSafety",
    "check_safety",
    "find_syntax_error",
    "normalize_mark",
    "operand_before",
    "read_chat_template",
    "rewritten",
    "shows_media",
    "shows_thinking",
    "shows_tools",
    "unused_name",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "edit": ("Insertion", "Operand", "Piece", "operand_before", "rewritten", "unused_name"),
        "facts": (
            "ChatTemplate",
            "find_syntax_error",
            "normalize_mark",
            "read_chat_template",
            "shows_media",
            "shows_thinking",
            "shows_tools",
        ),
        "safety": ("SafetyFinding", "TemplateSafety", "check_safety"),
    },
)
