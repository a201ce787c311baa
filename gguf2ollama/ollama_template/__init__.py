"""Ollama's use of Go templates: its API types, JSON, execution, precedence and versions. Pure."""

from __future__ import annotations

from gguf2ollama.ollama_template.downgrade import Fitted, fit
from gguf2ollama.ollama_template.execute import execute, render
from gguf2ollama.ollama_template.introspect import Reading, read
from gguf2ollama.ollama_template.template_precedence import Verdict, honours

__all__ = ["Fitted", "Reading", "Verdict", "execute", "fit", "honours", "read", "render"]
