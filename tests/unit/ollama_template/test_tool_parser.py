from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.ollama_template.tool_parser import read_calls

_NAMES = ["get", "get_weather"]
_VALUES = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text()))


@pytest.mark.parametrize(
    "answer, tag",
    [
        ('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', "<tool_call>"),
        ('Let me look.<call>{"name": "get_weather", "parameters": {"city": "Paris"}}', "<call>"),
        ('[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "1"}]', "[TOOL_CALLS]"),
        ('<|f|>get_weather\n{"city": "Paris"}<|e|>', "<|f|>"),
        ('\n{"get_weather": {"city": "Paris"}}', "{"),
        ('<t>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}', "<t>"),
        ('<t>get_weather {"call": {"name": "get_weather", "arguments": {"city": "Paris"}}}', "<t>"),
    ],
)
def test_calls_in_json_are_read(answer, tag):
    assert read_calls(answer, tag=tag, names=_NAMES) == [("get_weather", {"city": "Paris"})]


@pytest.mark.parametrize(
    "answer, tag",
    [
        ("<t><function=get_weather><parameter=city>Paris</parameter></function>", "<t>"),
        ("<t>get_weather(city='Paris')", "<t>"),
        ('Sure: {"name": "get_weather", "arguments": {}}', "{"),
        ('{"name": "get_weather", "arguments": {}}', "<t>"),
        ('<t>{"name": "look", "arguments": {}}', "<t>"),
        ('<t>{"name": "get_weather"}', "<t>"),
        ("<t>get_weather" + "{" * 5000, "<t>"),
        ("", "<t>"),
    ],
)
def test_other_calls_are_not(answer, tag):
    assert read_calls(answer, tag=tag, names=_NAMES) == []


def test_several_calls_are_read_in_their_order():
    answer = '<t>{"name": "get", "arguments": {}}</t>\n<t>{"name": "get_weather", "arguments": {"a": 1}}</t>'
    assert read_calls(answer, tag="<t>", names=_NAMES) == [("get", {}), ("get_weather", {"a": 1})]


@given(_VALUES)
def test_arguments_come_as_they_were_written(arguments):
    answer = f"<t>\n{json.dumps({'name': 'get_weather', 'arguments': arguments})}\n</t>"
    assert read_calls(answer, tag="<t>", names=["get_weather"]) == [("get_weather", arguments)]
