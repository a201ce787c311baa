"""The renderers and parsers that are built into Ollama (``model/renderers``, ``model/parsers`` of 0.34.4)."""

from __future__ import annotations

__all__ = ["PARSERS", "RENDERERS"]

_BOTH = frozenset(
    {
        *("cogito", "cohere", "functiongemma", "gemma4", "glimmer", "glm-4.7", "glm-ocr", "laguna", "lfm2"),
        *("lfm2-thinking", "nemotron-3-nano", "nemotron-3.5-nano", "olmo3", "olmo3-think", "ornith"),
        *("poolside-v1", "qwen3-coder", "qwen3-vl-instruct", "qwen3-vl-thinking", "qwen3.5"),
    }
)
PARSERS = _BOTH | {
    *("deepseek3", "gemma4-no-thinking", "harmony", "ministral", "passthrough", "qwen3", "qwen3-thinking")
}
RENDERERS = _BOTH | {
    *("deepseek3.1", "gemma4-large", "gemma4-small", "olmo3-32b-think", "olmo3.1", "qwen3.8")
}
