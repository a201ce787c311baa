"""Ask a model on a server a few things, and see whether server and model understand each other.

What is looked for are faults of the packaging: answers with marks in them that the server should have taken
for a turn's end, a thought or a call. A model that does not do what it is asked is no such fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.ollama import Client, ToolCall

__all__ = ["Check", "State", "live_checks"]

State: TypeAlias = Literal["passed", "failed", "inconclusive"]

_TOKENS = 512  # of an answer: a small model may never come to an end
_QUOTED = 80  # characters of an answer that a report quotes
_OPTIONS = {"temperature": 0, "seed": 1, "num_predict": _TOKENS}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_temperature",
        "description": "Get the current temperature of a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "The name of the city"}},
        },
    },
}
_TOOL_QUESTION = "How warm is it in Paris now? Use the tool."
_TOOL_RESULT = "22 degrees Celsius"
_THOUGHT_MARK = re.compile(
    r"</?(?:\w+:)?think(?:ing)?(?::\w+)?>|\[/?THINK\]|<\|(?:START|END)_THINKING\|>|<\|channel\|?>|<channel\|>"
)
# marks of calls, or the name of the tool behind something that no sentence has there
_CALL_MARK = re.compile(
    r"<\|?tool_calls?\b|\[TOOL_CALLS\]|<function=|<\|python_tag\|>|<\|START_ACTION\|>"
    r"|[<>\[{:=\"']\s*get_temperature\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What it was.
        state: ``inconclusive`` where the model did not do what would have shown it.
        detail: What was seen, one sentence.
    """

    name: str
    state: State
    detail: str


def live_checks(
    client: Client, name: str, *, capabilities: Sequence[str], marks: Sequence[str]
) -> Iterator[Check]:
    """Try what a model claims to do: load, answer and stop; call a tool and take its result; think.

    Args:
        client: The server.
        name: The model.
        capabilities: What it claims, as ``/api/show`` names it.
        marks: Texts that end its turns, which no answer may hold.
    """
    asked: list[tuple[str, Callable[[], Check]]] = [("loads", lambda: _loads(client, name))]
    if "completion" in capabilities:
        asked.append(("answers", lambda: _answers(client, name, marks=marks)))
    if "tools" in capabilities:
        asked.append(("calls a tool", lambda: _calls(client, name)))
    if "thinking" in capabilities:
        asked.append(("thinks apart", lambda: _thinks(client, name)))
    for title, check in asked:
        yield _tried(title, check)


def _tried(title: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Gguf2OllamaError as error:
        return Check(name=title, state="failed", detail=error.message)


def _loads(client: Client, name: str) -> Check:
    client.load(name, tokens=1)
    return Check(name="loads", state="passed", detail="The server runs it.")


def _answers(client: Client, name: str, *, marks: Sequence[str]) -> Check:
    answer = _ask(client, name, [_user("Say hello in one short sentence.")])
    found = [mark for mark in marks if mark in answer.content]
    if found:
        return _check("answers", "failed", f"It runs on behind its end {found[0]!r}", answer)
    if not answer.content.strip() and not answer.thinking.strip():
        return _check("answers", "failed", "It says nothing", answer)
    if answer.reason != "stop":
        return _check("answers", "inconclusive", f"It found no end within {_TOKENS} tokens", answer)
    return _check("answers", "passed", "It answers and stops", answer)


def _calls(client: Client, name: str) -> Check:
    question = _user(_TOOL_QUESTION)
    asked = _ask(client, name, [question], tools=[_TOOL])
    if not asked.calls:
        if found := _CALL_MARK.search(asked.content):
            return _check("calls a tool", "failed", f"The server did not read its call {found[0]!r}", asked)
        return _check("calls a tool", "inconclusive", "It called no tool", asked)
    call = asked.calls[0]
    if call.name != _TOOL["function"]["name"]:
        return _check("calls a tool", "inconclusive", f"It called {call.name!r}, which there is not", asked)
    called = {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
    messages = [
        question,
        {"role": "assistant", "content": asked.content, "tool_calls": [called]},
        {"role": "tool", "tool_name": call.name, "tool_call_id": call.id, "content": _TOOL_RESULT},
    ]
    answer = _ask(client, name, messages, tools=[_TOOL])
    if "22" in answer.content:
        return _check("calls a tool", "passed", "It called the tool and took its result", answer)
    return _check("calls a tool", "inconclusive", "It called the tool and did not tell its result", answer)


def _thinks(client: Client, name: str) -> Check:
    thought = _ask(client, name, [_user("What is 7 times 8?")], think=True)
    plain = _ask(client, name, [_user("What is 7 times 8?")], think=False)
    for answer in (thought, plain):
        if _THOUGHT_MARK.search(answer.content):
            return _check("thinks apart", "failed", "Its answer holds marks of thinking", answer)
    if not thought.thinking.strip():
        return _check("thinks apart", "inconclusive", "It did not think", thought)
    if plain.thinking.strip():
        return _check("thinks apart", "inconclusive", "It thinks though it is told not to", plain)
    return _check("thinks apart", "passed", "Its thoughts come apart from its answer", thought)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A whole answer."""

    content: str
    thinking: str
    calls: tuple[ToolCall, ...]
    reason: str


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _ask(
    client: Client,
    name: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    think: bool | None = None,
) -> _Answer:
    with client.chat(name, messages, tools=tools, think=think, options=_OPTIONS) as chunks:
        pieces = list(chunks)
    return _Answer(
        content="".join(one.content for one in pieces),
        thinking="".join(one.thinking for one in pieces),
        calls=tuple(call for one in pieces for call in one.tool_calls),
        reason=pieces[-1].done_reason if pieces else "",
    )


def _check(name: str, state: State, what: str, answer: _Answer) -> Check:
    text = answer.content.strip() or answer.thinking.strip()
    quoted = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
    return Check(name=name, state=state, detail=f"{what}: {quoted!r}" if quoted else f"{what}.")
