"""Find stop strings that would cut an answer before its end: pure but for the renderer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gguf2ollama.chat.authors import AuthorsTemplate
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import ReferenceTemplate, Request

__all__ = ["stops_that_cut"]

_ASKED = Message(role="user", content="Zqbaskedz")
_NEXT = Message(role="user", content="Zqbnextzz")
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


def stops_that_cut(stops: Iterable[str], *, template: AuthorsTemplate | ReferenceTemplate) -> tuple[str, ...]:
    """Give the stop strings that stand within an answer as the template writes it, before it is over.

    Tried are a plain answer, one after a thought, and two calls of a tool at once. What follows the last text
    of an answer is its end, and a stop may stand there.

    Raises:
        InvalidInput: The template broke a limit.
    """
    answers = tuple(_answers(template))
    return tuple(stop for stop in stops if stop and any(stop in answer for answer in answers))


def _answers(template: AuthorsTemplate | ReferenceTemplate) -> Iterator[str]:
    """Give what the model itself writes in each case, up to its last text."""
    cases = tuple(_cases())
    requests = [Request(conversation=one) for case in cases for one in case]
    outcomes = template.render(requests)
    for asked, told in zip(outcomes[::2], outcomes[1::2], strict=True):
        if isinstance(asked, Rendered) and isinstance(told, Rendered):
            written = told.prompt[_shared(asked.prompt, told.prompt) :]
            yield written[: max(0, *(written.rfind(text) for text in (_SAID, *_VALUES)))]


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
            Message(role="tool", content="found", tool_name=_NAME, tool_call_id=call.id)
            for call in calls[:count]
        )
        yield _pair(Message(role="assistant", calls=calls[:count]), after=results, tools=True)


def _pair(
    answer: Message, *, after: Sequence[Message] = (_NEXT,), tools: bool = False, think: bool | None = None
) -> tuple[Conversation, Conversation]:
    offered = (_TOOL,) if tools else ()
    return (
        Conversation(name="asked", messages=(_ASKED,), tools=offered, think=think),
        Conversation(name="answered", messages=(_ASKED, answer, *after), tools=offered, think=think),
    )
