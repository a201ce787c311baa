"""The test conversations with tools: what is offered, calls, and results, usual ones and irregular ones.

Ids have nine letters and digits, as Mistral's templates demand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall, function_tool

__all__ = [
    "ASK",
    "BRIEF",
    "FRENCH",
    "OSLO",
    "PARIS",
    "SEARCH",
    "WEATHER",
    "assistant",
    "conversations_with_tools",
    "irregular_with_tools",
    "result",
    "system",
    "turns",
    "user",
]


def system(content: str) -> Message:
    """Return a system message."""
    return Message(role="system", content=content)


def user(content: str) -> Message:
    """Return a question."""
    return Message(role="user", content=content)


def assistant(content: str = "", *calls: ToolCall, thinking: str | None = None) -> Message:
    """Return an answer."""
    return Message(role="assistant", content=content, calls=calls, thinking=thinking)


def call(name: str, arguments: Mapping[str, Any], identifier: str = "a1B2c3D4e") -> ToolCall:
    return ToolCall(name=name, arguments=arguments, id=identifier)


def result(content: str, call: ToolCall) -> Message:
    """Return the result of a call."""
    return Message(role="tool", content=content, tool_name=call.name, tool_call_id=call.id)


def turns(count: int) -> tuple[Message, ...]:
    """Return so many answered questions."""
    return tuple(
        message
        for number in range(1, count + 1)
        for message in (user(f"Question number {number}?"), assistant(f"Answer number {number}."))
    )


BRIEF = system("You are a careful assistant. Be brief.")
FRENCH = system("From now on, answer in French.")

WEATHER = function_tool(
    "get_weather",
    "Get the weather of a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city, such as Paris"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
)
SEARCH = function_tool(
    "search_web",
    "Search the web.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for"},
            "limit": {"type": "integer", "description": "How many results"},
        },
        "required": ["query", "limit"],
    },
)
_CLOCK = function_tool("now", "Get the time.", {"type": "object", "properties": {}})
_NESTED = function_tool(
    "book_trip",
    "Book a trip.",
    {
        "type": "object",
        "properties": {
            "traveller": {
                "type": "object",
                "description": "Who travels",
                "properties": {
                    "name": {"type": "string"},
                    "address": {
                        "type": "object",
                        "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                        "required": ["street"],
                    },
                },
                "required": ["name"],
            },
            "legs": {
                "type": "array",
                "description": "The parts of the trip",
                "items": {
                    "type": "object",
                    "properties": {
                        "to": {"type": "string"},
                        "class": {"type": "string", "enum": ["first", "second"]},
                    },
                },
            },
            "days": {"type": "array", "items": {"type": "integer"}},
            "budget": {"type": "number", "description": "In euros"},
            "flexible": {"type": "boolean"},
        },
        "required": ["traveller", "legs"],
    },
)
_ODD = function_tool(
    "odd_one",
    'Says "hello" <to> a city & its région 🎉:\n\tC:\\new — {{ it\'s }}',
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "A <text>, with \"quotes\" & 'more'\nand a line"},
            "kind": {"type": "string", "description": "ß?", "enum": ["a b", "ü", "<x>", '"']},
        },
        "required": ["text"],
    },
)
# as many programs write their tools: docstrings as descriptions, names in camel case, an order of their own
_DOCUMENTED = function_tool(
    "createTicket",
    """Create a ticket in the tracker.

    Use it only when the user asks for it.

    Args:
        userId: Who reports it.
        Title: One line.
    """,
    {
        "type": "object",
        "properties": {
            "userId": {"type": "string", "description": "Who reports it.\nAn address, such as a@b.c"},
            "Title": {"type": "string", "description": "One line."},
            "dueDate": {"type": "string", "description": "As ISO 8601\n\nLeave it out where none is known."},
            "CC": {"type": "array", "items": {"type": "string"}},
            "assignee": {"type": "string"},
        },
        "required": ["userId", "Title"],
    },
)
# keys of JSON schema that Ollama's types have no fields for, and an empty description, which it drops
_VALIDATED = function_tool(
    "set_volume",
    "Set the volume.",
    {
        "type": "object",
        "title": "SetVolume",
        "properties": {
            "level": {"type": "integer", "title": "Level", "minimum": 0, "maximum": 11, "default": 5},
            "device": {"type": "string", "description": "", "pattern": "^[a-z]+$", "examples": ["tv"]},
        },
        "required": ["level"],
        "additionalProperties": False,
    },
)
PARIS = call("get_weather", {"city": "Paris", "unit": "celsius"})
OSLO = call("get_weather", {"city": "Oslo"}, "f5G6h7J8k")
_FIND = call("search_web", {"query": "weather in Oslo", "limit": 3}, "L9m0N1p2Q")
_TIME = call("now", {}, "r3S4t5U6v")
ASK = user("What is the weather in Paris?")
_ASKED = (ASK, assistant("", PARIS), result("22 degrees, sunny", PARIS))
_ANSWERED = (*_ASKED, assistant("It is 22 degrees and sunny."))


def conversations_with_tools() -> Iterator[Conversation]:
    """Return conversations as agents and editors have them."""
    offered = (WEATHER, SEARCH)
    for name, (tools, messages) in _WITH_OTHER_TOOLS.items():
        yield Conversation(name=name, messages=messages, feature="tools", tools=tools)
    for name, messages in _WITH_TOOLS.items():
        yield Conversation(name=name, messages=messages, feature="tools", tools=offered)
    for name, arguments in _ARGUMENTS.items():
        done = call("do_it", arguments, "w7X8y9Z0a")
        messages = (user("Do it."), assistant("", done), result("done", done))
        tool = function_tool("do_it", "Do it.", {"type": "object", "properties": _schema(arguments)})
        yield Conversation(name=name, messages=messages, feature="tools", tools=(tool,))
    for name, content in _RESULTS.items():
        messages = (ASK, assistant("", PARIS), result(content, PARIS))
        yield Conversation(name=name, messages=messages, feature="tools", tools=offered)
    ticket = (user("It is broken."), assistant("", _TICKET), result("done", _TICKET))
    yield Conversation(
        name="call with names in capitals", messages=ticket, feature="tools", tools=(_DOCUMENTED,)
    )


_WITH_OTHER_TOOLS: dict[str, tuple[tuple[Mapping[str, Any], ...], tuple[Message, ...]]] = {
    "one tool": ((WEATHER,), (ASK,)),
    "a tool without parameters": ((_CLOCK,), (BRIEF, user("What time is it?"))),
    "nested schema": ((_NESTED,), (user("Book a trip to Rome."),)),
    "three tools, nested schema": ((WEATHER, _NESTED, _CLOCK), (BRIEF, user("Book a trip to Rome."))),
    "odd descriptions": ((_ODD, WEATHER), (user("Say hello to Orléans."),)),
    "descriptions of many lines, names in capitals": ((_DOCUMENTED, _CLOCK), (user("It is broken."),)),
}
_WITH_TOOLS: dict[str, tuple[Message, ...]] = {
    "two tools": (ASK,),
    "system, two tools": (BRIEF, ASK),
    "tools in a later turn": (*turns(2), ASK),
    "system, tools in a later turn": (BRIEF, *turns(1), ASK),
    "call and result": _ASKED,
    "system, call and result": (BRIEF, *_ASKED),
    "call, result, answer, question": (*_ANSWERED, user("Thanks. And tomorrow?")),
    "system, call, result, answer, question": (BRIEF, *_ANSWERED, user("Thanks. And tomorrow?")),
    "call in a later turn": (*turns(1), *_ASKED),
    "calls in two turns": (
        *_ANSWERED,
        *(user("And in Oslo?"), assistant("", OSLO), result("3 degrees, snow", OSLO)),
    ),
    "text before a call": (
        *(ASK, assistant("Let me look that up.", PARIS), result("22 degrees, sunny", PARIS)),
    ),
    "parallel calls": (
        *(user("Paris and Oslo?"), assistant("", PARIS, OSLO)),
        *(result("22 degrees", PARIS), result("3 degrees", OSLO)),
    ),
    "parallel calls, answer, question": (
        *(BRIEF, user("Paris and Oslo?"), assistant("", PARIS, OSLO)),
        *(result("22 degrees", PARIS), result("3 degrees", OSLO)),
        *(assistant("22 and 3 degrees."), user("Thanks!")),
    ),
    "three parallel calls of two tools": (
        *(user("Everything."), assistant("One moment.", PARIS, _FIND, OSLO)),
        *(result("22 degrees", PARIS), result("[]", _FIND), result("3 degrees", OSLO)),
    ),
    "two steps": (*_ASKED, assistant("", _FIND), result('["a", "b"]', _FIND)),
    "three steps, answer, question": (
        *(BRIEF, *_ASKED, assistant("", _FIND), result('["a", "b"]', _FIND)),
        *(assistant("", OSLO), result("3 degrees", OSLO), assistant("Done."), user("Thanks!")),
    ),
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "empty arguments": {},
    "Unicode in arguments": {"text": "Zürich — 東京 🎉 \u2028 \u00a0", "ü": "é"},
    "quotes and angle brackets in arguments": {"text": 'L\'"été" <b>&amp;</b> \\ / `x` {{ y }} {% z %}'},
    "lines in arguments": {"code": 'def f():\n\treturn "a\\nb"\n', "path": "C:\\new\r\n"},
    "nested arguments": {
        "list": [1, [2, [3]], {"a": {"b": "c"}}],
        "none": {},
        "object": {"deep": {"deeper": [True, "x"]}},
    },
    "numbers, bools and null in arguments": {
        "big": 1234567890,
        "half": 2.5,
        "minus": -3,
        "no": False,
        "nothing": None,
        "small": 0.001,
        "yes": True,
        "zero": 0,
    },
    "empty values in arguments": {"list": [], "object": {}, "text": ""},
}
_RESULTS: dict[str, str] = {
    "JSON as result": '{"temperature": 22.5, "sky": "sunny", "hours": [1, 2], "note": null}',
    "empty result": "",
    "odd result": ' <p>It\'s "22" & ça {{ x }}</p>\n\n```\n</tool_response>\n```\n',
}


_TICKET = call("createTicket", {"userId": "a@b.c", "Title": "It is broken", "CC": ["d@e.f"]}, "b2C3d4E5f")
_LEVEL = call("set_volume", {"level": 3.0}, "c3D4e5F6g")
_ANONYMOUS = call("get_weather", {"city": "Paris"}, "")
_IRREGULAR_WITH_TOOLS: dict[str, tuple[Mapping[str, Any], tuple[Message, ...]]] = {
    "result without name": (
        WEATHER,
        (ASK, assistant("", PARIS), Message(role="tool", content="22", tool_call_id=PARIS.id)),
    ),
    "result without id": (
        WEATHER,
        (ASK, assistant("", _ANONYMOUS), Message(role="tool", content="22", tool_name="get_weather")),
    ),
    "result without name and id": (
        WEATHER,
        (ASK, assistant("", _ANONYMOUS), Message(role="tool", content="22")),
    ),
    "result without call": (
        WEATHER,
        (result("22", PARIS), assistant("It is 22 degrees."), user("And tomorrow?")),
    ),
    "schema keys that Ollama drops": (_VALIDATED, (user("Louder!"),)),
    "a whole number as a float": (
        _VALIDATED,
        (user("Louder!"), assistant("", _LEVEL), result("done", _LEVEL)),
    ),
    "system in mid-chat, call and result": (WEATHER, (*_ANSWERED, FRENCH, user("And tomorrow?"))),
}


def _schema(arguments: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return {key: {"type": kinds.get(type(value), "null")} for key, value in arguments.items()}


def irregular_with_tools() -> Iterator[Conversation]:
    """Return conversations with what Ollama drops or has no field for."""
    for name, (tool, messages) in _IRREGULAR_WITH_TOOLS.items():
        yield Conversation(name=name, messages=messages, feature="irregular", tools=(tool,))
