"""``--system ""``: a model without a system prompt, also where its chat template has one of its own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from gguf2ollama.chat.changes.default_system import silence_default_system
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import read_authors
from gguf2ollama.ggufio import GgufFile, HeaderPatch, chat_template_patch
from gguf2ollama.ggufio.patching import ORIGINAL_CHAT_TEMPLATE, UNCHANGED
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target

__all__ = ["without_default_system"]


def without_default_system(
    settings: ModelSettings,
    *,
    gguf: GgufFile,
    metadata: Mapping[str, Any],
    target: Target,
    renderer: Renderer | None = None,
) -> tuple[ModelSettings, HeaderPatch]:
    """Return the settings, and what is changed in the header, of a model that is to have no system prompt.

    Args:
        settings: What the user requests; its system prompt is ``""``.
        gguf: The header as it is.
        metadata: The metadata as it will be.
        target: The Ollama that will run the model.
        renderer: Renders the chat template; one for this call when not given.

    Raises:
        InvalidInput: The chat template is invalid, or exceeds its limits.
    """
    authors = read_authors(metadata)
    if authors is None or settings.given_template is not None:
        return settings, UNCHANGED
    with Renderer() if renderer is None else contextlib.nullcontext(renderer) as running:
        default = silence_default_system(authors, running)
    if default is None:
        return settings, UNCHANGED
    if default.system:
        return dataclasses.replace(settings, system=default.system), UNCHANGED
    if not default.chat_template or not target.header_is_editable:
        return dataclasses.replace(settings, default_system=default.text), UNCHANGED
    changes = dict(chat_template_patch(gguf, default.chat_template, keep_variants=True).changes)
    if ORIGINAL_CHAT_TEMPLATE in metadata:
        changes[ORIGINAL_CHAT_TEMPLATE] = None
    changed = dataclasses.replace(
        settings, chat_template=default.chat_template, chat_template_reason='changed for --system ""'
    )
    return changed, HeaderPatch(changes=changes)
