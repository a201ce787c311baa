"""Find out how a chat template writes tools, calls and results down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.synthesis.learning import Unlearnable
from gguf2ollama.chat.synthesis.probes import Forms, probe
from gguf2ollama.chat.synthesis.session import Session
from gguf2ollama.chat.synthesis.tool_forms import (
    ArgumentsForm,
    Refusal,
    ResultForm,
    TextArguments,
    ToolsForm,
    find_arguments_form,
    find_result_form,
    find_tools_form,
)
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED

__all__ = ["find_forms"]

F = TypeVar("F")
_CALLED = probe("uct", tools=MARKED).conversation


def find_forms(session: Session) -> Forms:
    """Find the forms.

    Raises:
        Unlearnable: One of them is none that is known, or neither tools nor calls are shown.
    """
    tools = _tools_form(session)
    (prompt,) = session.render([_CALLED])
    if prompt is None:
        raise Unlearnable("the template rejects tool calls")
    call, result = _CALLED.messages[1].calls[0], _CALLED.messages[2]
    (key,) = call.arguments
    arguments = _arguments_form(session) if key in prompt else None
    results = _result_form(session) if result.content in prompt else None
    alone = [one for one in _alone(session) if one is not None]
    call_kinds = frozenset(
        kind
        for kind, text in (("call name", call.name), ("call id", call.id))
        if any(text in one for one in alone)
    )
    if tools is None and not call_kinds and arguments is None:
        raise Unlearnable("the template prints neither tools nor tool calls")
    return Forms(tools=tools, arguments=arguments, result=results, call_kinds=call_kinds)


def _alone(session: Session) -> list[str | None]:
    """Render a call without its result."""
    asked = replace(_CALLED, messages=_CALLED.messages[:-1])
    return session.render([asked, asked], [False, True])


def _tools_form(session: Session) -> ToolsForm | None:
    asked = probe("u").conversation

    def render(offers: Sequence[Sequence[Mapping[str, Any]]]) -> list[str | None]:
        return session.render([replace(asked, tools=tuple(tools)) for tools in offers])

    without, given = render([(), MARKED])
    if given == without:
        return None
    return _known(find_tools_form(render))


def _arguments_form(session: Session) -> ArgumentsForm | TextArguments:
    odd = {"key": "<a> & 'b' \u2028", "list": [1, 2.5, None, {"x": True}]}
    (prompt,) = session.render([_with_arguments(odd)])
    if session.template.forms.text_arguments and prompt and TextArguments().print(odd) in prompt:
        return TextArguments()

    def render(values: Sequence[Mapping[str, Any]]) -> list[str | None]:
        return session.render([_with_arguments(value) for value in values])

    form: ArgumentsForm | Refusal = find_arguments_form(render)
    if isinstance(form, Refusal):
        raise Unlearnable(form.reason)
    return form


def _with_arguments(arguments: Mapping[str, Any]) -> Conversation:
    question, asking, result = _CALLED.messages
    call = replace(asking.calls[0], arguments=dict(arguments))
    return replace(_CALLED, messages=(question, replace(asking, calls=(call,)), result))


def _result_form(session: Session) -> ResultForm:
    def render(contents: Sequence[str]) -> list[str | None]:
        question, asking, result = _CALLED.messages
        return session.render(
            [replace(_CALLED, messages=(question, asking, replace(result, content=one))) for one in contents]
        )

    return _known(find_result_form(render))


def _known(form: F | Refusal) -> F:
    if isinstance(form, Refusal):
        raise Unlearnable(form.reason)
    return form
