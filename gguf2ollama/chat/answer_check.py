"""Find out whether Ollama reads the calls that a model writes, where a TEMPLATE renders its chats."""

from __future__ import annotations

from collections.abc import Iterable

from gguf2ollama.chat.answers import Answer
from gguf2ollama.gotmpl.tool_calls import read_calls

__all__ = ["are_calls_read"]


def are_calls_read(answers: Iterable[Answer], *, tag: str) -> bool:
    """Tell whether every call in the answers that a model writes is read, with its arguments.

    Args:
        answers: The answers; those without calls do not matter.
        tag: What the server takes for the opening of a call (``gotmpl.read(…).tool_tag``); ``""`` for
            whatever it may be.
    """
    written = [answer for answer in answers if answer.calls]
    return bool(written) and all(
        read_calls(answer.text, tag=tag, names=[call.name for call in answer.calls])[: len(answer.calls)]
        == [(call.name, dict(call.arguments)) for call in answer.calls]
        for answer in written
    )
