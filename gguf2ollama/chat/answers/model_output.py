"""What a model writes in its turn, as the authors' chat template shows it in the turns that are over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall, function_tool
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import ReferenceTemplate, Request
from gguf2ollama.chat.reference_prompt import AuthorsTemplate

__all__ = ["THOUGHT", "Answer", "answers_of"]

_ASKED = Message(role="user", content="Zqbaskedz")
_NEXT = Message(role="user", content="Zqbnextzz")
_RESULT, _FOUND = "Zqbresultz", "Zqbfoundzz"
THOUGHT, _SAID = "Zqbthoughtz", "Zqbsaidzz"
_NAME, _VALUES = "Zqbtoolzz", ("Zqbfirstzz", "Zqbsecondz")
_TYPES = {"place": "string", "count": "integer", "deep": "object", "exact": "boolean", "why": "string"}
_TYPED = {"count": 3, "deep": {"width": 2.5, "flat": True}, "exact": False, "why": _VALUES[1]}
_TOOL = function_tool(
    _NAME,
    "Look",
    {
        "type": "object",
        "required": ["place"],
        "properties": {name: {"type": kind, "description": name} for name, kind in _TYPES.items()},
    },
)
# a mark that was begun and not ended: the prompts go apart within it
_WITHIN_MARK = lazy_pattern(r"(<[^<>\n]{0,40}|\[/?[A-Z_]{0,40})\Z")
_OPENS_THOUGHT = lazy_pattern(
    r"(?P<mark><(?P<tag>[\w:-]+)>|\[(?P<word>[A-Z]+)\]|<\|START_(?P<block>[A-Z]+)\|>)\s*\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the model.

    Attributes:
        text: What the model writes, and what ends its turn.
        end: Where the last text of the answer ends; behind it, only the end of the turn follows.
        said: What it says with it.
        thought: What it thinks before it.
        calls: The calls in it.
        asked: What it answers; ``think`` as the server hands it on.
        opening: What the prompt has behind the last text of what it answers, that text included.
        goes_on: Whether the answer follows that in the turn that is over, too: else the template shows there
            what no model writes.
    """

    text: str
    end: int
    said: str = ""
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    asked: Conversation
    opening: str
    goes_on: bool


def answers_of(template: AuthorsTemplate | ReferenceTemplate) -> tuple[Answer, ...]:
    """Return plain answers, some after a thought, and answers that call tools, as far as the template can.

    Each is what a model has to write for the template to show it so in a turn that is over. A template may
    not show thoughts of such turns; a model that is to think writes one all the same.

    Raises:
        InvalidInput: The template broke a limit.
    """
    cases = tuple(_cases())
    requests = [Request(conversation=one) for case in cases for one in case]
    outcomes = template.render(requests)
    found = []
    for number, (asked, told) in enumerate(cases):
        before, after = outcomes[2 * number : 2 * number + 2]
        if isinstance(before, Rendered) and isinstance(after, Rendered):
            answer = told.messages[len(asked.messages)]
            found.append(_answer(before.prompt, after.prompt, asked=asked, answer=answer))
    return tuple(found)


def _answer(before: str, after: str, *, asked: Conversation, answer: Message) -> Answer:
    """Find what was written between the prompt before an answer and that after it."""
    # what was said before may be shown in another way once more is said
    last = asked.messages[-1].content
    before, after = before[max(before.rfind(last), 0) :], after[max(after.rfind(last), 0) :]
    start, opening = _shared(before, after), before
    goes_on, closing = start == len(before), ""
    if start < len(before):
        start -= len(_begun_mark(after[:start]))
        closing = _closing(before[start:])
        if not closing and (again := _resumed(before, after[start:])):
            start, goes_on = start + again, True
    text = after[start:]
    nexts = [place for one in (_NEXT.content, _RESULT) if (place := text.find(one)) >= 0]
    text = text[: min(nexts, default=len(text))]
    thought = THOUGHT if closing or THOUGHT in text else ""
    if text.lstrip().startswith(closing):
        text = f"{THOUGHT}\n{text}" if closing else text
    else:
        text = f"{THOUGHT}\n{closing}\n\n{text}"
    ends = [text.rfind(one) + len(one) for one in (_SAID, *_VALUES) if one in text]
    return Answer(
        text=text,
        end=max(ends, default=0),
        said=answer.content,
        thought=thought,
        calls=answer.calls,
        asked=asked,
        opening=opening,
        goes_on=goes_on or bool(closing),
    )


def _shared(one: str, other: str) -> int:
    """Count the characters with which both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _resumed(before: str, after: str) -> int:
    """Count the characters of ``after`` with which ``before`` ends, if they have a letter.

    A template may write more behind the last question, such as a switch, and end the question as ever.
    """
    ends = (size for size in range(min(len(before), len(after)), 0, -1) if before.endswith(after[:size]))
    size = next(ends, 0)
    return size if any(map(str.isalnum, after[:size])) else 0


def _begun_mark(text: str) -> str:
    """Return the mark within which a text ends, as far as it goes."""
    match = _WITHIN_MARK.search(text)
    return match[0] if match else ""


def _closing(begun: str) -> str:
    """Return what closes the thought with which a prompt ends; ``""`` where it does not end with one."""
    match = _OPENS_THOUGHT.search(begun)
    if match is None or "think" not in match["mark"].lower():
        return ""
    if match["tag"]:
        return f"</{match['tag']}>"
    return f"[/{match['word']}]" if match["word"] else f"<|END_{match['block']}|>"


def _cases() -> Iterator[tuple[Conversation, Conversation]]:
    """Return pairs: a conversation up to the model's turn, and one in which that turn was taken."""
    for think in (None, True, False):
        yield _pair(Message(role="assistant", content=_SAID), think=think)
        if think is not False:
            yield _pair(Message(role="assistant", content=_SAID, thinking=THOUGHT), think=think)
    first, second = (
        ToolCall(name=_NAME, arguments={"place": value}, id=f"Zqbcall0{number}")
        for number, value in enumerate(_VALUES)
    )
    typed = ToolCall(name=_NAME, arguments={"place": _VALUES[0], **_TYPED}, id=first.id)
    for think in (None, True, False):
        for calls in ((first,), (first, second), (typed,)):
            results = tuple(
                Message(role="tool", content=_RESULT, tool_name=_NAME, tool_call_id=call.id) for call in calls
            )
            yield _pair(Message(role="assistant", calls=calls), after=results, offered=(_TOOL,), think=think)
            if think is not False and len(calls) == 1:
                thinking = Message(role="assistant", calls=calls, thinking=THOUGHT)
                yield _pair(thinking, after=results, offered=(_TOOL,), think=think)
        found = (
            Message(role="assistant", calls=(first,)),
            Message(role="tool", content=_FOUND, tool_name=_NAME, tool_call_id=first.id),
        )
        yield _pair(Message(role="assistant", content=_SAID), before=found, offered=(_TOOL,), think=think)


def _pair(
    answer: Message,
    *,
    before: Sequence[Message] = (),
    after: Sequence[Message] = (_NEXT,),
    offered: tuple[Mapping[str, object], ...] = (),
    think: bool | None = None,
) -> tuple[Conversation, Conversation]:
    asked = Conversation(name="asked", messages=(_ASKED, *before), tools=offered, think=think)
    return asked, dataclasses.replace(asked, name="answered", messages=(*asked.messages, answer, *after))
