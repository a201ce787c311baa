"""What a chat template makes of a conversation, as its authors meant it: rendered as transformers does.

Templates come from outside and are programs; they run in a process of their own, sandboxed and within
limits of time, memory and output.

What is named here is loaded when it is first used: that process needs little of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.chat.reference.coverage import Branch, Coverage
    from gguf2ollama.chat.reference.forms import Forms
    from gguf2ollama.chat.reference.limits import MAX_TEMPLATE_BYTES, Limits
    from gguf2ollama.chat.reference.renderer import Renderer
    from gguf2ollama.chat.reference.request import Request
    from gguf2ollama.chat.reference.template import ReferenceTemplate
    from gguf2ollama.chat.reference.variants import chat_templates, choose_variant

__all__ = [
    "MAX_TEMPLATE_BYTES",
    "Branch",
    "Coverage",
    "Forms",
    "Limits",
    "ReferenceTemplate",
    "Renderer",
    "Request",
    "chat_templates",
    "choose_variant",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "coverage": ("Branch", "Coverage"),
        "forms": ("Forms",),
        "limits": ("MAX_TEMPLATE_BYTES", "Limits"),
        "renderer": ("Renderer",),
        "request": ("Request",),
        "template": ("ReferenceTemplate",),
        "variants": ("chat_templates", "choose_variant"),
    },
)
