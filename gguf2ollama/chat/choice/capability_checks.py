"""Find out whether what a model is said to be able to do has any effect on its prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gguf2ollama.chat.choice.candidate import Candidate, IgnoredThinking
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import Prediction
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Request
from gguf2ollama.chat.reference_prompt import AuthorsTemplate

__all__ = ["hides_tools", "ignored_thinking"]

_USER = Message(role="user", content="Where?")
_CHATS = ((_USER,), (Message(role="system", content="Find it."), _USER))
_NAME = "find_place"
_SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "description": "Its name"}}}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": _NAME, "description": "Find a place", "parameters": _SCHEMA},
}


def ignored_thinking(
    candidate: Candidate, render: Callable[[Conversation], Prediction], *, authors: AuthorsTemplate
) -> tuple[IgnoredThinking, ...]:
    """Return what a client may say of thinking without effect on the prompt, of a model that thinks.

    Levels that the authors' template does not know are not among it.

    Args:
        candidate: What renders.
        render: Predicts its prompts.
        authors: The authors' template.

    Raises:
        InvalidInput: The template broke a limit.
    """
    if "thinking" not in candidate.capabilities:
        return ()
    asked = [Conversation(name="think", messages=(_USER,))]
    if "tools" in candidate.capabilities:  # which another chat template in the GGUF may render
        asked.append(replace(asked[0], tools=(_TOOL,)))
    on, off, low, high = (
        [replace(chat, think=think) for chat in asked] for think in (True, False, "low", "high")
    )
    ignored: list[IgnoredThinking] = []
    if list(map(render, on)) == list(map(render, off)):
        ignored.append("off")
    requests = [Request(conversation=chat) for chat in (*low, *high)]
    meant = authors.render(requests)
    if meant[: len(low)] != meant[len(low) :] and list(map(render, low)) == list(map(render, high)):
        ignored.append("levels")
    return tuple(ignored)


def hides_tools(candidate: Candidate, render: Callable[[Conversation], Prediction]) -> bool:
    """Return whether the server takes tools for a model, and no prompt names them."""
    if "tools" not in candidate.capabilities:
        return False
    chats = [Conversation(name="tools", messages=messages, tools=(_TOOL,)) for messages in _CHATS]
    prompts = [outcome.prompt for outcome in map(render, chats) if isinstance(outcome, Rendered)]
    return bool(prompts) and not any(_NAME in prompt for prompt in prompts)
