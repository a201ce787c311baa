"""Predict what of a model's answers the server that has it will not parse, from its chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf2ollama.chat.answers.model_output import answers_of
from gguf2ollama.chat.answers.output_checks import misread_natively, misses_calls_natively
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, Claims
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import ServerVersion
from gguf2ollama.planning.recipe_warnings import MISREAD, MISSED_CALLS

__all__ = ["answer_warnings"]


def answer_warnings(
    name: ModelName,
    *,
    metadata: Mapping[str, Any],
    authors: Authors,
    template: AuthorsTemplate,
    claims: Claims,
    version: ServerVersion,
) -> tuple[str, ...]:
    """Return what of answers a server will not parse that renders with the chat template, a sentence each.

    Args:
        name: The model.
        metadata: That of its GGUF.
        authors: Its chat template.
        template: The same, compiled.
        claims: What it supports.
        version: The server's version.

    Raises:
        InvalidInput: The chat template broke a limit.
    """
    rules = version.rules
    native = read_native(
        authors.chat_template,
        version=rules,
        bos=authors.bos,
        eos=authors.eos,
        adds_bos=authors.adds_bos,
        family=str(metadata.get("general.architecture", "")),
        model_name=name.model,
        tool_use=authors.tool_use,
    )
    answers, thinks = answers_of(template), "thinking" in native.capabilities
    found = [MISREAD[kind] for kind in misread_natively(native, answers, thinks=thinks, version=rules)]
    if "tools" in native.capabilities and claims.tools:
        readers = native.answer_readers()
        if misses_calls_natively(readers, answers, thinks=thinks, version=rules):
            found.append(MISSED_CALLS)
    return tuple(found)
