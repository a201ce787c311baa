"""In which form a template takes contents and arguments: found by trying, as texts and otherwise."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeAlias, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall, function_tool
from gguf2ollama.chat.outcome import Outcome, Rendered

__all__ = ["Attempt", "Forms", "find_forms"]

_PROBE = "k7Qp2xVd"
_NOBODY = "j4Wz9bRc"  # a role
_ASK = Message(role="user", content="Hello")
_CALL = ToolCall(name="probe", arguments={"text": _PROBE}, id="p1R2o3B4e")
_QUIET = replace(_CALL, arguments={"text": "x"})
_TOOL = function_tool(
    _CALL.name,
    "Tries.",
    {"type": "object", "properties": {"text": {"type": "string"}}},
)


def _result(content: str) -> Message:
    return Message(role="tool", content=content, tool_name=_CALL.name, tool_call_id=_CALL.id)


_CALLING = (_ASK, Message(role="assistant", calls=(_CALL,)), _result("done"))
_SAYING: dict[str, tuple[Message, ...]] = {
    "user": (Message(role="user", content=_PROBE),),
    "system": (Message(role="system", content=_PROBE), _ASK),
    "assistant": (_ASK, Message(role="assistant", content=_PROBE), _ASK),
    "tool": (_ASK, Message(role="assistant", calls=(_QUIET,)), _result(_PROBE)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """In which form a template takes what most templates take as a text or an object.

    Attributes:
        typed_roles: The roles whose contents it shows only as lists of parts, ``{"type": "text", "text"}``.
        text_arguments: Whether it shows arguments of calls only as JSON that is text already.
        tool_responses: Whether it knows results only as ``tool_responses`` of the message that calls, and
            takes a message with a result for one of any role.
    """

    typed_roles: frozenset[str] = frozenset()
    text_arguments: bool = False
    tool_responses: bool = False


Attempt: TypeAlias = Callable[[Conversation, Forms], Outcome]
"""Renders a conversation told in some forms."""


def find_forms(attempt: Attempt, *, keys: Collection[str]) -> Forms:
    """Find the forms; a template that shows a probe in the usual form, or in none, is told the usual one.

    Args:
        attempt: Renders.
        keys: What the template looks up in values, without which some forms are out of the question.
    """

    def shows(messages: tuple[Message, ...], forms: Forms) -> bool:
        tools = (_TOOL,) if messages[-1].role == "tool" else ()
        outcome = attempt(Conversation(name="probe", messages=messages, tools=tools), forms)
        return isinstance(outcome, Rendered) and _PROBE in outcome.prompt

    def knows_results(forms: Forms) -> bool:
        """Return whether a message with a result is more to it than one of a role that nobody has."""
        told = _SAYING["tool"]
        by_nobody = (*told[:-1], replace(told[-1], role=cast("Any", _NOBODY)))
        known, unknown = (
            attempt(Conversation(name="probe", messages=one, tools=(_TOOL,)), forms)
            for one in (told, by_nobody)
        )
        if not isinstance(known, Rendered) or not isinstance(unknown, Rendered):
            return True
        return known.prompt != unknown.prompt.replace(_NOBODY, "tool")

    forms = Forms()
    for role in _SAYING if "text" in keys else ():
        other = replace(forms, typed_roles=forms.typed_roles | {role})
        if not shows(_SAYING[role], forms) and shows(_SAYING[role], other):
            forms = other
    if "arguments" in keys:
        other = replace(forms, text_arguments=True)
        if not shows(_CALLING, forms) and shows(_CALLING, other):
            forms = other
    if "tool_responses" in keys:
        other = replace(forms, tool_responses=True)
        if not knows_results(forms) and shows(_SAYING["tool"], other):
            forms = other
    return forms
