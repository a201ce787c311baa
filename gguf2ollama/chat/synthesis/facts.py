"""What a template may look at beside a text: facts of a conversation and of a place in it.

Every fact can be computed by a Go template too (see ``go_facts``). Facts are words, so that a learnt rule
reads as
one would say it: ``{"think": "off", "last user": "yes"}``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from gguf2ollama.chat.conversation import Conversation, Message, Role, Think

__all__ = ["FACTS", "conversation_facts", "facts_of_messages", "message_facts", "think_value"]

FACTS = (
    "system",
    "tools",
    "call",
    "previous",
    "before",
    "think",
    "last role",
    "last",
    "last user",
    "after last user",
    "content",
    "thinking",
    "calls",
)
"""The names of the facts that learnt rules may depend on, the likelier ones first.

``system``, ``tools``: whether there are any. ``last role``: whose message is the last. ``think``: unset,
on, off or a level. Of a message: ``previous``, the role before it; ``before``, what was printed last;
``last user``, ``after last user``, ``last``, its position; ``content``, ``thinking`` and ``calls``, whether
it has any; ``call``, whether a call is its message's ``first`` or a ``later`` one. Rules for reasoning in an
answer's text and for rejected system messages (`content_rules`) know two more: ``last answer``, and
``first``, whether a message is the first but for the system message.
"""


def conversation_facts(
    conversation: Conversation, messages: Sequence[Message], *, silent: Collection[str] = ()
) -> dict[str, str]:
    """Return the facts that hold for a whole conversation.

    Args:
        conversation: The conversation.
        messages: Those of its messages that count.
        silent: Roles whose empty messages print nothing: an empty system text is then ``empty``.
    """
    system = _word(bool(messages) and messages[0].role == "system")
    if system == "yes" and "system" in silent and not messages[0].content:
        system = "empty"
    return {
        "system": system,
        "last role": messages[-1].role if messages else "",
        "tools": _word(bool(conversation.tools)),
        "think": think_value(conversation.think),
    }


def think_value(think: Think) -> str:
    """Return the word for how thinking is asked for: ``unset``, ``on``, ``off``, ``low`` or ``high``.

    A medium level is ``on``: Ollama gives a Go template no way to tell the two apart.
    """
    if think is None:
        return "unset"
    if isinstance(think, str):
        return "on" if think == "medium" else think
    return "on" if think else "off"


def message_facts(messages: Sequence[Message], at: int) -> Mapping[str, str]:
    """Return the facts of one message of a conversation, but for those of what was printed before it."""
    return facts_of_messages(messages)[at]


def facts_of_messages(messages: Sequence[Message]) -> Sequence[Mapping[str, str]]:
    """Return the facts of each message of a conversation, but for those of what was printed before it."""
    return _facts_of(
        tuple([_Seen(one.role, bool(one.content), bool(one.thinking), bool(one.calls)) for one in messages])
    )


class _Seen(NamedTuple):
    """What facts tell of a message: its role, and what it has."""

    role: Role
    content: bool
    thinking: bool
    calls: bool


@lru_cache(maxsize=1024)  # chats of the same shape are told again and again
def _facts_of(messages: tuple[_Seen, ...]) -> Sequence[Mapping[str, str]]:
    users = [place for place, one in enumerate(messages) if one.role == "user"]
    answers = [place for place, one in enumerate(messages) if one.role == "assistant"]
    begin = 1 if messages and messages[0].role == "system" else 0
    told: list[dict[str, str]] = []
    for at, message in enumerate(messages):
        told.append(
            {
                "previous": messages[at - 1].role if at else "",
                "first": _word(at == begin),
                "last user": _word(users[-1:] == [at]),
                "after last user": _word(bool(users) and at > users[-1]),
                "last answer": _word(answers[-1:] == [at]),
                "last": _word(at + 1 == len(messages)),
                "content": _word(message.content),
                "thinking": _word(message.thinking),
                "calls": _word(message.calls),
            }
        )
    return told


def _word(value: bool) -> str:  # noqa: FBT001  # a word for a truth value
    return "yes" if value else "no"
