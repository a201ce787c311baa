"""Each parser by what it is known for; that real ones do the same is shown by the live tests."""

from __future__ import annotations

from typing import Any

import pytest

from gguf2ollama.chat.answers.ollama_parsers import AnswerParser, known_parsers
from gguf2ollama.chat.conversation import Conversation, Message

TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "find",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string"},
                    "count": {"type": "integer"},
                    "far": {"type": "number"},
                    "exact": {"type": "boolean"},
                    "any": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "list": {"type": ["array", "null"]},
                    "deep": {"type": "object"},
                },
            },
        },
    },
)
XML = "<tool_call>\n<function=find>\n{}</function>\n</tool_call>"
USER = Message(role="user", content="Where?")


def parser(name: str) -> AnswerParser:
    return next(one for one in known_parsers("0.34.4") if one.name == name)


def heard(name: str, answer: str, *, think: bool | None = None, messages: tuple[Message, ...] = (USER,)):
    asked = Conversation(name="asked", messages=messages, tools=TOOLS, think=think)
    found = parser(name).read(answer, asked=asked)
    return None if found is None else (found.said, found.thought, found.calls)


@pytest.mark.parametrize(
    "key, written, value",
    [
        ("place", "Paris", "Paris"),
        ("place", "\n\nParis\n\n", "\nParis\n"),
        ("place", "5", "5"),
        ("place", "<b> & {}", "<b> & {}"),
        ("place", "Null", None),
        ("count", "5", 5),
        ("count", "five", "five"),
        ("far", "2.5", 2.5),
        ("far", "2.0", 2),
        ("far", "1e400", "1e400"),
        ("exact", "TRUE", True),
        ("exact", "perhaps", False),
        ("any", "7", 7),
        ("any", "7 days", "7 days"),
        ("list", "[1, null]", [1, None]),
        ("list", "{}", "{}"),
        ("deep", '{"a": {"b": []}}', {"a": {"b": []}}),
        ("deep", "{'a': 1}", "{'a': 1}"),
        ("unknown", "5", "5"),
    ],
)
@pytest.mark.parametrize("name", ["qwen3-coder", "glm-4.7"])
def test_values_have_the_types_of_the_schema(name: str, key: str, written: str, value: object):
    begun = "<tool_call>find\n<arg_key>"
    forms = {
        "qwen3-coder": XML.format(f"<parameter={key}>{written}</parameter>\n"),
        "glm-4.7": f"{begun}{key}</arg_key>\n<arg_value>{written}</arg_value>\n</tool_call>",
    }
    assert heard(name, forms[name], think=False) == ("", "", [("find", {key: value})])


def test_what_is_said_stands_around_calls():
    call = XML.format("")
    assert heard("qwen3-coder", f"One. \n{call}\n\n{call} Two.") == ("One.Two.", "", [("find", {})] * 2)


@pytest.mark.parametrize("name", ["qwen3.5", "glm-4.7"])
def test_a_thought_is_what_stands_before_its_end(name: str):
    assert heard(name, "Hm.\n</think>\n\nThere. </think>", think=True) == ("There. </think>", "Hm.", [])
    assert heard(name, "Hm. \n", think=True) == ("", "Hm.", [])
    assert heard(name, "There.", think=False) == ("There.", "", [])


def test_an_opening_mark_that_the_prompt_holds_already_is_left_out():
    assert heard("qwen3.5", "\n<think>\nHm.</think>There.", think=True) == ("There.", "Hm.", [])
    assert heard("glm-4.7", "<think>Hm.</think>There.", think=False) == ("There.", "Hm.", [])


def test_a_call_ends_a_thought_that_has_no_end():
    call = XML.format("<parameter=count>\n3\n</parameter>\n")
    assert heard("qwen3.5", f"Hm.\n{call}", think=True) == ("", "Hm.", [("find", {"count": 3})])


def test_an_answer_that_is_continued_is_no_thought_to_most():
    begun = (USER, Message(role="assistant", content="It is"))
    assert heard("qwen3.5", " there.", think=True, messages=begun) == (" there.", "", [])
    assert heard("cohere", " there.", think=True, messages=begun) == (" there.", "", [])
    assert heard("glm-4.7", " there.", think=True, messages=begun) == ("", " there.", [])


def test_blocks_are_told_by_their_marks():
    call = '[{"tool_call_id": "0", "tool_name": "find", "parameters": {"count": 3}}, {"tool_name": "find"}]'
    assert heard("cohere", f"Hm.<|END_THINKING|><|START_ACTION|>{call}<|END_ACTION|>", think=True) == (
        "",
        "Hm.",
        [("find", {"count": 3}), ("find", {})],
    )
    text = "<|START_TEXT|>There.<|END_TEXT|><|END_OF_TURN_TOKEN|>"
    assert heard("cohere", text, think=False) == ("There.", "", [])
    assert heard("cohere", "There.", think=False) == ("There.", "", [])


@pytest.mark.parametrize(
    "name, answer",
    [
        ("qwen3-coder", '<tool_call>{"name": "find", "arguments": {}}</tool_call>'),
        ("qwen3-coder", "<tool_call><function=find><parameter=place>Paris</function></tool_call>"),
        ("qwen3-coder", "<tool_call><function=find>"),
        ("glm-4.7", "<tool_call>find<arg_key>place</arg_key></tool_call>"),
        ("glm-4.7", "<tool_call>\n</tool_call>"),
    ],
)
def test_a_call_that_is_written_in_another_way_is_not_read(name: str, answer: str):
    assert heard(name, answer, think=False) is None


@pytest.mark.parametrize("action", ["no JSON", '{"tool_name": "find"}', "[1]", '[{"parameters": 1}]'])
def test_actions_that_are_none_are_left_out(action: str):
    assert heard("cohere", f"<|START_ACTION|>{action}<|END_ACTION|>", think=False) == ("", "", [])
