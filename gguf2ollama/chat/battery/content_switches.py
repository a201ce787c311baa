"""Texts in contents for which a chat template tests, such as ``/no_think``: test conversations with each.

A template that decides on what is said has a branch that no fixed set of conversations reaches. The texts are
found in its syntax tree; those that change something when they are said make conversations of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gguf2ollama.chat.conversation import Conversation, Feature, Message
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Request
from gguf2ollama.chat.reference_prompt import AuthorsTemplate
from gguf2ollama.jinja.safety import check_safety

__all__ = ["find_switches"]

_CAP_TEXTS = 12  # that are tried; of 183 templates one has more
_CAP_CHARACTERS = 200  # of each
_NEUTRAL = "Zqbneutral"
_HELLO, _ANSWER = Message(role="user", content="Hello"), Message(role="assistant", content="Hi there.")


def find_switches(template: AuthorsTemplate) -> tuple[Conversation, ...]:
    """Return a conversation for each text, and each role, where the text changes more than it says.

    Raises:
        InvalidInput: The template broke a limit.
    """
    texts = [text for text in _tested_texts(template.default.text) if len(text) <= _CAP_CHARACTERS]
    pairs = [
        (text, said, neutral)
        for text in texts[:_CAP_TEXTS]
        for said, neutral in zip(_saying(text), _saying(_NEUTRAL), strict=True)
    ]
    outcomes = template.render(
        [Request(conversation=conversation) for _, *both in pairs for conversation in both]
    )
    found = []
    for (text, said, _), with_text, without in zip(pairs, outcomes[::2], outcomes[1::2], strict=True):
        if not isinstance(with_text, Rendered) or not isinstance(without, Rendered):
            continue
        if with_text.prompt != without.prompt.replace(_NEUTRAL, text):
            found.append(said)
    return tuple(found)


def _tested_texts(chat_template: str) -> Sequence[str]:
    """Return the texts that a template looks for in contents, in its order, each once."""
    findings = check_safety(chat_template).findings
    tested = (finding for finding in findings if finding.kind in {"decides-on-word", "decides-on-mark"})
    return list(dict.fromkeys(finding.text for finding in tested))


def _saying(text: str) -> Iterator[Conversation]:
    """Return conversations in which one role says a text: first and last in its content, or alone."""
    around, usual = f"{text} Hello there! {text}", f"Be brief. {text}"
    by_role: dict[str, tuple[Feature, tuple[Message, ...]]] = {
        "in the system prompt": ("switch", (Message(role="system", content=usual), _HELLO)),
        "in a question": ("switch", (Message(role="user", content=around),)),
        "in an earlier question": ("switch", (Message(role="user", content=around), _ANSWER, _HELLO)),
        "in an earlier answer": ("odd", (_HELLO, Message(role="assistant", content=around), _HELLO)),
        "as a system prompt": ("odd", (Message(role="system", content=text), _HELLO)),
        "as a question": ("odd", (Message(role="user", content=text),)),
        "as a later question": ("odd", (_HELLO, _ANSWER, Message(role="user", content=text))),
    }
    for where, (feature, messages) in by_role.items():
        yield Conversation(name=f"{text!r} {where}", feature=feature, messages=messages)
