"""The messages and tools that llama.cpp renders to find how a template writes reasoning and calls.

Their texts are such as stand in no template. Source: the constants of ``common/chat-diff-analyzer.cpp`` of
llama.cpp b10488 and b11095, which do not differ in this.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ANSWER", "ARGUMENTS", "FUNCTIONS", "THOUGHT", "USER", "probe_tools"]

USER = "U_USER_MSG Hello END_U"
ANSWER = "A_ASST_MSG I can help END_A"
THOUGHT = "REASON_PART I am thinking END_R"
FUNCTIONS = ("FFF_FIRST_FUN_F", "SSS_SECOND_FUN_S")
ARGUMENTS = ("AA_ARG_FST_AA", "BB_ARG_SND_BB")


def probe_tools() -> list[dict[str, Any]]:
    """Return the two tools that are offered."""
    descriptions = ("First argument", "Second argument")
    properties = {
        name: {"type": "string", "description": description}
        for name, description in zip(ARGUMENTS, descriptions, strict=True)
    }
    schema = {"type": "object", "properties": properties, "required": []}
    return [
        {
            "type": "function",
            "function": {"name": name, "description": f"Test function {what}", "parameters": schema},
        }
        for name, what in zip(FUNCTIONS, ("foo", "bar"), strict=True)
    ]
