"""What Ollama does to chats by the family or the name of a model, whatever renders them.

- ``/api/chat`` runs the thinking parser over the answers before the last question where the config says
  family ``qwen3``, or the model part of the name is ``deepseek-r1``. No other family counts (``qwen3moe`` and
  ``qwen35`` don't), and letters keep their case. Nothing asks whether the model thinks, so an answer of white
  space alone arrives empty.
- A model of family ``gpt-oss`` thinks, whatever its templates show; and where its TEMPLATE holds the marks of
  the harmony format, that renders, and Ollama's harmony parser reads the answers.

Sources: ``filterThinkTags`` in ``server/routes.go`` of Ollama 0.6.6 (which has none), 0.6.7 to 0.8.0 (a
regular expression) and 0.9.0 to 0.34.4 (``thinking/parser.go``); ``Capabilities`` in ``server/images.go`` and
``shouldUseHarmony`` in ``server/routes.go`` of 0.11.0 (which has none), 0.11.2 (``gptoss`` alone) and 0.11.8
to 0.34.4. All that Ollama does so stands in ``docs/ollama-special-cases.md``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.gotmpl.unicode import SPACE
from gguf2ollama.gotmpl.versions import is_since

__all__ = ["filter_think_tags", "thinks_by_family", "uses_harmony"]

_FILTERED_FAMILY, _FILTERED_MODEL = "qwen3", "deepseek-r1"
_HARMONY_FAMILIES = {"gptoss": "0.11.2", "gpt-oss": "0.11.8"}  # and since when
_HARMONY_MARKS = ("<|start|>", "<|end|>")
_OPENING, _CLOSING = "<think>", "</think>"
_THOUGHT = lazy_pattern(f"{_OPENING}.*?{_CLOSING}\n*", re.DOTALL)


def filter_think_tags(
    conversation: Conversation, *, family: str, model_name: str, version: str
) -> Conversation:
    """Return a conversation as Ollama hands it on, with the thoughts cut out of earlier answers or as it is.

    Args:
        conversation: What a client asks, with the model's own messages before it.
        family: ``model_family`` of the config, which is ``general.architecture``.
        model_name: The model part of the name, such as ``deepseek-r1``; ``""`` where none is known.
        version: The version of Ollama.

    Raises:
        UsageProblem: It is no version.
    """
    if family != _FILTERED_FAMILY and model_name != _FILTERED_MODEL:
        return conversation
    if not is_since(version, "0.6.7"):
        return conversation
    cut = _after_thought if is_since(version, "0.9.0") else _without_thoughts
    messages = conversation.messages
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    return replace(
        conversation,
        messages=tuple(
            replace(message, content=cut(message.content))
            if message.role == "assistant" and at < last
            else message
            for at, message in enumerate(messages)
        ),
    )


def _after_thought(content: str) -> str:
    """Return what the thinking parser takes for the answer, given the whole content at once.

    What may still become the opening tag it holds back, and here nothing follows.
    """
    trimmed = content.lstrip(SPACE)
    if _OPENING.startswith(trimmed):
        return ""
    if not trimmed.startswith(_OPENING):
        return content
    return trimmed.removeprefix(_OPENING).partition(_CLOSING)[2].lstrip(SPACE)


def _without_thoughts(content: str) -> str:
    return _THOUGHT.sub("", content)


def thinks_by_family(family: str, *, version: str) -> bool:
    """Return whether Ollama takes every model of a family to be able to think.

    Raises:
        UsageProblem: It is no version.
    """
    return family in _HARMONY_FAMILIES and is_since(version, _HARMONY_FAMILIES[family])


def uses_harmony(family: str, go_template: str, *, version: str) -> bool:
    """Return whether Ollama reads the answers of a model with a TEMPLATE by its harmony parser.

    Then the TEMPLATE renders, too, whatever the chat template of the GGUF shows.

    Raises:
        UsageProblem: It is no version.
    """
    marked = all(mark in go_template for mark in _HARMONY_MARKS)  # in a comment, too
    return marked and thinks_by_family(family, version=version)
