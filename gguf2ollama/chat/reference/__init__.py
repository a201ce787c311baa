"""What a chat template makes of a conversation, as its authors meant it: rendered as transformers does.

Templates come from outside and are programs; they run in a process of their own, sandboxed and within
limits of time, memory and output.

What is named here is loaded when it is first used: that process needs little of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "Branch": "coverage",
    "Coverage": "coverage",
    "Forms": "forms",
    "Limits": "limits",
    "MAX_TEMPLATE_BYTES": "limits",
    "ReferenceTemplate": "template",
    "Renderer": "renderer",
    "Request": "request",
    "chat_templates": "variants",
    "choose_variant": "variants",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the module keeps under that name
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
