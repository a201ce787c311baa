"""A conversation, and its two forms: for a Jinja chat template, and for Ollama's ``/api/chat``.

Both come from one value, so that a comparison never compares two different conversations.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.oci import go_json

__all__ = ["Conversation", "Feature", "Message", "Role", "Think", "ToolCall", "function_tool"]

Feature: TypeAlias = Literal["plain", "thinking", "tools", "switch", "history", "irregular", "prefill", "odd"]
"""What a conversation needs of a model, in the order in which it weighs; see :class:`Conversation`."""
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Think: TypeAlias = bool | Literal["low", "medium", "high"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool by the model.

    Attributes:
        name: The tool's name.
        arguments: Its arguments, a JSON object.
        id: What its result refers to; ``""`` for none.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        role: Who speaks.
        content: The text.
        thinking: What the model thought before it, or ``None`` where that is not given.
        calls: The tools that the model calls.
        tool_name, tool_call_id: In a result, the tool's name and the call's id; ``""`` for none.
    """

    role: Role
    content: str = ""
    thinking: str | None = None
    calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a model is asked.

    Attributes:
        name: What a report calls it.
        feature: What it needs of a model. ``plain``: nothing but to chat; ``tools``: to see and call tools;
            ``thinking``: to know whether to think; ``switch``: to act on a text for which its chat template
            tests, such as ``/no_think``; ``history``: to see what it thought before; ``irregular``: to take
            turns in an unusual order, such as a system message in mid-chat, or what Ollama drops;
            ``prefill``: to continue an answer; ``odd``: to take contents that hardly any chat has.
        messages: The messages, the oldest first.
        tools: The tools offered, each ``{"type": "function", "function": {…}}``.
        think: Whether the model shall think, or how hard; ``None`` where the client does not say.
    """

    name: str
    messages: tuple[Message, ...]
    feature: Feature = "plain"
    tools: tuple[Mapping[str, Any], ...] = ()
    think: Think = None

    def for_jinja(
        self,
        *,
        thinking_key: str = "reasoning_content",
        typed_roles: Collection[str] = (),
        text_arguments: bool = False,
        tool_responses: bool = False,
    ) -> list[dict[str, Any]]:
        """Return ``messages`` as transformers hands them to a chat template.

        A call is ``{"id", "type", "function": {"name", "arguments"}}``.

        Args:
            thinking_key: Where a message's thinking stands; most templates look for this one.
            typed_roles: Whose contents are lists of one part, ``{"type": "text", "text"}``, instead of texts.
            text_arguments: Whether arguments are JSON as text, instead of an object. A client may write them
                in many ways; they are written as Ollama does, which is Go's way.
            tool_responses: Whether results are no messages but stand in the one that calls, with the answer
                that follows them; one that is JSON is passed as its value.
        """
        passed = []
        for message in self.messages:
            one = _for_jinja(message, text_arguments=text_arguments)
            if message.role in typed_roles:
                one["content"] = [{"type": "text", "text": message.content}]
            if message.thinking is not None:
                one[thinking_key] = message.thinking
            passed.append(one)
        return _with_responses(passed) if tool_responses else passed

    def for_ollama(self) -> dict[str, Any]:
        """Return the body of ``/api/chat``: ``messages``, and ``tools`` and ``think`` where there are any."""
        body: dict[str, Any] = {"messages": [_for_ollama(one) for one in self.messages]}
        if self.tools:
            body["tools"] = list(self.tools)
        if self.think is not None:
            body["think"] = self.think
        return body


def function_tool(name: str, description: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a tool as clients offer it, with the JSON schema of its parameters."""
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _for_jinja(message: Message, *, text_arguments: bool) -> dict[str, Any]:
    passed: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        passed["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": go_json(dict(call.arguments)).decode().removesuffix("\n")
                    if text_arguments
                    else dict(call.arguments),
                },
            }
            for call in message.calls
        ]
    if message.tool_name:
        passed["name"] = message.tool_name
    if message.tool_call_id:
        passed["tool_call_id"] = message.tool_call_id
    return passed


def _with_responses(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put results into the messages that call, as ``{"name", "response"}``, and answers behind them."""
    passed: list[dict[str, Any]] = []
    for message in messages:
        turn = passed[-1] if passed else {}
        responses = turn.get("tool_responses", [])
        if message["role"] == "tool" and len(responses) < len(turn.get("tool_calls", ())):
            call = turn["tool_calls"][len(responses)]
            name = message.get("name") or call["function"]["name"]
            responded = [*responses, {"name": name, "response": _value(message["content"])}]
            passed[-1] = turn | {"tool_responses": responded}
        elif responses and not turn["content"] and message.keys() == {"role", "content"}:
            is_answer = message["role"] == "assistant"
            passed[-1:] = [turn | {"content": message["content"]}] if is_answer else [turn, message]
        else:
            passed.append(message)
    return passed


def _value(content: object) -> object:
    """Return the value of a text that is JSON, or else what is there."""
    try:
        return json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return content


def _for_ollama(message: Message) -> dict[str, Any]:
    passed: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking is not None:
        passed["thinking"] = message.thinking
    if message.calls:
        passed["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.calls
        ]
    if message.tool_name:
        passed["tool_name"] = message.tool_name
    if message.tool_call_id:
        passed["tool_call_id"] = message.tool_call_id
    return passed
