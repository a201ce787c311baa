"""What the fake server makes of a chat: what a real one of its version does, as far as the product foretells.

Tests that need a server which does something else inject it.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

from gguf2ollama import ollama_template
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.llamacpp import NativeTemplate, read_native
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.special_cases import filter_think_tags
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.names import ModelName
from tests.fakes.ollama_store import FakeStore, Model, Refusal


def render(store: FakeStore, name: str, model: Model, content: dict[str, Any]) -> str:
    """Return the prompt that a chat becomes."""
    if "suffix" in content:
        prompt, suffix = content["prompt"], content["suffix"]
        return ollama_template.render_suffix(store.template_of(model), prompt=prompt, suffix=suffix)
    messages = content["messages"]
    if model.system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": model.system}, *messages]
    body = {**content, "messages": messages}
    model_name = ModelName.parse(name).model
    if model.renderer:
        return f"[{model.renderer}] {messages[-1]['content']}"
    if not store.renders_natively(model):
        asked = filter_think_tags(
            _conversation(body), family=model.architecture, model_name=model_name, version=store.rules
        )
        contents = [one.content for one in asked.messages]
        body["messages"] = [{**one, "content": text} for one, text in zip(messages, contents, strict=True)]
        return _go_prompt(
            store.template_of(model),
            json.dumps(body),
            store.rules,
            tuple(store.capabilities(model)),
            datetime.now().astimezone().date(),
        )
    text, now = store.template_of(model), datetime.now().astimezone().replace(microsecond=0)
    if "strftime_now" not in text:
        now = now.replace(hour=0, minute=0, second=0)
    return _native_prompt(text, json.dumps(body), store.rules, now, model.architecture, model_name)


# builds of many tests have the same chats rendered by the same few templates
@cache
def _go_prompt(text: str, body: str, version: str, capabilities: tuple[str, ...], _today: date) -> str:
    try:
        return ollama_template.render(text, json.loads(body), version=version, capabilities=capabilities)
    except Gguf2OllamaError as error:
        raise Refusal(500, error.message) from error


@cache
def _native_prompt(text: str, body: str, version: str, now: datetime, family: str, model_name: str) -> str:
    native = _native_template(text, version, now, family, model_name)
    outcome = native.render(_conversation(json.loads(body)))
    if not isinstance(outcome, Rendered):
        raise Refusal(400, outcome.reason)
    return outcome.prompt


# as a real server, it takes a template in when a model is loaded, and not for each chat anew
@lru_cache
def _native_template(text: str, version: str, now: datetime, family: str, model_name: str) -> NativeTemplate:
    return read_native(text, version=version, now=now, family=family, model_name=model_name)


def _conversation(body: dict[str, Any]) -> Conversation:
    return Conversation(
        name="asked",
        messages=tuple(map(_message, body["messages"])),
        tools=tuple(body.get("tools") or ()),
        think=body.get("think"),
    )


def _message(told: dict[str, Any]) -> Message:
    calls = (
        ToolCall(name=one["function"]["name"], arguments=one["function"]["arguments"], id=one.get("id", ""))
        for one in told.get("tool_calls", ())
    )
    return Message(
        role=told["role"],
        content=told.get("content", ""),
        thinking=told.get("thinking"),
        calls=tuple(calls),
        tool_name=told.get("tool_name", ""),
        tool_call_id=told.get("tool_call_id", ""),
    )
