"""What a model writes in its turn, as the authors' chat template shows it in the turns that are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gguf2ollama.chat.authors import AuthorsTemplate
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import ReferenceTemplate, Request

__all__ = ["Answer", "answers_of"]

_ASKED = Message(role="user", content="Zqbaskedz")
_NEXT = Message(role="user", content="Zqbnextzz")
_RESULT = "Zqbfoundz"
_THOUGHT, _SAID = "Zqbthoughtz", "Zqbsaidzz"
_NAME, _VALUES = "Zqbtoolzz", ("Zqbfirstzz", "Zqbsecondz")
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "Look",
        "parameters": {
            "type": "object",
            "required": ["place"],
            "properties": {"place": {"type": "string", "description": "Where"}},
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the model.

    Attributes:
        text: What the model writes, and what ends its turn.
        end: Where the last text of the answer ends; behind it, only the end of the turn follows.
        calls: The calls in it.
    """

    text: str
    end: int
    calls: tuple[ToolCall, ...] = ()


def answers_of(template: AuthorsTemplate | ReferenceTemplate) -> tuple[Answer, ...]:
    """Give a plain answer, one after a thought, and one and two calls of a tool, as far as the template can.

    Raises:
        InvalidInput: The template broke a limit.
    """
    cases = tuple(_cases())
    requests = [Request(conversation=one) for case in cases for one in case]
    outcomes = template.render(requests)
    found = []
    for number, (_, conversation) in enumerate(cases):
        asked, told = outcomes[2 * number : 2 * number + 2]
        if isinstance(asked, Rendered) and isinstance(told, Rendered):
            text = told.prompt[_shared(asked.prompt, told.prompt) :]
            nexts = [place for one in (_NEXT.content, _RESULT) if (place := text.find(one)) >= 0]
            text = text[: min(nexts, default=len(text))]
            ends = [text.rfind(one) + len(one) for one in (_SAID, *_VALUES) if one in text]
            found.append(Answer(text=text, end=max(ends, default=0), calls=conversation.messages[1].calls))
    return tuple(found)


def _shared(one: str, other: str) -> int:
    """Count the characters with which both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _cases() -> Iterator[tuple[Conversation, Conversation]]:
    """Give pairs: a conversation up to the model's turn, and one in which that turn was taken."""
    for think in (None, True):
        yield _pair(Message(role="assistant", content=_SAID), think=think)
        yield _pair(Message(role="assistant", content=_SAID, thinking=_THOUGHT), think=think)
    calls = tuple(
        ToolCall(name=_NAME, arguments={"place": value}, id=f"Zqbcall0{number}")
        for number, value in enumerate(_VALUES)
    )
    for count in (1, 2):
        results = tuple(
            Message(role="tool", content=_RESULT, tool_name=_NAME, tool_call_id=call.id)
            for call in calls[:count]
        )
        yield _pair(Message(role="assistant", calls=calls[:count]), after=results, offered=(_TOOL,))


def _pair(
    answer: Message,
    *,
    after: Sequence[Message] = (_NEXT,),
    offered: tuple[Mapping[str, object], ...] = (),
    think: bool | None = None,
) -> tuple[Conversation, Conversation]:
    return (
        Conversation(name="asked", messages=(_ASKED,), tools=offered, think=think),
        Conversation(name="answered", messages=(_ASKED, answer, *after), tools=offered, think=think),
    )
