"""Ask a model on a server a few questions, and see whether server and model understand each other.

The checks look for packaging bugs: answers that contain tokens which the server should have parsed as the
end of a turn, reasoning or a tool call. A model that does not follow its instructions is not such a bug.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.families.fill_in import FillIn
from gguf2ollama.ollama import Client, ToolCall
from gguf2ollama.ollama_template import render_suffix
from gguf2ollama.verification.media import picture, sound

__all__ = ["Check", "State", "run_smoke_tests"]

State: TypeAlias = Literal["passed", "failed", "inconclusive"]

_TOKENS = 512  # of an answer: a small model may never come to an end
_LEAST_MEDIA_TOKENS = 8  # a mark where an image would be, such as [img-0], has fewer
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
_GAP = ("def add(a, b):\n", "\n    return c")
_FEW = 16  # tokens of an answer that nobody judges
_TOOL_RESULT = "22 degrees Celsius"
_THINK_TAG = lazy_pattern(
    r"</?(?:\w+:)?think(?:ing)?(?::\w+)?>|\[/?THINK\]|<\|(?:START|END)_THINKING\|>|<\|channel\|?>|<channel\|>"
)
# tags of tool calls, or the tool's name after a character that no sentence has there
_CALL_TAG = lazy_pattern(
    r"<\|?tool_calls?\b|\[TOOL_CALLS\]|<function=|<\|python_tag\|>|<\|START_ACTION\|>"
    r"|[<>\[{:=\"']\s*get_temperature\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: What it checks.
        state: ``inconclusive`` if the model did not do what would have shown it.
        detail: What happened, one sentence.
    """

    name: str
    state: State
    detail: str


def run_smoke_tests(
    client: Client,
    name: str,
    *,
    capabilities: Sequence[str],
    turn_marks: Sequence[str],
    missed_ends: Sequence[str] = (),
    fill_in: FillIn | None = None,
) -> Iterator[Check]:
    """Try a model's capabilities: answers and their end, tools, thinking, images and sound, filling in.

    Args:
        client: The server.
        name: The model.
        capabilities: Its capabilities, as ``/api/show`` names them.
        turn_marks: Texts that end and begin turns, which no answer may contain.
        missed_ends: Tokens that end its turns, whose text is not shown and at which the server does not end.
        fill_in: How it fills in the middle; ``None`` if that is not known.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [("loads", lambda: _loads(client, name))]
    if "completion" in capabilities:
        checks.append(("answers", lambda: _answers(client, name, turn_marks, missed_ends)))
    if "tools" in capabilities:
        checks.append(("calls a tool", lambda: _calls(client, name)))
    if "thinking" in capabilities:
        checks.append(("separates reasoning", lambda: _thinks(client, name)))
    if "vision" in capabilities:
        checks.append(
            ("sees images", lambda: _takes(client, name, "an image", picture(), title="sees images"))
        )
    if "audio" in capabilities:
        checks.append(("hears audio", lambda: _takes(client, name, "a sound", sound(), title="hears audio")))
    if "insert" in capabilities:
        checks.append(("fills in the middle", lambda: _fills_in(client, name, fill_in)))
    for title, check in checks:
        yield _tried(title, check)


def _tried(title: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Gguf2OllamaError as error:
        return Check(name=title, state="failed", detail=error.message)


def _loads(client: Client, name: str) -> Check:
    client.load(name, tokens=1)
    return Check(name="loads", state="passed", detail="The server loads and runs it.")


def _answers(client: Client, name: str, turn_marks: Sequence[str], missed_ends: Sequence[str]) -> Check:
    answer = _ask(client, name, [_user("Say hello in one short sentence.")])
    found = [mark for mark in turn_marks if mark in answer.content]
    if found:
        return _check("answers", "failed", f"Output continues past the end of the turn: {found[0]!r}", answer)
    if not answer.content.strip() and not answer.thinking.strip():
        return _check("answers", "failed", "Empty response", answer)
    if answer.reason != "stop" and missed_ends:
        why = f"No end of turn: the server does not end at {missed_ends[0]!r}, as the chat template does"
        return _check("answers", "failed", why, answer)
    if answer.reason != "stop":
        return _check("answers", "inconclusive", f"No end of turn within {_TOKENS} tokens", answer)
    return _check("answers", "passed", "Answers and stops", answer)


def _calls(client: Client, name: str) -> Check:
    question = _user(_TOOL_QUESTION)
    first = _ask(client, name, [question], tools=[_TOOL])
    if not first.calls:
        if found := _CALL_TAG.search(first.content):
            return _check(
                "calls a tool", "failed", f"The server did not parse the tool call {found[0]!r}", first
            )
        return _check("calls a tool", "inconclusive", "No tool call", first)
    call = first.calls[0]
    if call.name != _TOOL["function"]["name"]:
        return _check("calls a tool", "inconclusive", f"Called the unknown tool {call.name!r}", first)
    called = {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
    messages = [
        question,
        {"role": "assistant", "content": first.content, "tool_calls": [called]},
        {"role": "tool", "tool_name": call.name, "tool_call_id": call.id, "content": _TOOL_RESULT},
    ]
    answer = _ask(client, name, messages, tools=[_TOOL])
    if "22" in answer.content:
        return _check("calls a tool", "passed", "Called the tool and used its result", answer)
    return _check("calls a tool", "inconclusive", "Called the tool, but did not use its result", answer)


def _thinks(client: Client, name: str) -> Check:
    thought = _ask(client, name, [_user("What is 7 times 8?")], think=True)
    plain = _ask(client, name, [_user("What is 7 times 8?")], think=False)
    for answer in (thought, plain):
        if _THINK_TAG.search(answer.content):
            return _check("separates reasoning", "failed", "The answer contains think tags", answer)
    if not thought.thinking.strip():
        return _check("separates reasoning", "inconclusive", "No reasoning", thought)
    if plain.thinking.strip():
        return _check("separates reasoning", "inconclusive", "Reasoning despite think=false", plain)
    return _check("separates reasoning", "passed", "Reasoning is separate from the answer", thought)


def _takes(client: Client, name: str, what: str, content: bytes, *, title: str) -> Check:
    """Check that a file with a question makes the prompt longer by more than a mark in its place would."""
    question = _user("What is this?")
    plain = _ask(client, name, [question], tokens=1)
    media = base64.b64encode(content).decode()
    asked = _ask(client, name, [{**question, "images": [media]}], tokens=1)
    more = asked.prompt_tokens - plain.prompt_tokens
    if more < _LEAST_MEDIA_TOKENS:
        detail = f"The prompt has {asked.prompt_tokens} tokens with {what} and {plain.prompt_tokens} without."
        return Check(name=title, state="failed", detail=detail)
    return Check(name=title, state="passed", detail=f"The prompt has {more} tokens more with {what}.")


def _fills_in(client: Client, name: str, fill_in: FillIn | None) -> Check:
    title = "fills in the middle"
    before, behind = _GAP
    prompt = client.render_suffix(name, before, suffix=behind)
    if before not in prompt or behind not in prompt:
        return Check(
            name=title, state="failed", detail=f"The prompt lacks the text around the gap: {prompt!r}"
        )
    with client.generate(name, before, suffix=behind, options={**_OPTIONS, "num_predict": _FEW}) as chunks:
        answer = "".join(chunk.content for chunk in chunks)
    expected = None if fill_in is None else render_suffix(fill_in.go_actions, prompt=before, suffix=behind)
    if expected is None or prompt != expected:
        wanted = "its tokens for that are not known" if expected is None else f"expected {expected!r}"
        return Check(name=title, state="inconclusive", detail=f"The prompt is {prompt!r}; {wanted}")
    return Check(
        name=title, state="passed", detail=f"Its own tokens are around the texts; it says {answer!r}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A whole answer."""

    content: str
    thinking: str
    calls: tuple[ToolCall, ...]
    reason: str
    prompt_tokens: int


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _ask(
    client: Client,
    name: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    think: bool | None = None,
    tokens: int = _TOKENS,
) -> _Answer:
    options = {**_OPTIONS, "num_predict": tokens}
    with client.chat(name, messages, tools=tools, think=think, options=options) as chunks:
        received = list(chunks)
    metrics = received[-1].metrics if received else None
    return _Answer(
        content="".join(chunk.content for chunk in received),
        thinking="".join(chunk.thinking for chunk in received),
        calls=tuple(call for chunk in received for call in chunk.tool_calls),
        reason=received[-1].done_reason if received else "",
        prompt_tokens=metrics.prompt_eval_count if metrics is not None else 0,
    )


def _check(name: str, state: State, what: str, answer: _Answer) -> Check:
    text = answer.content.strip() or answer.thinking.strip()
    quoted = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
    return Check(name=name, state=state, detail=f"{what}: {quoted!r}" if quoted else f"{what}.")
