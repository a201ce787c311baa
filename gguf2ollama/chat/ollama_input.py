"""What Ollama hands on of a conversation, whatever renders it: the inputs on which prompts are compared.

Ollama reads tools, calls and messages into types of its own. What those have no place for is gone before any
template runs, and no template can bring it back:

- Tools: keys of a schema that the types do not know; the order of keys (``required`` goes before
  ``properties``); the order of whatever is a plain map (``items``, ``enum``, ``$defs``), and on the Go path
  of a tool's own properties. llama.cpp drops a tool's ``items`` and tells a ``description`` always.
- Calls: the order of arguments on the Go path, and within arguments on both; ids before 0.13; numbers become
  64-bit floats, and whole ones are written without decimals.
- Messages, on the Go path: consecutive ones of one role (results only before 0.10) are one, their texts
  joined by an empty line; calls and thinking of those after the first are lost.
- Before 0.10 the names of tools in results, before 0.9 all thinking and the question whether to think, and
  before 0.6.6 ``items``, ``$defs``, and what a property has beside ``type``, ``description`` and ``enum``.

What a server *does* with these inputs is no part of this, and counts as a difference where it is one: that
llama.cpp is never told the thinking of earlier turns, that ``enable_thinking`` is always defined, that a
system text is merged into the first question.

Sources: ``api/types.go``, ``template/template.go`` and ``llm/llama_server.go`` of Ollama 0.5.4 to 0.34.4;
``common/chat.cpp`` of llama.cpp b11095.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.gotmpl.versions import Dialect, dialect

__all__ = ["Path", "canonical", "canonical_value"]

Path: TypeAlias = Literal["go", "native"]
_JOINT = "\n\n"
_PLAIN_BELOW = 1e21  # from here on Go writes a number with an exponent


def canonical(conversation: Conversation, *, path: Path, version: str) -> Conversation:
    """Return a conversation as Ollama hands it to what renders it.

    What ``/api/chat`` would refuse, such as a ``required`` that is no list, is taken for missing.

    Args:
        conversation: What a client asks.
        path: ``go`` for a TEMPLATE, ``native`` for the chat template in the GGUF.
        version: The version of Ollama, such as ``0.34.4``.

    Raises:
        UsageProblem: It is no version.
    """
    known = dialect(version)
    messages = tuple(_message(one, known=known, path=path) for one in conversation.messages)
    return dataclasses.replace(
        conversation,
        think=conversation.think if known.has_thinking else None,
        messages=tuple(_merged(messages, known=known)) if path == "go" else messages,
        tools=tuple(_tool(one, known=known, path=path) for one in conversation.tools),
    )


def canonical_value(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value as Go holds it, read into ``any``: sorted maps, numbers as 64-bit floats."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): canonical_value(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [canonical_value(one) for one in value]
    try:
        number = float(value)
    except OverflowError:  # Go refuses it
        return value
    if not number.is_integer() or abs(number) >= _PLAIN_BELOW:
        return number
    return int(Decimal(repr(number)))  # the shortest digits, as Go writes them, not all of them


def _message(message: Message, *, known: Dialect, path: Path) -> Message:
    return dataclasses.replace(
        message,
        thinking=message.thinking if known.has_thinking else None,
        calls=tuple(_call(one, known=known, path=path) for one in message.calls),
        tool_name=message.tool_name if known.has_tool_names else "",
        tool_call_id=message.tool_call_id if known.has_call_ids else "",
    )


def _call(call: ToolCall, *, known: Dialect, path: Path) -> ToolCall:
    is_sorted = path == "go" or not known.converts
    names = sorted(call.arguments) if is_sorted else list(call.arguments)
    arguments = {name: canonical_value(call.arguments[name]) for name in names}
    return ToolCall(name=call.name, arguments=arguments, id=call.id if known.has_call_ids else "")


def _merged(messages: tuple[Message, ...], *, known: Dialect) -> Iterator[Message]:
    """Join neighbours of one role, as ``collate`` does."""
    last: Message | None = None
    for message in messages:
        stays = message.role == "tool" and known.has_tool_names
        if last is not None and last.role == message.role and not stays:
            last = dataclasses.replace(last, content=last.content + _JOINT + message.content)
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last


def _tool(tool: Mapping[str, Any], *, known: Dialect, path: Path) -> dict[str, Any]:
    function = _mapping(tool.get("function"))
    description = _text(function.get("description"))
    tells_description = description or path == "native" or not known.omits_empty
    told = {
        "name": _text(function.get("name")),
        **({"description": description} if tells_description else {}),
        "parameters": _parameters(_mapping(function.get("parameters")), known=known, path=path),
    }
    items = _given(tool, "items") if path == "go" and known.has_schemas else {}
    return {"type": _text(tool.get("type")), **items, "function": told}


def _parameters(schema: Mapping[str, Any], *, known: Dialect, path: Path) -> dict[str, Any]:
    properties = schema.get("properties")
    required = _texts(schema.get("required"))
    return {
        "type": _text(schema.get("type")),
        **(_given(schema, "$defs") | _given(schema, "items") if known.has_schemas else {}),
        **({"required": required} if required or not known.has_call_ids else {}),
        "properties": _properties(properties, known=known, is_sorted=path == "go" or not known.converts)
        if isinstance(properties, Mapping)
        else None,
    }


def _properties(
    properties: Mapping[str, Any], *, known: Dialect, is_sorted: bool
) -> dict[str, dict[str, Any]]:
    names = sorted(properties) if is_sorted else list(properties)
    return {name: _property(_mapping(properties[name]), known=known) for name in names}


def _property(schema: Mapping[str, Any], *, known: Dialect) -> dict[str, Any]:
    alternatives, properties = schema.get("anyOf"), schema.get("properties")
    told: dict[str, Any] = {}
    if known.has_levels and isinstance(alternatives, (list, tuple)) and alternatives:
        told["anyOf"] = [_property(_mapping(one), known=known) for one in alternatives]
    told |= _type(schema.get("type"), known=known) | (_given(schema, "items") if known.has_schemas else {})
    description = _text(schema.get("description"))
    if description or not known.omits_empty:
        told["description"] = description
    if isinstance(schema.get("enum"), (list, tuple)) and schema["enum"]:
        told["enum"] = canonical_value(schema["enum"])
    if known.has_nested_properties and isinstance(properties, Mapping):
        told["properties"] = _properties(properties, known=known, is_sorted=not known.converts)
    if known.has_nested_required and (required := _texts(schema.get("required"))):
        told["required"] = required
    return told


def _type(told: object, *, known: Dialect) -> dict[str, Any]:
    if not known.has_schemas:
        return {"type": _text(told)}
    types = [told] if isinstance(told, str) else _texts(told) or []
    if len(types) == 1:
        return {"type": types[0]}
    return {"type": types or None} if types or not known.omits_empty else {}


def _given(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a key of any type, where it is there."""
    return {} if schema.get(key) is None else {key: canonical_value(schema[key])}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str] | None:
    is_list = isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    return list(value) if is_list and isinstance(value, (list, tuple)) else None
