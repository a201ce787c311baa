"""The chat templates that a GGUF carries: one, or several with names.

Source: ``GGUFWriter.add_chat_template`` in gguf-py, and ``get_chat_template`` in transformers 5.23,
``tokenization_utils_base.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["DEFAULT", "TOOL_USE", "chat_templates", "choose_variant"]

DEFAULT = "default"
TOOL_USE = "tool_use"
_KEY = "tokenizer.chat_template"
_MAX_VARIANTS = 64


def chat_templates(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the chat templates of a GGUF by their names, ``default`` first; empty texts are left out.

    ``tokenizer.chat_template`` is the default one and ``tokenizer.chat_template.NAME`` another. The list of
    names, ``tokenizer.chat_templates``, tells nothing more, and is not needed.
    """
    found: dict[str, str] = {}
    prefix = f"{_KEY}."
    keys = [_KEY, *(key for key in metadata if key.startswith(prefix) and key != prefix)]
    for key in keys[:_MAX_VARIANTS]:
        text = metadata.get(key)
        name = key.removeprefix(prefix) if key != _KEY else DEFAULT
        if isinstance(text, str) and text.strip():
            found.setdefault(name, text)
    return found


def choose_variant(templates: Mapping[str, str], *, has_tools: bool) -> str | None:
    """Return the name of the template that transformers would take; ``None`` where it would take none.

    With tools that is ``tool_use``, where there is one; otherwise ``default``. A single template is taken
    whatever its name.
    """
    if has_tools and TOOL_USE in templates:
        return TOOL_USE
    if DEFAULT in templates:
        return DEFAULT
    return next(iter(templates)) if len(templates) == 1 else None
