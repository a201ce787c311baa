"""What is asked of a chat template: a conversation, told as ``apply_chat_template`` would tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Think
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered

__all__ = ["CONTINUED", "Request", "cut_at_continuation", "thinking_variables"]

CONTINUED = "CONTINUE_FINAL_MESSAGE_TAG "
"""What transformers puts after a message that is to be continued, to find its end in the prompt."""

_SWITCHES = ("enable_thinking", "thinking")
_LEVELS = ("reasoning_effort", "reasoning_strength")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A conversation to render.

    Attributes:
        conversation: Who said what.
        add_generation_prompt: Whether the model is to speak next: the prompt ends with the header of its
            turn or, where the last message is its own and calls nothing, within that message, to be
            continued. Without it, the chat is rendered as it stands.
        variables: More for the template, or other than what it would be given.
    """

    conversation: Conversation
    add_generation_prompt: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_continued(self) -> bool:
        """Whether the last message is left open."""
        messages = self.conversation.messages
        is_own = bool(messages) and messages[-1].role == "assistant" and not messages[-1].calls
        return self.add_generation_prompt and is_own


def thinking_variables(think: Think, *, known: frozenset[str]) -> dict[str, Any]:
    """Return the variables by which a template is told whether and how hard the model shall think.

    Args:
        think: What is asked for; ``None`` leaves every variable undefined.
        known: The variables that the template names.
    """
    if think is None:
        return {}
    told: dict[str, Any] = {}
    switch = next((name for name in _SWITCHES if name in known), None)
    if switch is not None:
        told[switch] = think is not False
    if isinstance(think, str):
        told |= dict.fromkeys(known.intersection(_LEVELS), think)
    return told


def mark_continuation(messages: list[dict[str, Any]]) -> None:
    """Put the mark after the last message's text."""
    last = messages[-1]
    if isinstance(last["content"], str):
        last["content"] += CONTINUED
    else:
        last["content"][-1]["text"] += CONTINUED


def cut_at_continuation(outcome: Outcome, *, content: str) -> Outcome:
    """Cut a prompt where the last message, whose text was ``content``, ends.

    Source: ``render_jinja_template`` in transformers 5.23, ``utils/chat_template_utils.py``.
    """
    if isinstance(outcome, Refused):
        return outcome
    prompt = outcome.prompt
    mark = CONTINUED.strip()
    if content.strip() not in prompt or mark not in prompt:
        return Refused(
            "the template does not print the last message unchanged, so it cannot be continued", "failed"
        )
    end = prompt.rindex(mark)
    return Rendered(prompt[:end] if prompt.startswith(CONTINUED, end) else prompt[:end].rstrip())
