"""What each version of Ollama hands to a template; the outputs were measured with its Go packages."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import ollama_template
from gguf2ollama.errors import InvalidInput, InvalidModelfile, UsageProblem
from gguf2ollama.ollama_template.execute import execute
from tests.unit.gotmpl.cases import HEAD

_TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "b": {"description": "x", "title": "B"},
                "a": {
                    "anyOf": [{"type": "string"}],
                    "type": "object",
                    "properties": {"y": {"type": "string"}, "x": {"type": "string"}},
                    "required": ["y"],
                },
            },
        },
    },
}
_BODY = {
    "messages": [
        {
            "role": "assistant",
            "content": "c",
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"b": 1, "a": 2}}}],
        },
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "1"},
    ],
    "tools": [_TOOL],
}
_TEXT = {"type": "string"}
_ANY = {"anyOf": [_TEXT], "type": "object"}
_DESCRIBED = {"description": "x"}


def _function(parameters, **description) -> str:
    """Return the tool's function as JSON, as a version has it."""
    function = {"name": "f", **description, "parameters": {"type": "object", **parameters}}
    return json.dumps(function, separators=(",", ":"))


_FUNCTIONS = {
    "0.11.10": _function(
        {
            "required": None,
            "properties": {
                "a": {"anyOf": [{**_TEXT, "description": ""}], "type": "object", "description": ""},
                "b": {"type": None, **_DESCRIBED},
            },
        },
        description="",
    ),
    "0.12.6": _function({"required": None, "properties": {"a": _ANY, "b": _DESCRIBED}}),
    "0.13.5": _function(
        {"properties": {"a": {**_ANY, "properties": {"x": _TEXT, "y": _TEXT}}, "b": _DESCRIBED}}
    ),
    "0.17.4": _function(
        {"properties": {"a": {**_ANY, "properties": {"y": _TEXT, "x": _TEXT}}, "b": _DESCRIBED}},
        description="",
    ),
    "0.24.0": _function(
        {
            "properties": {
                "a": {**_ANY, "properties": {"y": _TEXT, "x": _TEXT}, "required": ["y"]},
                "b": _DESCRIBED,
            }
        },
        description="",
    ),
}
_FUNCTIONS["0.32.15"] = _FUNCTIONS["0.34.4"] = _FUNCTIONS["0.24.0"]


_MESSAGE_COPY = (
    '{"Role":"tool","Content":"r","Thinking":"","Images":null,"ToolCalls":null,'
    '"ToolName":"f","ToolCallID":"1"}'
)


def _execute(template: str, body=_BODY, *, version: str = "0.34.4", **options) -> str:
    return execute(HEAD + template, body, version=version, **options)


@pytest.mark.parametrize("version", _FUNCTIONS)
def test_tools_as_json(version):
    function = _FUNCTIONS[version]
    assert _execute("{{ range .Tools }}{{ json .Function }}{{ end }}", version=version) == function
    assert _execute("{{ json .Tools }}|{{ .Tools }}", version=version) == "|".join(
        [f'[{{"type":"function","function":{function}}}]'] * 2
    )


_FLAT_TOOL = {
    "type": "function",
    "items": 1,
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "$defs": {},
            "properties": {"a": {"type": "string", "enum": ["x"], "items": {"type": "string"}}},
        },
    },
}


@pytest.mark.parametrize(
    "version, rest", [("0.5.4", ""), ("0.6.5", ""), ("0.6.6", ',"items":{"type":"string"}')]
)
def test_before_0_6_6_schemas_are_flat(version, rest):
    assert _execute(
        "{{ json (index .Tools 0).Function.Parameters }}", {"tools": [_FLAT_TOOL]}, version=version
    ) == (
        '{"type":"object",'
        + ('"$defs":{},' if rest else "")
        + '"required":null,"properties":{"a":{"type":"string"'
        + rest
        + ',"description":"","enum":["x"]}}}'
    )


def test_of_what_may_be_anything_only_what_does_not_exist_is_left_out():
    tool = {
        "items": [],
        "function": {
            "parameters": {
                "$defs": {},
                "items": None,
                "properties": {"a": {"items": {}, "enum": []}, "b": {"items": ""}, "c": {"items": False}},
            }
        },
    }
    told = json.loads(_execute("{{ json (index .Tools 0) }}", {"tools": [tool]}))
    assert told["items"] == []
    assert told["function"]["parameters"] == {
        "type": "",
        "$defs": {},
        "properties": {"a": {"items": {}}, "b": {"items": ""}, "c": {"items": False}},
    }


def test_before_0_6_6_a_type_is_a_text():
    tool = {"function": {"parameters": {"properties": {"a": {"type": ["string", "null"]}}}}}
    assert '["string","null"]' in _execute("{{ .Tools }}", {"tools": [tool]}, version="0.6.6")
    with pytest.raises(InvalidInput, match="expected a string"):
        _execute("", {"tools": [tool]}, version="0.6.5")


_RESULTS = {"messages": [{"role": "tool", "content": "a"}, {"role": "tool", "content": "b"}]}


@pytest.mark.parametrize("version, printed", [("0.9.0", "<a\n\nb>"), ("0.10.0", "<a><b>")])
def test_before_0_10_neighbouring_results_are_one(version, printed):
    assert _execute("{{ range .Messages }}<{{ .Content }}>{{ end }}", _RESULTS, version=version) == printed


@pytest.mark.parametrize(
    "field, version", [("Thinking", "0.8.0"), ("ToolName", "0.9.3"), ("ToolCallID", "0.12.6")]
)
def test_a_message_has_no_field_that_came_later(field, version):
    with pytest.raises(InvalidModelfile, match=f"has no field {field}"):
        _execute(f"{{{{ range .Messages }}}}{{{{ .{field} }}}}{{{{ end }}}}", version=version)


def test_before_0_9_nobody_hears_whether_to_think():
    asked = {**_BODY, "tools": None, "think": True}
    assert _execute("{{ .Think }}{{ .IsThinkSet }}", asked, version="0.8.0") == "<no value><no value>"
    assert _execute("{{ .Think }}{{ .IsThinkSet }}", asked, version="0.9.0") == "truetrue"
    assert ollama_template.render(HEAD + "x", asked, version="0.8.0") == "x"


def test_before_0_5_13_no_range_walks_over_a_number():
    with pytest.raises(InvalidModelfile, match=r"needs Ollama 0\.5\.13"):
        _execute("{{ range 2 }}{{ . }}{{ end }}", version="0.5.12")
    with pytest.raises(InvalidModelfile, match=r"needs Ollama 0\.5\.13"):
        execute("{{ range 2 }}{{ . }}{{ end }}{{ .Prompt }}{{ .Response }}", _BODY, version="0.5.12")
    assert _execute("{{ range 2 }}{{ . }}{{ end }}", version="0.5.13") == "01"


@pytest.mark.parametrize("version", ["0.13.5", "0.32.15", "0.34.4", "0.0.0"])
def test_a_tool_prints_as_json(version):
    printed = _execute("{{ range .Tools }}{{ . }}{{ end }}", version=version)
    assert printed.startswith('{"type":"function"')


@pytest.mark.parametrize("version", ["0.14.0", "0.17.4", "0.24.0"])
def test_between_0_14_and_0_24_a_tool_prints_as_a_struct(version):
    printed = _execute("{{ range .Tools }}{{ . }}{{ end }}", version=version)
    assert printed.startswith('{function <nil> {f  {object <nil> <nil> [] {"a":')


def test_a_function_prints_as_json_only_before_0_14():
    template = "{{ range .Tools }}{{ .Function }}|{{ .Function.Parameters }}{{ end }}"
    before, after = _execute(template, version="0.13.5"), _execute(template, version="0.14.0")
    assert before.startswith('{"name":"f","parameters":{')
    assert before.partition("|")[2].startswith('{"type":"object","properties":{')
    assert after.startswith('{f  {object <nil> <nil> [] {"a":')


@pytest.mark.parametrize(
    "version, printed",
    [
        ("0.11.10", '{{0 f map[a:2 b:1]}}{"function":{"name":"f","arguments":@}}@'),
        ("0.12.6", '{{0 f map[a:2 b:1]}}{"function":{"index":0,"name":"f","arguments":@}}@'),
        ("0.13.5", '{1 {0 f map[a:2 b:1]}}{"id":"1","function":{"index":0,"name":"f","arguments":@}}@'),
        ("0.34.4", '{1 {0 f @}}{"ID":"1","Function":{"Index":0,"Name":"f","Arguments":@}}@'),
    ],
)
def test_calls(version, printed):
    template = (
        "{{ range (index .Messages 0).ToolCalls }}{{ . }}{{ json . }}{{ .Function.Arguments }}{{ end }}"
    )
    assert _execute(template, version=version) == printed.replace("@", '{"a":2,"b":1}')


@pytest.mark.parametrize(
    "version, printed",
    [
        ("0.12.6", '{"role":"tool","content":"r","tool_name":"f"}{tool r  [] [] f}'),
        ("0.13.5", '{"role":"tool","content":"r","tool_name":"f","tool_call_id":"1"}{tool r  [] [] f 1}'),
        ("0.34.4", _MESSAGE_COPY + "{tool r  [] [] f 1}"),
    ],
)
def test_messages(version, printed):
    assert _execute("{{ json (index .Messages 1) }}{{ index .Messages 1 }}", version=version) == printed


def test_a_call_without_arguments_prints_an_empty_object():
    body = {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}
    arguments = "(index (index .Messages 0).ToolCalls 0).Function.Arguments"
    template = f"{{{{ {arguments} }}}}{{{{ json {arguments} }}}}"
    assert _execute(template, body) == "{}null"


def test_keys_match_in_any_case_and_roles_are_lowered():
    body = {"messages": [{"Role": "USER", "CONTENT": "x"}]}
    assert _execute("{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}", body) == "userx"


def test_numbers_of_arguments_are_floats():
    body = {
        "messages": [
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 10**6}}}]}
        ]
    }
    number = "(index (index .Messages 0).ToolCalls 0).Function.Arguments.a"
    template = f'{{{{ {number} }}}} {{{{ printf "%T" {number} }}}}'
    assert _execute(template, body) == "1e+06 float64"


# Collate.


def _chat(*messages: tuple[str, str]):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def test_neighbours_of_one_role_are_merged_but_for_tools():
    body = _chat(("user", "a"), ("user", "b"), ("tool", "c"), ("tool", "d"), ("assistant", "e"))
    body["messages"][1]["images"] = ["AAAA"]
    template = "{{ range .Messages }}{{ .Role }}:{{ .Content }}{{ .Images }};{{ end }}"
    assert _execute(template, body) == "user:a\n\nb[];tool:c[];tool:d[];assistant:e[];"


def test_systems_are_joined_and_stay_where_they_are():
    body = _chat(("system", "a"), ("user", "b"), ("system", "c"))
    template = "{{ .System }}|{{ range .Messages }}{{ .Role }}{{ end }}"
    assert _execute(template, body) == "a\n\nc|systemusersystem"


# Templates without .Messages.


def test_without_messages_a_template_runs_once_per_exchange():
    body = _chat(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    template = "[{{ .System }}|{{ .Prompt }}|{{ .Response }}]"
    assert execute(template, body) == "[s|a|b][|c|"


def test_a_last_answer_is_continued():
    body = _chat(("user", "a"), ("assistant", "b"))
    assert execute("[{{ .Prompt }}|{{ .Response }}]", body) == "[a|b"


def test_a_system_in_between_ends_an_exchange():
    body = _chat(("user", "a"), ("system", "s"), ("user", "b"))
    assert execute("[{{ .System }}|{{ .Prompt }}|{{ .Response }}]", body) == "[|a|][s|b|"


def test_a_response_is_added_where_there_is_none():
    body = _chat(("user", "a"), ("assistant", "b"), ("user", "c"))
    assert execute("<{{ .Prompt }}>", body) == "<a>b<c>"


def test_what_uses_the_response_in_an_if_loses_what_is_behind_it():
    body = _chat(("user", "a"))
    template = "{{ .Prompt }}{{ if true }}({{ .Response }}){{ end }}!"
    assert execute(template, body) == "a("


def test_a_response_before_an_else_breaks_the_server():
    with pytest.raises(InvalidModelfile, match="crashes Ollama's server"):
        execute("{{ if .Prompt }}{{ .Response }}{{ else }}x{{ end }}", _chat(("user", "a")))


def test_the_last_exchange_knows_none_of_ollamas_functions():
    with pytest.raises(InvalidModelfile, match="function json is not defined"):
        execute("{{ json .Prompt }}{{ .Response }}", _chat(("user", "a")))


def test_a_missing_value_has_fields_in_the_last_exchange_only():
    body = _chat(("user", "a"))
    assert execute("{{ .Gone.Foo }}{{ .Response }}", body) == "<no value>"
    with pytest.raises(InvalidModelfile, match="the field Foo of a missing value"):
        execute("{{ .Gone.Foo }}{{ .Response }}", _chat(("user", "a"), ("assistant", "b"), ("user", "c")))


# Thinking, dates, images, and what a server refuses.

_SHOWN = "{{ .Think }} {{ .IsThinkSet }} {{ .ThinkLevel }}"
_THINKS = "{{ range .Messages }}<t>{{ .Thinking }}</t>{{ end }}"


@pytest.mark.parametrize(
    "think, shown",
    [(None, "false false "), (True, "true true medium"), (False, "false true "), ("high", "true true high")],
)
def test_thinking_as_templates_see_it(think, shown):
    assert _execute(_SHOWN, {"think": think}) == shown


def test_levels_are_those_of_the_version():
    assert _execute(_SHOWN, {"think": "max"}) == "true true max"
    for version, level in (("0.20.0", "max"), ("0.11.0", "high"), ("0.34.4", "huge")):
        with pytest.raises(InvalidInput, match="think: expected"):
            _execute(_SHOWN, {"think": level}, version=version)


def test_a_server_lets_a_model_think_that_can():
    body = _chat(("user", "a"))
    assert ollama_template.render(_THINKS + _SHOWN, body) == "<t></t>true true medium"
    assert ollama_template.render(_THINKS + _SHOWN, body, version="0.12.0") == "<t></t>false false "
    assert ollama_template.render(HEAD + _SHOWN, body) == "false false "


def test_a_server_refuses_what_the_template_cannot():
    with pytest.raises(InvalidInput, match=r"does not use \.Tools"):
        ollama_template.render(HEAD, {"tools": [_TOOL]})
    with pytest.raises(InvalidInput, match="think tags"):
        ollama_template.render(HEAD, {"think": True})
    assert ollama_template.render(HEAD, {"think": False, "tools": []}) == ""


def test_dates_are_those_of_the_clock_given():
    now = datetime(2025, 3, 1, 12, tzinfo=UTC)
    template = '{{ currentDate }} {{ currentDate "x" }} {{ yesterdayDate }}'
    assert _execute(template, {}, now=now) == "2025-03-01 2025-03-01 2025-02-28"


@pytest.mark.parametrize(
    "function, version",
    [("yesterdayDate", "0.13.0"), ("currentDate", "0.11.0"), ("toTypeScriptType 1", "0.11.0")],
)
def test_functions_that_a_version_does_not_know(function, version):
    with pytest.raises(InvalidModelfile, match=f"cannot be parsed by Ollama {version} at line 1, column 32"):
        _execute(f"{{{{ {function} }}}}", {}, version=version)


def test_images_are_numbered_through_the_chat():
    body = _chat(("user", "a [img] [img]"), ("assistant", "b"), ("user", "c"))
    body["messages"][0]["images"] = ["AAAA", "AAAA", "AAAA"]
    body["messages"][2]["images"] = ["AAAA"]
    template = "{{ range .Messages }}{{ .Content }};{{ end }}"
    assert ollama_template.render(template, body) == "[img-2]a [img-0] [img-1];b;[img-3]c;"


@pytest.mark.parametrize(
    "body, what",
    [
        ({"messages": "x"}, "messages: expected an array"),
        ({"messages": ["x"]}, r"messages\[0\]: expected an object"),
        ({"messages": [{"role": "user", "content": 1}]}, r"messages\[0\]\.content: expected a string"),
        ({"messages": [{"content": [{"type": "text"}]}]}, r"messages\[0\]\.content: expected a string"),
        ({"messages": [{"images": ["#"]}]}, r"images\[0\]: expected a base64-encoded file"),
        (
            {"messages": [{"tool_calls": [{"function": {"arguments": "{}"}}]}]},
            "arguments: expected an object",
        ),
        ({"messages": [{"tool_calls": [{"function": {"index": 1.5}}]}]}, "index: expected an integer"),
        ({"tools": {}}, "tools: expected an array"),
        ({"tools": [{"function": {"parameters": {"required": [1]}}}]}, r"required\[0\]: expected a string"),
        ({"tools": [{"items": float("nan")}]}, "out of range for float64"),
        ({"think": 1.5}, "think: expected"),
    ],
)
def test_bodies_that_a_server_refuses(body, what):
    with pytest.raises(InvalidInput, match=what):
        _execute("{{ .Tools }}", body)


def test_bodies_that_nest_without_end_are_refused():
    deep: dict = {"type": "object"}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    with pytest.raises(InvalidInput, match="too deeply"):
        _execute("", {"tools": [{"function": {"parameters": deep}}]})
    items: list = []
    for _ in range(5000):
        items = [items]
    with pytest.raises(InvalidInput, match="levels deep"):
        _execute("", {"tools": [{"items": items}]})


def test_what_is_not_a_version_is_refused():
    with pytest.raises(UsageProblem, match="invalid Ollama version"):
        _execute("", {}, version="newest")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    ["role", "content", "tool_calls", "function", "arguments", "parameters", "type", "images"]
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "tools", "think"]), _JSON | st.lists(st.dictionaries(_KEYS, _JSON))
    )
)
def test_any_body_renders_or_is_refused(body):
    with contextlib.suppress(InvalidInput):
        _execute("{{ json .Tools }}{{ range .Messages }}{{ json . }}{{ . }}{{ end }}", body)
