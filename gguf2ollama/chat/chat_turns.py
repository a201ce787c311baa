"""The texts around the contents of a chat in which question and answer alternate, learnt by rendering one."""

from __future__ import annotations

import re
from collections.abc import Callable

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import Prediction
from gguf2ollama.chat.outcome import Rendered

__all__ = ["ChatTurns", "learn_chat_turns", "rendered_prompt"]

_CAP_CHARACTERS = 32 << 10  # of 102 real chat templates the longest writes 6 kB around three messages


def rendered_prompt(
    render: Callable[[Conversation], Prediction], messages: tuple[Message, ...], *, think: bool | None
) -> str:
    """Return a prompt; ``""`` where it is refused or cannot be predicted."""
    outcome = render(Conversation(name="companion", messages=messages, think=think))
    return outcome.prompt if isinstance(outcome, Rendered) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurns:
    """The texts around the contents of a chat in which question and answer alternate.

    Attributes:
        start: Before the first question where there is no system message.
        system, question: Before the system message, and between it and the first question.
        answer: Between a question and its answer.
        next: Between an answer and the next question.
        opening: Behind the last question.
    """

    start: str
    system: str
    question: str
    answer: str
    next: str
    opening: str


_NAMED_TURNS = ChatTurns(
    start="User: ",
    system="",
    question="\n\nUser: ",
    answer="\n\nAssistant: ",
    next="\n\nUser: ",
    opening="\n\nAssistant:",
)
_SYSTEM, _ASKED, _ANSWERED, _ASKED_NEXT = "System8120", "Question8121", "Answer8122", "Question8123"


def learn_chat_turns(render: Callable[[Conversation], Prediction], *, think: bool | None) -> ChatTurns:
    """Learn how a chat template writes turns; where it cannot be seen, they have the names of the roles."""
    chat = (
        Message(role="user", content=_ASKED),
        Message(role="assistant", content=_ANSWERED),
        Message(role="user", content=_ASKED_NEXT),
    )
    plain = _cut(rendered_prompt(render, chat, think=think), _ASKED, _ANSWERED, _ASKED_NEXT)
    if plain is None:
        return _NAMED_TURNS
    start, *others = plain
    with_system = (Message(role="system", content=_SYSTEM), *chat)
    found = _cut(rendered_prompt(render, with_system, think=think), _SYSTEM, _ASKED, _ANSWERED, _ASKED_NEXT)
    system, question = (start, "\n\n") if found is None or found[2:] != others else found[:2]
    answer, following, opening = others
    return ChatTurns(
        start=start, system=system, question=question, answer=answer, next=following, opening=opening
    )


def _cut(prompt: str, *contents: str) -> list[str] | None:
    """Return the texts around contents; ``None`` where these are not there once each and in order.

    Nor are there any around those of a prompt that is too long to be a TEMPLATE.
    """
    if len(prompt) > _CAP_CHARACTERS:
        return None
    parts = re.split("(" + "|".join(contents) + ")", prompt)
    return parts[::2] if tuple(parts[1::2]) == contents else None
