"""A conversation, and how the two sides are told it: a Jinja chat template and Ollama's ``/api/chat``.

Both forms are made of one value, so that a comparison never compares two different conversations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Conversation", "Feature", "Message", "Think", "ToolCall"]

Feature: TypeAlias = Literal["plain", "tools", "thinking"]
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
        thinking: What the model thought before it, or ``None`` where nothing is told of it.
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
        feature: What a model must be able to do for it.
        messages: The messages, the oldest first.
        tools: The tools offered, each ``{"type": "function", "function": {…}}``.
        think: Whether the model shall think, or how hard; ``None`` where it isn't told.
    """

    name: str
    messages: tuple[Message, ...]
    feature: Feature = "plain"
    tools: tuple[Mapping[str, Any], ...] = ()
    think: Think = None

    def for_jinja(self) -> list[dict[str, Any]]:
        """Give ``messages`` as transformers hands them to a chat template.

        Thinking stands under ``reasoning_content``, where most templates look for it; a call is
        ``{"id", "type", "function": {"name", "arguments"}}`` with ``arguments`` an object.
        """
        return [_for_jinja(one) for one in self.messages]

    def for_ollama(self) -> dict[str, Any]:
        """Give the body of ``/api/chat``: ``messages``, and ``tools`` and ``think`` where there are any."""
        body: dict[str, Any] = {"messages": [_for_ollama(one) for one in self.messages]}
        if self.tools:
            body["tools"] = list(self.tools)
        if self.think is not None:
            body["think"] = self.think
        return body


def _for_jinja(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking is not None:
        told["reasoning_content"] = message.thinking
    if message.calls:
        told["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.calls
        ]
    if message.tool_name:
        told["name"] = message.tool_name
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    return told


def _for_ollama(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking is not None:
        told["thinking"] = message.thinking
    if message.calls:
        told["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "function": {"name": call.name, "arguments": dict(call.arguments)},
            }
            for call in message.calls
        ]
    if message.tool_name:
        told["tool_name"] = message.tool_name
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    return told
