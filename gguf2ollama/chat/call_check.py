"""Find out whether Ollama reads the calls that a model writes, where a TEMPLATE renders its chats."""

from __future__ import annotations

from gguf2ollama.chat.answers import answers_of
from gguf2ollama.chat.authors import AuthorsTemplate
from gguf2ollama.chat.reference import ReferenceTemplate
from gguf2ollama.gotmpl.tool_calls import read_calls

__all__ = ["are_calls_read"]


def are_calls_read(template: AuthorsTemplate | ReferenceTemplate, *, tag: str) -> bool:
    """Tell whether every call that the authors' template shows is read, with its arguments.

    Args:
        template: The authors' template.
        tag: What the server takes for the opening of a call (``gotmpl.read(…).tool_tag``); ``""`` for
            whatever it may be.

    Raises:
        InvalidInput: The template broke a limit.
    """
    written = [answer for answer in answers_of(template) if answer.calls]
    return bool(written) and all(
        read_calls(answer.text, tag=tag, names=[call.name for call in answer.calls])[: len(answer.calls)]
        == [(call.name, dict(call.arguments)) for call in answer.calls]
        for answer in written
    )
