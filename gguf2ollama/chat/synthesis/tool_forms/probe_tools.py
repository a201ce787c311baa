"""The tools that a chat template is asked about: canonical ones, as Ollama hands them on.

A name is found again wherever it is printed; a description has in it what every way of escaping changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["MARKED", "ODD_TEXT", "ORDINARY", "Tool", "held_out_tools", "marked_tool", "tool"]

Tool = Mapping[str, Any]
ODD_TEXT = 'é "two" <b> & c\\d it\'s'


def tool(
    name: str,
    properties: Mapping[str, Any],
    *,
    description: str = "",
    required: Sequence[str] = (),
    definitions: Mapping[str, Any] | None = None,
) -> Tool:
    """Make a tool with its keys in the order in which Ollama hands them on."""
    parameters: dict[str, Any] = {"type": "object"}
    if definitions:
        parameters["$defs"] = definitions
    if required:
        parameters["required"] = list(required)
    parameters["properties"] = {key: properties[key] for key in sorted(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def marked_tool(number: int) -> Tool:
    """Make a tool whose every text tells its number: one optional property and one required."""
    return tool(
        f"xq{number}tool",
        {
            f"aq{number}": {"type": "string", "description": f"yq{number} {ODD_TEXT} aq{number}z"},
            f"bq{number}": {"type": "integer"},
        },
        description=f"zq{number} {ODD_TEXT} zq{number}z",
        required=[f"aq{number}"],
    )


MARKED = tuple(marked_tool(number) for number in range(3))

ORDINARY: Mapping[str, Tool] = {
    "no parameters": tool("list_users", {}, description="Lists users"),
    "two parameters": tool(
        "get_weather",
        {
            "city": {"type": "string", "description": "The city, and its country"},
            "unit": {"type": "string", "description": "Celsius or not", "enum": ["c", "f"]},
        },
        description="Tells the weather",
        required=["city"],
    ),
    "all optional": tool(
        "search",
        {
            "count": {"type": "integer", "description": "How many"},
            "exact": {"type": "boolean"},
            "limit": {"type": "number", "description": "At most"},
        },
        description="Searches",
    ),
    "a list of texts": tool(
        "send_mail",
        {
            "to": {"type": "array", "items": {"type": "string"}, "description": "Whom"},
            "text": {"type": "string"},
        },
        description="Sends a mail",
        required=["text", "to"],
    ),
}
"""What nearly every tool is like: a form that prints one of these otherwise than the template is none."""

_SPECIAL: Mapping[str, Tool] = {
    "no description": tool("ping", {"host": {"type": "string"}}, required=["host"]),
    "an empty parameter": tool("echo", {"value": {}}, description="Echoes"),
    "marks and lines in texts": tool(
        "draw",
        {"shape": {"type": "string", "description": ODD_TEXT + "\n\tnext: 日本 🎉"}},
        description=ODD_TEXT + "\nSecond, line: {x} [y]\u2028",
    ),
    "white space around a description": tool(
        "trim", {"text": {"type": "string", "description": " some text \n"}}, description="\n A tool. "
    ),
    "an enum of numbers": tool(
        "pick", {"level": {"type": "integer", "enum": [1, 2, 3]}}, description="Picks"
    ),
    "an enum of one": tool("on", {"mode": {"type": "string", "enum": ["auto"]}}, description="Switches"),
    "an enum of all kinds": tool(
        "mix", {"any": {"type": "string", "enum": ["a", 1, 2.5, True, None, '"']}}, description="Mixes"
    ),
    "an object": tool(
        "book",
        {
            "guest": {
                "type": "object",
                "description": "Who",
                "properties": {"name": {"type": "string", "description": "Full"}, "age": {"type": "integer"}},
                "required": ["name"],
            },
            "nights": {"type": "integer", "description": "How long"},
        },
        description="Books",
        required=["guest"],
    ),
    "an object in an object": tool(
        "move",
        {
            "to": {
                "type": "object",
                "properties": {
                    "place": {
                        "type": "object",
                        "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                        "required": ["street"],
                    },
                    "date": {"type": "string", "description": "When", "enum": ["now", "then"]},
                },
            },
        },
        description="Moves",
    ),
    "an object without properties": tool("put", {"data": {"type": "object"}}, description="Puts"),
    "a list of objects": tool(
        "plot",
        {
            "points": {
                "type": "array",
                "items": {
                    "properties": {
                        "x": {"type": "number"},
                        "y": {"enum": ["low", "high"], "type": "string"},
                        "z": {"description": "Up", "items": {"type": "integer"}, "type": "array"},
                    },
                    "required": ["x"],
                    "type": "object",
                },
            }
        },
        description="Plots",
    ),
    "a list of anything": tool("join", {"parts": {"type": "array"}}, description="Joins"),
    "a list of choices": tool(
        "tag",
        {"tags": {"type": "array", "items": {"enum": ["x", "y"], "type": "string"}}},
        description="Tags",
    ),
    "a list of lists": tool(
        "sum",
        {"rows": {"type": "array", "items": {"items": {"type": "number"}, "type": "array"}}},
        description="Sums",
    ),
    "more than one type": tool(
        "set", {"value": {"type": ["string", "null"], "description": "Or none"}}, description="Sets"
    ),
    "a choice of schemas": tool(
        "find",
        {"by": {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "What by"}},
        description="Finds",
    ),
    "definitions": tool(
        "make",
        {"item": {"type": "string"}},
        description="Makes",
        definitions={"Item": {"properties": {"id": {"type": "string"}}, "type": "object"}},
    ),
}


def held_out_tools() -> Mapping[str, Sequence[Tool]]:
    """Return the lists of tools that no rule is learnt from, each under what is particular about it."""
    ordinary = tuple(ORDINARY.values())
    several = {"four tools": ordinary, "four tools, backwards": ordinary[::-1]}
    return (
        several
        | {name: (one,) for name, one in ORDINARY.items()}
        | {name: (one, ordinary[1]) for name, one in _SPECIAL.items()}
    )
