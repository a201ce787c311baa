"""The conversations of the battery can all be asked, by both sides, and hold what the issue names."""

import json
from collections import Counter
from itertools import pairwise

import pytest

from gguf2ollama.chat.battery.test_conversations import battery

BATTERY = battery()
BY_NAME = {one.name: one for one in BATTERY}
REGULAR = [name for name, conversation in BY_NAME.items() if conversation.feature != "irregular"]


def test_every_conversation_has_a_name_of_its_own():
    assert len(BY_NAME) == len(BATTERY)


def test_every_feature_has_enough_conversations():
    counts = Counter(one.feature for one in BATTERY)
    assert counts["plain"] >= 25
    assert counts["odd"] >= 5
    assert counts["tools"] >= 25
    assert counts["thinking"] + counts["history"] >= 15
    assert counts["prefill"] >= 3
    assert counts["irregular"] >= 15


def test_odd_contents_are_asked_of_every_model():
    odd = {one.name: one for one in BATTERY if one.feature == "odd"}
    assert {"odd white space", "nothing but white space", "marks of tools in the text"} <= odd.keys()
    assert not any(one.tools or one.think is not None for one in odd.values())


def test_what_frontends_and_agents_send_out_of_turn_is_irregular():
    roles = {
        name: [message.role for message in conversation.messages]
        for name, conversation in BY_NAME.items()
        if conversation.feature == "irregular"
    }
    assert any("system" in of_chat[2:] for of_chat in roles.values())
    assert any(of_chat[:2] == ["system", "system"] for of_chat in roles.values())
    assert {"assistant", "tool"} <= {of_chat[0] for of_chat in roles.values()}
    for role in ("user", "assistant"):
        assert any((role, role) in pairwise(of_chat) for of_chat in roles.values())
    results = [message for name in roles for message in BY_NAME[name].messages if message.role == "tool"]
    assert any(not result.tool_name for result in results)
    assert any(not result.tool_call_id for result in results)


def test_tools_come_in_the_order_and_with_the_keys_that_programs_write():
    schemas = [tool["function"]["parameters"] for one in BATTERY for tool in one.tools]
    assert any(list(schema["properties"]) != sorted(schema["properties"]) for schema in schemas)
    assert any(name[:1].isupper() for schema in schemas for name in schema["properties"])
    assert any("additionalProperties" in schema for schema in schemas)
    descriptions = [tool["function"]["description"] for one in BATTERY for tool in one.tools]
    assert any(description.count("\n") > 3 for description in descriptions)


def test_a_thought_within_an_earlier_answer_is_history():
    assert BY_NAME["thinking within an answer, on"].feature == "history"


@pytest.mark.parametrize("name", BY_NAME)
def test_ollama_can_be_asked(name):
    messages = BY_NAME[name].messages
    if BY_NAME[name].feature == "prefill":
        assert messages[-1].role == "assistant"
        assert not messages[-1].calls
    else:
        assert messages[-1].role in {"user", "tool"}


@pytest.mark.parametrize("name", REGULAR)
def test_roles_take_turns_as_templates_demand(name):
    roles = [one.role for one in BY_NAME[name].messages if one.role != "tool"]
    talk = roles[1:] if roles[0] == "system" else roles
    assert "system" not in talk
    assert talk[0] == "user"
    messages = BY_NAME[name].messages
    for before, after in pairwise(messages):
        assert (before.role, after.role) in {
            ("system", "user"),
            ("user", "assistant"),
            ("assistant", "tool" if before.calls else "user"),
            ("tool", "tool"),
            ("tool", "assistant"),
        }


@pytest.mark.parametrize("name", REGULAR)
def test_each_result_answers_a_call_of_its_step(name):
    waiting = {}
    for message in BY_NAME[name].messages:
        if message.role == "tool":
            assert waiting.pop(message.tool_call_id) == message.tool_name
        else:
            assert not waiting
        waiting |= {call.id: call.name for call in message.calls}
        for call in message.calls:
            assert len(call.id) == 9
            assert call.id.isascii()
            assert call.id.isalnum()
    assert not waiting


@pytest.mark.parametrize("name", BY_NAME)
def test_every_tool_that_is_called_is_offered_with_its_arguments(name):
    conversation = BY_NAME[name]
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in conversation.tools}
    for message in conversation.messages:
        for call in message.calls:
            assert set(call.arguments) <= set(offered[call.name]["properties"])
    assert conversation.feature != "plain" or not offered
    assert conversation.feature != "tools" or offered


@pytest.mark.parametrize("name", BY_NAME)
def test_a_conversation_survives_json(name):
    body = BY_NAME[name].for_ollama()
    assert json.loads(json.dumps(body)) == body
    json.dumps(body, ensure_ascii=False).encode()


def test_the_thinking_conversations_ask_for_each_way_of_thinking():
    asked = {one.think for one in BATTERY if one.feature in {"thinking", "history"}}
    assert asked == {None, True, False, "low", "medium", "high"}
    assert {one.think for one in BATTERY if one.feature not in {"thinking", "history"}} == {None}
