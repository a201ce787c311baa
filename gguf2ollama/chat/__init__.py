"""Chat templates: what a conversation becomes, as the authors meant it and as an Ollama renders it."""

from __future__ import annotations
