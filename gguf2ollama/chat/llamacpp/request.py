"""What llama.cpp tells a template of a chat that Ollama hands on.

Ollama sends each message with its role, content, calls, and the name and id of a result; not its thinking.
llama.cpp changes them where probing has shown that the template needs it (``probing``).

Sources: ``llm/llama_server.go`` of Ollama 0.32.15 and 0.34.4; ``common_chat_msg::to_json_oaicompat`` and
``workaround`` in ``common/chat.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp.builds import Build
from gguf2ollama.chat.llamacpp.caps import Support
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.segments import WHITE_SPACE
from gguf2ollama.chat.llamacpp.special_templates import Messages
from gguf2ollama.errors import InvalidInput
from gguf2ollama.oci import go_json

__all__ = ["extra_variables", "told_messages", "told_tools", "with_content_as_taken"]

_TRIMS = "You have access to the following functions in JSONSchema format"


def told_messages(messages: Sequence[Message], *, source: str, support: Support) -> Messages:
    """Return messages as a template is told them.

    Args:
        messages: The messages, without one that is to be continued.
        source: The template's text.
        support: What it supports.

    Raises:
        NotForeseen: Something in them cannot be sent.
        TemplateFault: A system text is to be merged into a message that is a list of parts.
    """
    told = with_content_as_taken([_told(one, trims=_TRIMS in source) for one in messages], support=support)
    if not support.system_role:
        told = _without_system(told)
    if support.object_arguments:
        for call in (call for message in told for call in message.get("tool_calls", ())):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return told


def with_content_as_taken(messages: Messages, *, support: Support) -> Messages:
    """Return contents as lists of parts where a template takes nothing else."""
    if support.string_content or not support.typed_content:
        return messages
    return [
        message | {"content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message.get("content"), str)
        else message
        for message in messages
    ]


def told_tools(conversation: Conversation) -> list[dict[str, Any]]:
    """Return tools, which are canonical, as a template is told them.

    Raises:
        TemplateFault: One is no function.
    """
    for tool in conversation.tools:
        if tool["type"] != "function":
            raise TemplateFault(f"Unsupported tool type: {tool['type']}")
    return [dict(tool) for tool in conversation.tools]


def extra_variables(conversation: Conversation, *, now: datetime, build: Build) -> dict[str, Any]:
    """Return the variables that every chat has, and those that ``think`` makes."""
    variables: dict[str, Any] = {
        "datetime": now.strftime("%b %d %Y"),
        "date_string": now.strftime("%d %b %Y"),
    }
    if build.preserves_reasoning:
        variables |= {
            "preserve_reasoning": True,
            "preserve_thinking": True,
            "clear_thinking": False,
            "truncate_history_thinking": False,
            "drop_thinking": False,
        }
    if conversation.think is not None:
        variables["enable_thinking"] = conversation.think is not False
    if isinstance(conversation.think, str):
        variables["reasoning_effort"] = conversation.think
        if build.has_strength:
            variables["reasoning_strength"] = conversation.think
    return variables


def _told(message: Message, *, trims: bool) -> dict[str, Any]:
    content = message.content.strip(WHITE_SPACE) if trims else message.content
    told: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_name:
        told["name"] = message.tool_name
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    if message.calls:
        told["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
                **({"id": call.id} if call.id else {}),
            }
            for call in message.calls
        ]
    return told


def _arguments(arguments: object) -> str:
    """Write arguments as Ollama sends them."""
    try:
        return go_json(arguments).decode().rstrip("\n")
    except InvalidInput as error:
        raise NotForeseen(f"arguments that cannot be sent ({error.message})") from error


def _without_system(messages: Messages) -> Messages:
    """Merge a system message into the next one; drop it where there is none."""
    if not messages or messages[0]["role"] != "system":
        return messages
    system, *others = messages
    if not others:
        return []
    if not isinstance(system["content"], str) or not isinstance(others[0]["content"], str):
        raise TemplateFault("a system message cannot be merged into a list of content parts")
    return [others[0] | {"content": f"{system['content']}\n{others[0]['content']}"}, *others[1:]]
