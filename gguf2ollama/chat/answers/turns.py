"""How the authors' chat template ends the model's turns, and begins the next one."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall, function_tool
from gguf2ollama.chat.outcome import Outcome, Rendered
from gguf2ollama.chat.reference import ReferenceTemplate, Request
from gguf2ollama.chat.reference_prompt import AuthorsTemplate

__all__ = ["PROBE", "Finish", "Turns", "learn_turns"]

PROBE = "Zqb"
"""With which each text of the chats that are rendered begins."""

_ASKED, _SAID, _NEXT, _RESULT = (f"{PROBE}{text}" for text in ("askedz", "saidzz", "nextzz", "resultz"))
_NAME, *_VALUES = (f"{PROBE}{text}" for text in ("toolzz", "firstzz", "secondz"))
_TOOL = function_tool(
    _NAME,
    "Look",
    {
        "type": "object",
        "required": ["place"],
        "properties": {"place": {"type": "string", "description": "Where"}},
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What stands behind the last text of a turn that is over.

    Attributes:
        closed: Where the chat ends with that turn; ``""`` also where the template does not take such a chat.
        followed: Up to the contents of the next message; ``""`` also where it takes none there.
        written: What precedes that last text in the turn, as far as the model writes it.
    """

    closed: str = ""
    followed: str = ""
    written: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """How turns end and begin.

    Attributes:
        answer: An answer of the model, behind its content.
        call: A turn with a tool call, behind its argument; empty where the template shows no calls.
        opened: What stands between a question and the answer that the model is to write.
    """

    answer: Finish
    call: Finish
    opened: str = ""


def learn_turns(template: AuthorsTemplate | ReferenceTemplate) -> Turns:
    """Learn how turns end, by rendering chats with and without a next message.

    Raises:
        InvalidInput: The template broke a limit.
    """
    user, said = Message(role="user", content=_ASKED), Message(role="assistant", content=_SAID)
    calls = tuple(
        ToolCall(name=_NAME, arguments={"place": value}, id=f"Zqbcall0{number}")
        for number, value in enumerate(_VALUES)
    )
    result = Message(role="tool", content=_RESULT, tool_name=_NAME, tool_call_id=calls[0].id)
    one_call, two_calls = (Message(role="assistant", calls=calls[:count]) for count in (1, 2))
    open_, closed, followed, call, call_followed, both = template.render(
        [
            _request(user, is_open=True),
            _request(user, said),
            _request(user, said, Message(role="user", content=_NEXT)),
            _request(user, one_call, has_tools=True),
            _request(user, one_call, result, has_tools=True),
            _request(user, two_calls, has_tools=True),
        ]
    )
    opened = _behind(open_, _ASKED)
    return Turns(
        answer=Finish(
            closed=_closed(_behind(closed, _SAID), opened),
            followed=_behind(followed, _SAID, until=_NEXT),
            written=_without(_between(followed, _ASKED, _SAID) or _between(closed, _ASKED, _SAID), opened),
        ),
        call=Finish(
            closed=_closed(_behind(call, _VALUES[0]), opened),
            followed=_behind(call_followed, _VALUES[0], until=_RESULT),
            written=_without(
                _between(both, _ASKED, _VALUES[1]) or _between(call, _ASKED, _VALUES[0]), opened
            ),
        ),
        opened=opened,
    )


def _request(*messages: Message, is_open: bool = False, has_tools: bool = False) -> Request:
    conversation = Conversation(name="turns", messages=messages, tools=(_TOOL,) if has_tools else ())
    return Request(conversation=conversation, add_generation_prompt=is_open)


def _behind(outcome: Outcome, text: str, *, until: str = "") -> str:
    """Return what stands behind a text, up to the next message's contents; ``""`` where one is missing."""
    if not isinstance(outcome, Rendered) or text not in outcome.prompt:
        return ""
    found = outcome.prompt[outcome.prompt.rindex(text) + len(text) :]
    if not until:
        return found
    return found[: found.index(until)] if until in found else ""


def _between(outcome: Outcome, first: str, last: str) -> str:
    if not isinstance(outcome, Rendered) or last not in outcome.prompt:
        return ""
    before = outcome.prompt[: outcome.prompt.rindex(last)]
    return before[before.rindex(first) + len(first) :] if first in before else ""


def _closed(text: str, opened: str) -> str:
    """Return nothing for the beginning of the model's turn, which some templates write unasked."""
    return "" if opened.strip() and text.startswith(opened) else text


def _without(text: str, opened: str) -> str:
    """Remove what precedes the model's words, as far as it is the same in an answer."""
    pairs = enumerate(zip(text, opened, strict=False))
    return text[
        next((place for place, (left, right) in pairs if left != right), min(len(text), len(opened))) :
    ]
