"""Ollama's use of Go templates: its API types, JSON, execution, precedence and versions. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.ollama_template.downgrade import Adapted, adapt
    from gguf2ollama.ollama_template.execute import render, render_suffix
    from gguf2ollama.ollama_template.introspect import Reading, read
    from gguf2ollama.ollama_template.template_precedence import Verdict, takes_precedence
    from gguf2ollama.ollama_template.tool_parser import read_calls

__all__ = [
    "Adapted",
    "Reading",
    "Verdict",
    "adapt",
    "read",
    "read_calls",
    "render",
    "render_suffix",
    "takes_precedence",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "downgrade": ("Adapted", "adapt"),
        "execute": ("render", "render_suffix"),
        "introspect": ("Reading", "read"),
        "template_precedence": ("Verdict", "takes_precedence"),
        "tool_parser": ("read_calls",),
    },
)
