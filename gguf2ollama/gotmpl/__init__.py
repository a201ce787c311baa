"""Go's text/template as Ollama uses it."""

from __future__ import annotations
