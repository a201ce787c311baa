"""From any chat template to a Go TEMPLATE for Ollama, by probing.

The template is asked crafted chats whose texts are sentinels; what it prints is cut at them, and the texts
between are explained by facts that a Go template can tell too. What follows no rule is a reason, never a
guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.chat.synthesis.rules import Rules
    from gguf2ollama.chat.synthesis.synthesis import Lack, NotSynthesised, Synthesis, synthesise

__all__ = ["Lack", "NotSynthesised", "Rules", "Synthesis", "synthesise"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "rules": ("Rules",),
        "synthesis": ("Lack", "NotSynthesised", "Synthesis", "synthesise"),
    },
)
