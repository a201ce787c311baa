"""Forms of tools, arguments and results are found in what chat templates render, and Go prints them alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Template, TemplateError

from gguf2ollama.chat.synthesis.tool_forms import (
    ArgumentsForm,
    EachArgument,
    GoText,
    Refusal,
    ResultForm,
    ToolsForm,
    WholeArguments,
    find_arguments_form,
    find_result_form,
    find_tools_form,
)
from gguf2ollama.chat.synthesis.tool_forms.go_values import go_value
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED, Tool, held_out_tools, tool
from gguf2ollama.chat.synthesis.tool_forms.styles import JSON_STYLES, PYTHON
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.jinja.environment import make_environment
from gguf2ollama.ollama_template.execute import execute
from tests import reference
from tests.examples import examples

_LOOP = "{% for t in tools %}{% set f = t.function %}{% set p = f.parameters %}BODY{% endfor %}"
_BLOCKS = {
    "a line of JSON each": _LOOP.replace("BODY", "\n{{ t | tojson }}"),
    "a list": "{{ tools | tojson }}",
    "an indented list": "{{ tools | tojson(indent=4) }}",
    "indented each": _LOOP.replace("BODY", "{{ t | tojson(indent=2) }}\n\n"),
    "compact": "{{ tools | tojson(separators=(',', ':')) }}",
    "functions in brackets": "[" + _LOOP.replace("BODY", "{{ f | tojson }}{{ ', ' if not loop.last }}") + "]",
    "name and parameters": _LOOP.replace("BODY", "## {{ f.name }}\n{{ f.description }}\n{{ p | tojson }}\n"),
    "Python": "{{ tools }}",
    "HTML": _LOOP.replace("BODY", "Use '{{ f.description | e }}':\n{{ f | tojson | e }}\n"),
    "names first": "{% for t in tools %}{{ t.function.name }}, {% endfor %}are: {{ tools | tojson }}",
    "ASCII": "{{ tools | tojson(ensure_ascii=True) }}",
}


_ASKED_OF_GO = {  # the rest would take as long and say no more
    "two parameters",
    "no parameters",
    "marks and lines in texts",
    "an object",
    "an object in an object",
    "a list of objects",
}


def _tools_renderer(block: str) -> Callable[[Sequence[Sequence[Tool]]], list[str | None]]:
    messages = [reference.user("Hello")]
    template = _template("{% for m in messages %}{{ m.content }}{% endfor %}<tools>" + block + "</tools>")
    return lambda lists: [_rendered(template, messages=messages, tools=list(tools)) for tools in lists]


def _template(text: str) -> Template:
    return make_environment(now=None).from_string(text)


def _rendered(template: Template, **variables: Any) -> str | None:
    try:
        return template.render(variables)
    except (TemplateError, TypeError):
        return None


_go_template = lru_cache(parse)


@lru_cache
def _form_of_block(name: str) -> ToolsForm:
    form = find_tools_form(_tools_renderer(_BLOCKS[name]))
    assert isinstance(form, ToolsForm), form
    return form


def _in_go(text: GoText, body: Mapping[str, Any], *, each: str = "") -> str:
    end = "{{- end }}"
    turns = "{{- range .Messages }}"
    printed = f"{turns}{each}{text.statements}{end}{end}" if each else f"{text.statements}{turns}{end}"
    template = _go_template("".join(define.text for define in text.defines) + printed)
    return execute(template, {"messages": [reference.user("Hello")], **body}, version="0.34.4")


@pytest.mark.parametrize("name", _BLOCKS)
def test_a_block_is_found_and_go_prints_it(name: str) -> None:
    render = _tools_renderer(_BLOCKS[name])
    form = _form_of_block(name)
    held_out = {one: tools for one, tools in held_out_tools().items() if one not in form.exceptions}
    for one, text in zip(held_out, render(list(held_out.values())), strict=True):
        tools = held_out[one]
        assert text is not None
        assert form.locate(text, tools) is not None, one
        if one in _ASKED_OF_GO:
            assert _in_go(form.go(), {"tools": list(tools)}) == form.print(tools), one


@pytest.mark.parametrize(
    "block, reason",
    [
        ("{{ raise_exception('no tools') }}", "rejects tools"),
        ("{% for t in tools %}{{ t.function.name | reverse }}{% endfor %}", "no complete value"),
        ("{{ tools[:2] | tojson }}", "no complete value"),
        (
            "{% for t in tools %}{{ t | tojson if not loop.last else t.function | tojson }}{% endfor %}",
            "differently from each other",
        ),
        (
            "{% for t in tools %}{{ t | tojson if t.function.name.startswith('xq') }}{% endfor %}",
            "do not follow the rules found",
        ),
        (
            _LOOP.replace(
                "BODY", "{{ f.name }}{% for k in p.properties %}{{ loop.index }}. {{ k }}{% endfor %};"
            ),
            "no complete value",
        ),
    ],
)
def test_what_follows_no_known_rule_is_refused(block: str, reason: str) -> None:
    refusal = find_tools_form(_tools_renderer(block))
    assert isinstance(refusal, Refusal), refusal
    assert reason in refusal.reason


def test_tools_are_located_only_where_they_stand_once() -> None:
    form = _form_of_block("a list")
    block = form.print(MARKED)
    assert form.locate(f"<{block}>", MARKED) == (1, 1 + len(block))
    assert form.locate(block + block, MARKED) is None
    assert form.locate("", MARKED) is None


_CALL = "{% for m in messages %}{% for c in m.tool_calls or [] %}{% set a = c.function.arguments %}"
_END = "{% endfor %}{% endfor %}!"
_PAIRS = "{% for k, v in a.items() %}BODY{% endfor %}"
_ARGUMENTS = {
    "JSON": _CALL + '{"arguments": {{ a | tojson }}}' + _END,
    "compact": _CALL + "{{ a | tojson(separators=(',', ':')) }}" + _END,
    "indented in a call": _CALL + "{{ c.function | tojson(indent=4) }}" + _END,
    "JSON in a string": _CALL + "{{ a | tojson | tojson }}" + _END,
    "Python": _CALL + "{{ a }}" + _END,
    "XML": _CALL
    + _PAIRS.replace("BODY", "\n<p={{ k }}>\n{{ v if v is string else v | tojson }}\n</p>")
    + _END,
    "Python's keywords": _CALL
    + "f("
    + _PAIRS.replace("BODY", "{{ k }}={{ v | tojson if v is string else v }}{{ ', ' if not loop.last }}")
    + ")"
    + _END,
    "told by kind": _CALL
    + _PAIRS.replace("BODY", "<p text={{ v is string }}>{{ k }}:{{ v if v is string else v | tojson }}</p>")
    + _END,
    "nothing for none": _CALL
    + "{% if a %}with "
    + _PAIRS.replace("BODY", "{{ k }}: {{ v | tojson }}{{ ', ' if not loop.last }}")
    + "{% else %}alone{% endif %}"
    + _END,
    "texts with escapes of its own": _CALL
    + _PAIRS.replace(
        "BODY",
        "{{ k }}={% if v is string %}'{{ v | replace('\\\\', '\\\\\\\\') | replace(\"'\", \"\\\\'\") }}'"
        "{% else %}{{ v | tojson }}{% endif %};",
    )
    + _END,
}
_SOME: tuple[Mapping[str, Any], ...] = (
    {},
    {"city": "Paris"},
    {
        "a": 'L\'"été" <&>\u2028\\',
        "b": [1, 2.5, True, None, {"x": "y"}],
        "c": {},
        "d": False,
        "e": "",
        "f": None,
    },
)


def _arguments_renderer(template: str) -> Callable[[Sequence[Mapping[str, Any]]], list[str | None]]:
    compiled = _template(template)

    def render(asked: Sequence[Mapping[str, Any]]) -> list[str | None]:
        calls = [reference.call("find", dict(arguments)) for arguments in asked]
        answers = [[reference.assistant("", tool_calls=[call])] for call in calls]
        return [_rendered(compiled, messages=[reference.user("Hello"), *one]) for one in answers]

    return render


@pytest.mark.parametrize("name", _ARGUMENTS)
def test_arguments_are_found_and_go_prints_them(name: str) -> None:
    render = _arguments_renderer(_ARGUMENTS[name])
    form = find_arguments_form(render)
    assert isinstance(form, (WholeArguments, EachArgument)), form
    for arguments, text in zip(_SOME, render(_SOME), strict=True):
        printed = form.print(arguments)
        assert text is not None
        assert printed in text
        assert not printed or form.locate(text, arguments) is not None
        assert _arguments_in_go(form, arguments) == printed


def _arguments_in_go(form: ArgumentsForm, arguments: Mapping[str, Any]) -> str:
    call = {"function": {"name": "find", "arguments": arguments}}
    messages = [reference.user("Hello"), {"role": "assistant", "content": "", "tool_calls": [call]}]
    text = form.go("$call.Function.Arguments")
    return _in_go(text, {"messages": messages}, each="{{- range $call := .ToolCalls }}")


@pytest.mark.parametrize(
    "template, reason",
    [
        ("{{ raise_exception('no calls') if messages[1].tool_calls }}", "rejects"),
        (_CALL + "{{ a.values() | list | length }}" + _END, "in an unknown format"),
        (
            _CALL + "{{ (a | tojson) if a.city is not defined else 'Paris' }}" + _END,
            "do not follow the rules found",
        ),
    ],
)
def test_arguments_of_no_known_form_are_refused(template: str, reason: str) -> None:
    refusal = find_arguments_form(_arguments_renderer(template))
    assert isinstance(refusal, Refusal), refusal
    assert reason in refusal.reason


def _results_renderer(template: str) -> Callable[[Sequence[str]], list[str | None]]:
    compiled = _template(template)
    return lambda contents: [_rendered(compiled, messages=[reference.result(one)]) for one in contents]


@pytest.mark.parametrize("printed", ["m.content", "m.content | tojson", '{"content": m.content} | tojson'])
def test_a_result_is_found_and_go_prints_it(printed: str) -> None:
    template = "{% for m in messages %}<{{ " + printed + " }}>{% endfor %}"
    form = find_result_form(_results_renderer(template))
    assert isinstance(form, ResultForm), form
    content = 'it is "hot" & \\n\n<b> é'
    messages = [reference.user("Hello"), {"role": "tool", "content": content}]
    text = _in_go(form.go(), {"messages": messages}, each='{{- if eq .Role "tool" }}')
    assert text == form.print(content)


def test_results_that_depend_on_what_stands_in_them_are_refused() -> None:
    printed = "{{ m.content if m.content.startswith('{') else m.content | tojson }}"
    template = "{% for m in messages %}" + printed + "{% endfor %}"
    refusal = find_result_form(_results_renderer(template))
    assert isinstance(refusal, Refusal)
    assert "depends on their content" in refusal.reason


_FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "{{ t | tojson }}",
            "{{ f.name }}",
            "{{ f.name | upper }}",
            "{{ f.description }}",
            "{{ f.description | tojson }}",
            "{{ p | tojson(indent=2) }}",
            "{{ p.required | join(',') }}",
            "{{ loop.index }}",
            "{% if loop.last %}last{% endif %}",
            "{% if p.required %}must: {% endif %}",
            "{% for k, v in p.properties.items() %}{{ k }}={{ v.type }};{% endfor %}",
            "{% for k, v in p.properties.items() %}[{{ v }}]{% endfor %}",
            "{% for k, v in p.properties | dictsort %}{{ k }}{{ v.enum or '-' }}{% endfor %}",
            "{{ p.properties | length }}",
            "{{ raise_exception('no') if p['$defs'] }}",
            "{{ f.name[:3] }}",
            " ",
            "\n",
            "aq0",
        ]
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(0.6), deadline=None)
@given(_FRAGMENTS)
def test_whatever_a_template_does_with_tools_there_is_a_form_or_a_reason(fragments: list[str]) -> None:
    render = _tools_renderer(_LOOP.replace("BODY", "".join(fragments)))
    form = find_tools_form(render)
    if isinstance(form, Refusal):
        assert form.reason
        return
    tools = [tool("new_one", {"city": {"type": "string"}}, description="Does it", required=["city"])]
    (text,) = render([tools])
    assert text is not None
    assert form.print(tools) in text


_ARGUMENT_FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "{{ k }}",
            "{{ k | upper }}",
            "{{ v }}",
            "{{ v | tojson }}",
            "{{ v | string | trim }}",
            "{{ v | e }}",
            "{{ v if v is string else v | tojson }}",
            "{{ v | length if v is string }}",
            "{% if v is string %}text{% elif v is none %}none{% endif %}",
            "{{ ', ' if not loop.last }}",
            "{{ loop.index }}",
            "=",
            "\n",
            " a ",
        ]
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(1), deadline=None)
@given(_ARGUMENT_FRAGMENTS)
def test_whatever_a_template_does_with_arguments_there_is_a_form_or_a_reason(fragments: list[str]) -> None:
    render = _arguments_renderer(_CALL + _PAIRS.replace("BODY", "".join(fragments)) + _END)
    form = find_arguments_form(render)
    if isinstance(form, Refusal):
        assert form.reason
        return
    arguments = {"city": "New 'York' <\"x\">", "days": 4, "more": {"a": [None, False]}}
    (text,) = render([arguments])
    assert text is not None
    assert form.print(arguments) in text
    assert _arguments_in_go(form, arguments) == form.print(arguments)


_PLAIN = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=6) | st.text(
    "\"'\\<>&/{}[]:,\n\x7f\u2028\u00a0\u200bé🎉", max_size=6
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10_000, 10_000) | _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_PLAIN, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(1), deadline=None)
@given(st.sampled_from(JSON_STYLES), st.dictionaries(_PLAIN, _VALUES, max_size=3))
def test_go_prints_any_value_as_python_does(style: Any, arguments: dict[str, Any]) -> None:
    in_order = json.loads(json.dumps(arguments, sort_keys=True))
    call = {"function": {"name": "find", "arguments": in_order}}
    messages = [reference.user("Hello"), {"role": "assistant", "content": "", "tool_calls": [call]}]
    text = go_value("$call.Function.Arguments", style)
    got = _in_go(text, {"messages": messages}, each="{{- range $call := .ToolCalls }}")
    assert got == style.print(in_order)


def test_python_style_chooses_quotes_as_repr_does() -> None:
    assert PYTHON.print({"a": "it's", "b": [True, None]}) == """{'a': "it's", 'b': [True, None]}"""


def test_a_tool_of_the_probes_has_its_keys_in_ollamas_order() -> None:
    one = tool("f", {"b": {}, "a": {}}, required=["a"], definitions={"X": {}})
    assert list(one["function"]["parameters"]) == ["type", "$defs", "required", "properties"]
    assert list(one["function"]["parameters"]["properties"]) == ["a", "b"]
