"""In nearly all real chat templates the forms of tools and arguments are found, and Go prints them alike."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template, TemplateError

from gguf2ollama.chat.synthesis.tool_forms import (
    GoText,
    Refusal,
    find_arguments_form,
    find_tools_form,
)
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import ORDINARY, Tool, marked_tool
from gguf2ollama.jinja.environment import make_environment
from gguf2ollama.ollama_template.execute import execute
from tests import reference

pytestmark = pytest.mark.corpus

_CORPUS = Path(__file__).resolve().parents[6] / "shared" / "corpus" / "chat_templates"
# of the templates that print tools, and of those that print calls: others write them field by field, in a
# format of their own, whose calls no Ollama reads that needs a TEMPLATE
_SHARES = 0.71, 0.85
_ARGUMENTS = {"city": 'L\'"été" <b>', "days": 3, "more": [True, None, {"a": 0.5}]}


def _templates() -> Iterator[tuple[str, Template]]:
    paths = sorted(_CORPUS.glob("*.jinja"))
    if not paths:
        pytest.skip(f"no corpus of chat templates at {_CORPUS}: about 180 are not looked at")
    for path in paths:
        with contextlib.suppress(TemplateError):  # some are no Jinja at all
            yield path.stem, make_environment(now=None).from_string(path.read_text("utf-8"))


def _rendered(template: Template, **variables: Any) -> str | None:
    try:
        return template.render(variables, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
    except (TemplateError, TypeError, RecursionError):
        return None


def _with_tools(template: Template) -> Callable[[Sequence[Sequence[Tool]]], list[str | None]] | None:
    """Return what renders tools, with or without a system message, if they are printed."""
    question = reference.user("Hello")
    for messages in ([reference.system("Be brief."), question], [question]):

        def render(
            lists: Sequence[Sequence[Tool]], messages: list[dict[str, Any]] = messages
        ) -> list[str | None]:
            return [_rendered(template, messages=messages, tools=list(tools)) for tools in lists]

        if "xq1tool" in (render([[marked_tool(1)]])[0] or ""):
            return render
    return None


def _with_calls(template: Template) -> Callable[[Sequence[Mapping[str, Any]]], list[str | None]] | None:
    """Return what renders the arguments of a call, told as an object or as its text, if they are printed."""
    for write in (dict, lambda arguments: json.dumps(arguments, ensure_ascii=False)):
        for content in ("", None):

            def render(
                asked: Sequence[Mapping[str, Any]], write: Any = write, content: str | None = content
            ) -> list[str | None]:
                calls = [reference.call("xq1tool", write(arguments)) for arguments in asked]
                answers = [{"role": "assistant", "content": content, "tool_calls": [call]} for call in calls]
                end = [reference.result("done", "xq1tool")]
                chats = [[reference.user("Hello"), answer, *end] for answer in answers]
                return [_rendered(template, messages=chat, tools=[marked_tool(1)]) for chat in chats]

            if "vq1v" in (render([{"key": "vq1v"}])[0] or ""):
                return render
    return None


def _in_go(text: GoText, body: Mapping[str, Any], *, each: str = "") -> str:
    end = "{{- end }}"
    turns = "{{- range .Messages }}"
    printed = f"{turns}{each}{text.statements}{end}{end}" if each else f"{text.statements}{turns}{end}"
    template = "".join(define.text for define in text.defines) + printed
    return execute(template, {"messages": [reference.user("Hello")], **body}, version="0.34.4")


def test_tools_are_found_in_nearly_all_templates() -> None:
    asked, refused = 0, []
    tools = [ORDINARY["two parameters"], ORDINARY["a list of texts"]]
    for name, template in _templates():
        render = _with_tools(template)
        if render is None:
            continue
        asked += 1
        form = find_tools_form(render)
        if isinstance(form, Refusal):
            refused.append(f"{name}: {form.reason}")
            continue
        (text,) = render([tools])
        assert text is not None
        assert form.locate(text, tools) is not None, name
        assert _in_go(form.go(), {"tools": tools}) == form.print(tools), name
    assert len(refused) <= (1 - _SHARES[0]) * asked, refused


def test_arguments_are_found_in_nearly_all_templates() -> None:
    asked, refused = 0, []
    call = {"function": {"name": "find", "arguments": _ARGUMENTS}}
    messages = [reference.user("Hello"), {"role": "assistant", "content": "", "tool_calls": [call]}]
    for name, template in _templates():
        render = _with_calls(template)
        if render is None:
            continue
        asked += 1
        form = find_arguments_form(render)
        if isinstance(form, Refusal):
            refused.append(f"{name}: {form.reason}")
            continue
        (text,) = render([_ARGUMENTS])
        assert text is not None
        assert form.locate(text, _ARGUMENTS) is not None, name
        printed = _in_go(
            form.go("$call.Function.Arguments"),
            {"messages": messages},
            each="{{- range $call := .ToolCalls }}",
        )
        assert printed == form.print(_ARGUMENTS), name
    assert len(refused) <= (1 - _SHARES[1]) * asked, refused
