"""What Ollama hands on of conversations, per version and path."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.ollama_input import canonical, canonical_value
from gguf2ollama.errors import UsageProblem
from gguf2ollama.oci import go_json

SCHEMA = {
    "type": "object",
    "title": "lost",
    "properties": {
        "zone": {"type": ["string", "null"], "format": "lost", "description": "Z"},
        "area": {
            "type": "object",
            "properties": {"y": {"type": "number", "minimum": 1}, "x": {}},
            "required": ["y"],
        },
        "kind": {"anyOf": [{"type": "integer"}, {"type": "null"}], "enum": [1.0, {"b": 1, "a": 2.5}]},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 3.0}},
    },
    "required": ["zone"],
    "$defs": {"b": 1, "a": 2},
}
TOOL = {
    "type": "function",
    "strict": True,
    "items": {"b": 1, "a": 2},
    "function": {"name": "find", "strict": True, "parameters": SCHEMA},
}


def conversation(*messages, tools=()):
    return Conversation(name="c", messages=tuple(messages), tools=tuple(tools))


def parameters(path, version):
    return canonical(conversation(tools=[TOOL]), path=path, version=version).tools[0]["function"][
        "parameters"
    ]


def user(content):
    return Message(role="user", content=content)


def test_keys_come_in_the_order_of_ollamas_types_and_unknown_ones_are_lost():
    (tool,) = canonical(conversation(tools=[TOOL]), path="go", version="0.34.4").tools
    assert list(tool) == ["type", "items", "function"]
    assert list(tool["items"]) == ["a", "b"]
    assert list(tool["function"]) == ["name", "parameters"]
    schema = tool["function"]["parameters"]
    assert list(schema) == ["type", "$defs", "required", "properties"]
    assert list(schema["properties"]) == ["area", "kind", "list", "zone"]
    assert schema["properties"]["zone"] == {"type": ["string", "null"], "description": "Z"}
    assert json.dumps(schema["properties"]["kind"]) == json.dumps(
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "enum": [1, {"a": 2.5, "b": 1}]}
    )
    assert json.dumps(schema["properties"]["list"]["items"]) == '{"maxLength": 3, "type": "string"}'


def test_llama_cpp_keeps_the_order_of_properties_and_always_tells_a_description():
    (tool,) = canonical(conversation(tools=[TOOL]), path="native", version="0.34.4").tools
    assert list(tool) == ["type", "function"]
    assert list(tool["function"].items())[1] == ("description", "")
    assert list(tool["function"]["parameters"]["properties"]) == ["zone", "area", "kind", "list"]


@pytest.mark.parametrize(
    "version, area",
    [
        ("0.34.4", {"type": "object", "properties": {"y": {"type": "number"}, "x": {}}, "required": ["y"]}),
        ("0.17.4", {"type": "object", "properties": {"y": {"type": "number"}, "x": {}}}),
        ("0.13.5", {"type": "object", "properties": {"x": {}, "y": {"type": "number"}}}),
        ("0.13.0", {"type": "object"}),
        ("0.12.0", {"type": "object", "description": ""}),
    ],
)
def test_nested_properties_came_step_by_step(version, area):
    told = parameters("go", version)["properties"]["area"]
    assert json.dumps(told) == json.dumps(area)


def test_what_is_missing_is_told_by_old_versions():
    bare = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    (old,) = canonical(conversation(tools=[bare]), path="go", version="0.12.0").tools
    assert old["function"] == {
        "name": "f",
        "description": "",
        "parameters": {"type": "object", "required": None, "properties": None},
    }
    (new,) = canonical(conversation(tools=[bare]), path="go", version="0.34.4").tools
    assert new["function"] == {"name": "f", "parameters": {"type": "object", "properties": None}}


def test_arguments_are_sorted_on_the_go_path_and_within_on_both():
    call = ToolCall(name="f", id="abc", arguments={"b": {"d": 1, "c": 2.0}, "a": 1e300})
    asked = conversation(Message(role="assistant", calls=(call,)))
    (go,) = canonical(asked, path="go", version="0.34.4").messages[0].calls
    (native,) = canonical(asked, path="native", version="0.34.4").messages[0].calls
    assert json.dumps(go.arguments) == '{"a": 1e+300, "b": {"c": 2, "d": 1}}'
    assert json.dumps(native.arguments) == '{"b": {"c": 2, "d": 1}, "a": 1e+300}'


def test_ids_are_unknown_before_0_13():
    call = ToolCall(name="f", id="abc", arguments={})
    asked = conversation(
        Message(role="assistant", calls=(call,)),
        Message(role="tool", content="r", tool_name="f", tool_call_id="abc"),
    )
    old = canonical(asked, path="go", version="0.12.0")
    assert old.messages[0].calls[0].id == ""
    assert old.messages[1].tool_call_id == ""
    assert old.messages[1].tool_name == "f"
    assert canonical(asked, path="go", version="0.13.0") == asked


def test_names_of_results_are_unknown_before_0_10_and_thinking_before_0_9():
    asked = dataclasses.replace(
        conversation(
            Message(role="assistant", content="a", thinking="hm"),
            Message(role="tool", content="r1", tool_name="f"),
            Message(role="tool", content="r2", tool_name="g"),
        ),
        think=True,
    )
    answer, joined = Message(role="assistant", content="a"), Message(role="tool", content="r1\n\nr2")
    oldest = canonical(asked, path="go", version="0.8.0")
    assert (oldest.messages, oldest.think) == ((answer, joined), None)
    assert canonical(asked, path="go", version="0.9.0").messages == (asked.messages[0], joined)
    assert canonical(asked, path="go", version="0.10.0") == asked


def test_schemas_are_flat_before_0_6_6():
    (tool,) = canonical(conversation(tools=[TOOL]), path="go", version="0.6.5").tools
    assert list(tool) == ["type", "function"]
    told = tool["function"]["parameters"]
    assert list(told) == ["type", "required", "properties"]
    assert told["properties"]["list"] == {"type": "array", "description": ""}
    assert told["properties"]["zone"] == {"type": "", "description": "Z"}  # it would be refused


def test_neighbours_of_one_role_are_joined_on_the_go_path_only():
    call = ToolCall(name="f", arguments={})
    asked = conversation(
        Message(role="system", content="A"),
        Message(role="system", content="B"),
        user("1"),
        user("2"),
        Message(role="assistant", content="x", thinking="hm"),
        Message(role="assistant", content="y", calls=(call,), thinking="lost"),
        Message(role="tool", content="r1"),
        Message(role="tool", content="r2"),
    )
    assert canonical(asked, path="native", version="0.34.4") == asked
    assert canonical(asked, path="go", version="0.34.4").messages == (
        Message(role="system", content="A\n\nB"),
        user("1\n\n2"),
        Message(role="assistant", content="x\n\ny", thinking="hm"),
        Message(role="tool", content="r1"),
        Message(role="tool", content="r2"),
    )


@pytest.mark.parametrize("path", ["go", "native"])
def test_thinking_and_the_switch_are_not_hidden(path):
    asked = Conversation(
        name="c", messages=(user("1"), Message(role="assistant", content="2", thinking="3")), think="high"
    )
    assert canonical(asked, path=path, version="0.34.4") == asked


def test_damaged_schemas_are_taken_for_missing():
    damaged = {"function": {"name": 7, "parameters": {"required": "x", "properties": [1]}}}
    (tool,) = canonical(conversation(tools=[damaged]), path="native", version="0.34.4").tools
    assert tool == {
        "type": "",
        "function": {"name": "", "description": "", "parameters": {"type": "", "properties": None}},
    }


def test_what_is_no_version_is_refused():
    with pytest.raises(UsageProblem, match="invalid Ollama version"):
        canonical(conversation(user("x")), path="go", version="newest")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_values_stay_as_they_are(value):
    once = canonical_value(value)
    assert canonical_value(once) == once
    assert json.dumps(canonical_value(once)) == json.dumps(once)


@given(st.integers(-(10**18), 10**18) | st.floats(-1e20, 1e20))
def test_numbers_are_what_go_writes_of_them(number):
    assert json.loads(go_json(canonical_value(number))) == json.loads(go_json(float(number)))
    assert isinstance(canonical_value(number), int) == float(number).is_integer()


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.sampled_from(["go", "native"]))
def test_canonical_conversations_stay_as_they_are(schema, path):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"p": schema}}}}
    call = ToolCall(name="f", arguments=schema)
    asked = conversation(user("1"), user("2"), Message(role="assistant", calls=(call,)), tools=[tool])
    once = canonical(asked, path=path, version="0.34.4")
    assert canonical(once, path=path, version="0.34.4") == once
