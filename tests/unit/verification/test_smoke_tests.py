"""What a model answers, and which answers show a packaging bug."""

import pytest

from gguf2ollama import build
from gguf2ollama.ollama import Client
from gguf2ollama.verification.smoke_tests import run_smoke_tests
from tests.fakes.ollama_server import Answer, Cut, FakeOllama

ALL = ("completion", "tools", "thinking")
CALL = {"tool_calls": [{"id": "1", "function": {"name": "get_temperature", "arguments": {"city": "Paris"}}}]}
THINKS = {"content": "", "thinking": "Seven eights."}
THINKING_TEMPLATE = (
    "{% for m in messages %}<think>{{ m.content }}</think>{{ tools }}{{ tool_call }}{% endfor %}"
)


@pytest.fixture
def server(monkeypatch, tmp_path, gguf):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with FakeOllama() as server:
        build(gguf, name="mine", host=server.url, verify=False, load=False, chat_template=THINKING_TEMPLATE)
        server.seen.clear()
        yield server


def checked(server, *, capabilities=("completion",), turn_marks=("<|im_end|>",), missed_ends=()):
    """Return the state and detail of each check."""
    with Client(server.url) as client:
        found = run_smoke_tests(
            client, "mine", capabilities=capabilities, turn_marks=turn_marks, missed_ends=missed_ends
        )
        return {check.name: (check.state, check.detail) for check in found}


def test_only_capabilities_of_the_model_are_checked(server):
    assert list(checked(server, capabilities=())) == ["loads"]
    assert list(checked(server)) == ["loads", "answers"]
    assert list(checked(server, capabilities=ALL)) == [
        "loads",
        "answers",
        "calls a tool",
        "separates reasoning",
    ]


def test_an_answer_that_ends_passes(server):
    assert checked(server)["answers"] == ("passed", "Answers and stops: 'Hello there!'")


def test_generation_is_bounded(server):
    checked(server, capabilities=ALL)
    asked = [seen.content for seen in server.seen if seen.endpoint == "POST /api/chat"]
    assert len(asked) == 4
    assert all(0 < content["options"]["num_predict"] <= 512 for content in asked)


def test_an_end_token_in_an_answer_fails(server):
    server.reply = [{"content": "Hello<|im_end|>"}, {"content": "\nHello"}]
    state, detail = checked(server)["answers"]
    assert (state, "'<|im_end|>'" in detail) == ("failed", True)


def test_an_empty_response_fails(server):
    server.reply = [{"content": " \n"}]
    assert checked(server)["answers"][0] == "failed"


def test_reasoning_alone_is_an_answer(server):
    server.reply = [THINKS]
    assert checked(server)["answers"][0] == "passed"


def test_an_answer_without_an_end_is_inconclusive(server):
    server.reply = [{"content": "on "}] * 600
    assert checked(server)["answers"][0] == "inconclusive"


def test_an_answer_without_an_end_fails_where_the_templates_mark_does_not_end_it(server):
    server.reply = [{"content": "on "}] * 600
    state, detail = checked(server, missed_ends=("<|stop|>",))["answers"]
    assert (state, "'<|stop|>'" in detail) == ("failed", True)
    server.reply = [{"content": "Hello"}]
    assert checked(server, missed_ends=("<|stop|>",))["answers"][0] == "passed"


def test_a_model_that_does_not_load_fails(server):
    server.inject("POST /api/generate", Answer(status=500, body='{"error": "no parser for this template"}'))
    state, detail = checked(server)["loads"]
    assert (state, "no parser for this template" in detail) == ("failed", True)


def test_an_interrupted_answer_fails(server):
    server.inject("POST /api/chat", Cut(after_lines=1, error="llama-server died"))
    assert checked(server)["answers"][0] == "failed"


def test_a_tool_is_called_and_its_result_taken(server):
    server.reply = [CALL, {"content": "It is 22 degrees."}]
    assert checked(server, capabilities=ALL)["calls a tool"][0] == "passed"
    second = [seen.content for seen in server.seen if seen.endpoint == "POST /api/chat"][2]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert second["messages"][2]["tool_name"] == "get_temperature"


@pytest.mark.parametrize(
    "reply,state",
    [
        ([{"content": "It is warm."}], "inconclusive"),
        ([CALL, {"content": "It is warm."}], "inconclusive"),
        ([{"tool_calls": [{"function": {"name": "other", "arguments": {}}}]}], "inconclusive"),
        ([{"content": '<tool_call>{"name": "get_temperature"}</tool_call>'}], "failed"),
        ([{"content": "[TOOL_CALLS] get_temperature"}], "failed"),
        ([{"content": '<|START_ACTION|>[{"tool_name": "x"}]'}], "failed"),
        ([{"content": "<|tool_call>call:get_temperature{city:Paris}"}], "failed"),
        ([{"content": "[get_temperature(city='Paris')]"}], "failed"),
        ([{"content": 'I may ask get_temperature, or `get_temperature("Paris")`.'}], "inconclusive"),
    ],
)
def test_only_a_call_that_the_server_does_not_parse_fails(server, reply, state):
    server.reply = reply
    assert checked(server, capabilities=ALL)["calls a tool"][0] == state


@pytest.mark.parametrize(
    "reply,state",
    [
        ([{"content": "56"}], "inconclusive"),
        ([THINKS, {"content": "56"}], "inconclusive"),  # though it is result not to
        ([{"content": "<think>Hm</think>56"}], "failed"),
        ([THINKS, {"content": "</think>56"}], "failed"),
        ([THINKS, {"content": "<|END_THINKING|>56"}], "failed"),
        ([{"content": "[THINK]Hm[/THINK]56"}], "failed"),
        ([THINKS, {"content": "I think: <thinkable> 56"}], "inconclusive"),
    ],
)
def test_only_think_tags_in_an_answer_fail(server, reply, state):
    server.reply = reply
    assert checked(server, capabilities=ALL)["separates reasoning"][0] == state


def test_a_long_answer_is_quoted_in_part(server):
    server.reply = [{"content": "word " * 100}]
    assert len(checked(server)["answers"][1]) < 130
