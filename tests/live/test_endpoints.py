"""Answers come out taken apart on every endpoint: one model that thinks and calls, asked by each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from gguf2ollama import build
from tests.calling_templates import JSON_CALLS
from tests.live import parts
from tests.live.servers import RunningOllama
from tests.scripted_llama import scripted_llama

pytestmark = pytest.mark.live

_NAME = "endpoints"
_ASKED = {"said": "Greet me.", "called": "Use the tool."}
_ARGUMENTS = {"city": "Paris"}
_CALL = '<tool_call>\n{"name": "get_temperature", "arguments": {"city": "Paris"}}\n</tool_call>'
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOL = {
    "type": "function",
    "function": {"name": "get_temperature", "description": "T", "parameters": _SCHEMA},
}

# there, think tags in a TEMPLATE would make requests with a `format` fail where the prompt opens the thought
_SHOWS_THOUGHTS = {"0.32.15"}


@pytest.fixture(scope="module", params=parts.OLLAMAS, ids=lambda part: part.version)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ollama_pool: Any
) -> Iterator[RunningOllama]:
    """Return a server that has the model, as it is built with defaults."""
    server: RunningOllama = ollama_pool(request.param)
    path = scripted_llama(
        tmp_path_factory.mktemp("endpoints") / "model.gguf",
        "I shall greet.\n</think>\n\nHello there!",
        after={_ASKED["called"]: f"I need it.\n</think>\n\n{_CALL}"},
        chat_template=JSON_CALLS,
    )
    built = build(path, name=_NAME, host=server.url, via="pull")
    shown = "reasoning is part of the output of /api/generate"
    assert any(shown in warning for warning in built.plan.warnings) == (server.version in _SHOWS_THOUGHTS)
    yield server
    httpx2.request("DELETE", f"{server.url}/api/delete", json={"model": _NAME})


def _post(server: RunningOllama, path: str, body: Mapping[str, Any]) -> httpx2.Response:
    answer = httpx2.post(server.url + path, json={"model": _NAME, **body}, timeout=120, trust_env=False)
    assert answer.is_success, answer.text
    return answer


def _chat(asked: str, **more: Any) -> dict[str, Any]:
    tools = [_TOOL] if asked == _ASKED["called"] else []
    return {"messages": [{"role": "user", "content": asked}], "tools": tools, **more}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_api_chat(model: RunningOllama, *, stream: bool) -> None:
    for kind, asked in _ASKED.items():
        text = _post(model, "/api/chat", _chat(asked, stream=stream)).text
        messages = [json.loads(line)["message"] for line in text.splitlines()]
        content, thinking = ("".join(m.get(key, "") for m in messages) for key in ("content", "thinking"))
        calls = [call["function"] for m in messages for call in m.get("tool_calls", ())]
        if kind == "said":
            assert (content.strip(), thinking.strip(), calls) == ("Hello there!", "I shall greet.", [])
        else:
            assert (content.strip(), thinking.strip()) == ("", "I need it.")
            assert [(one["name"], one["arguments"]) for one in calls] == [("get_temperature", _ARGUMENTS)]


def test_api_generate(model: RunningOllama) -> None:
    found = _post(model, "/api/generate", {"prompt": _ASKED["said"], "stream": False}).json()
    if model.version in _SHOWS_THOUGHTS:  # as the warning says
        assert found["response"].split() == "I shall greet. </think> Hello there!".split()  # noqa: SIM905
    else:
        assert (found["response"].strip(), found["thinking"].strip()) == ("Hello there!", "I shall greet.")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_openai_chat_completions(model: RunningOllama, *, stream: bool) -> None:
    for kind, asked in _ASKED.items():
        answer = _post(model, "/v1/chat/completions", _chat(asked, stream=stream))
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.strip()]
        choices = [
            choice["delta"] if stream else choice["message"]
            for line in lines
            if line != "[DONE]"
            for choice in json.loads(line)["choices"]
        ]
        content = "".join(one.get("content") or "" for one in choices).strip()
        thinking = "".join(one.get("reasoning") or "" for one in choices).strip()
        calls = [call["function"] for one in choices for call in one.get("tool_calls") or ()]
        if kind == "said":
            assert (content, thinking, calls) == ("Hello there!", "I shall greet.", [])
        else:
            assert (content, thinking) == ("", "I need it.")
            assert [(one["name"], json.loads(one["arguments"])) for one in calls] == [
                ("get_temperature", _ARGUMENTS)
            ]


def test_anthropic_messages(model: RunningOllama) -> None:
    tool = {"name": "get_temperature", "description": "T", "input_schema": _SCHEMA}
    for kind, asked in _ASKED.items():
        body = {"messages": [{"role": "user", "content": asked}], "max_tokens": 400, "tools": [tool]}
        body["thinking"] = {"type": "enabled", "budget_tokens": 200}
        blocks = _post(model, "/v1/messages", body).json()["content"]
        thoughts = [block["thinking"].strip() for block in blocks if block["type"] == "thinking"]
        texts = [block["text"].strip() for block in blocks if block["type"] == "text"]
        calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
        if kind == "said":
            assert (texts, thoughts, calls) == (["Hello there!"], ["I shall greet."], [])
        else:
            assert (texts, thoughts, calls) == ([], ["I need it."], [("get_temperature", _ARGUMENTS)])
