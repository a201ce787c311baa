"""Our picture of Ollama's parsers, against the parsers themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gguf2ollama.chat.answers.ollama_parsers import known_parsers
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.modelfiles._registry import PARSERS, RENDERERS
from tests.calling_templates import XML_CALLS
from tests.live import parts
from tests.live.conftest import missing
from tests.live.ollama_oracle import Oracle, OracleMissing, module_folder, running_oracle
from tests.live.rendering import RenderingServer
from tests.live.servers import RunningOllama
from tests.unit.chat.answers.test_ollama_parsers import TOOLS

pytestmark = pytest.mark.live

_PARSERS = {one.name: one for one in known_parsers(parts.OLLAMAS[0].version)}
_KEYS = st.sampled_from([*TOOLS[0]["function"]["parameters"]["properties"], "unknown"])
_VALUES = st.sampled_from(
    [
        *(
            "Paris",
            "5",
            "-7",
            "2.5",
            "2.0",
            "1e3",
            "true",
            "False",
            "NULL",
            "[1, null]",
            '{"a": {"b": [2.5]}}',
        ),
        *(
            "",
            "\n",
            "\n\nx\n\n",
            " 5 ",
            "<b>",
            "a & b",
            '"q"',
            "東京",
            "{'a': 1}",
            "0x10",
            "1_000",
            "+3",
            ".5",
        ),
    ]
)
_ARGUMENTS = st.dictionaries(_KEYS, _VALUES, max_size=3)
_NAMES = st.sampled_from(["find", "look_up"])
_SPACE = st.sampled_from(["", " ", "\n", "\n\n"])


@st.composite
def _xml_calls(draw: st.DrawFn) -> str:
    between = draw(_SPACE)
    given = "".join(
        f"<parameter={key}>\n{value}\n</parameter>{between}" for key, value in draw(_ARGUMENTS).items()
    )
    name = draw(_NAMES)
    return f"<tool_call>\n<function={name}>{between}{given}</function>{between}</tool_call>"


@st.composite
def _key_calls(draw: st.DrawFn) -> str:
    between = draw(_SPACE)
    given = "".join(
        f"<arg_key>{key}</arg_key>{between}<arg_value>{value}</arg_value>{between}"
        for key, value in draw(_ARGUMENTS).items()
    )
    return f"<tool_call>{between}{draw(_NAMES)}{between}{given}</tool_call>"


@st.composite
def _actions(draw: st.DrawFn) -> str:
    calls = [
        {"tool_call_id": str(number), "tool_name": draw(_NAMES), "parameters": draw(_ARGUMENTS)}
        for number in range(draw(st.integers(0, 2)))
    ]
    return f"<|START_ACTION|>{json.dumps(calls)}<|END_ACTION|>"


_TEXTS = st.sampled_from(
    ["There.", " There ", "\n", "  ", "a < b", "<", "<thin", "</thi", "It is. \n\n", "</div>"]
)
_THOUGHTS = st.sampled_from(["<think>", "</think>", "<think>\n", "\n</think>\n\n", "Hm."])
_BLOCKS = st.sampled_from(
    [
        *("<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        *("<|END_OF_TURN_TOKEN|>", "Hm."),
    ]
)
_SAYS = {
    "qwen3-coder": st.one_of(_TEXTS, _xml_calls()),
    "qwen3.5": st.one_of(_TEXTS, _THOUGHTS, _xml_calls()),
    "glm-4.7": st.one_of(_TEXTS, _THOUGHTS, _key_calls()),
    "cohere": st.one_of(_TEXTS, _BLOCKS, _actions()),
}
_LASTS = st.sampled_from(
    [
        Message(role="user", content="Where?"),
        Message(role="assistant", content="It is"),
        Message(role="assistant", content=""),
        Message(role="tool", content="22"),
    ]
)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """Return Ollama's own parsers."""
    try:
        with running_oracle() as running:
            yield running
    except OracleMissing as error:
        missing(f"oracle: {error}")


def _real(oracle: Oracle, name: str, chunks: list[str], asked: Conversation) -> object:
    body = asked.for_ollama()
    request = {"name": name, "chunks": chunks, "tools": body["tools"], "messages": body["messages"]}
    told = oracle.ask("answer", json.dumps(request | {"think": asked.think}).encode())
    assert told["known"]
    if told["error"]:
        return None
    calls = [(one["function"]["name"], one["function"]["arguments"]) for one in told["calls"] or []]
    return _packed(told["content"]), _packed(told["thinking"]), calls


def _packed(text: str) -> str:
    """Leave out white space: how much is told depends on how the answer comes in bits."""
    return "".join(text.split())


@pytest.mark.parametrize("name", _PARSERS)
@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_are_taken_apart_as_by_ollama(name: str, oracle: Oracle, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(_SAYS[name], max_size=6))
    asked = Conversation(
        name="asked",
        messages=(data.draw(_LASTS),),
        tools=TOOLS,
        think=data.draw(st.sampled_from([None, True, False])),
    )
    answer = "".join(pieces)
    # a call within a thought that has no end may be told as thought, by how the answer comes in bits
    assume(name != "qwen3.5" or asked.think is False or "<tool_call>" not in answer.partition("</think>")[0])
    step = data.draw(st.integers(1, 3))  # as tokens come
    chunks = [answer[start : start + step] for start in range(0, len(answer), step)]
    found = _PARSERS[name].read(answer, asked=asked)
    ours = None if found is None else (_packed(found.said), _packed(found.thought), found.calls)
    assert ours == _real(oracle, name, chunks, asked)


@pytest.mark.parametrize("name", _PARSERS)
def test_ollama_says_the_same_of_what_a_parser_is_for(name: str, oracle: Oracle) -> None:
    told = oracle.ask("answer", json.dumps({"name": name, "chunks": []}).encode())
    assert (told["known"], told["reads_tools"], told["reads_thinking"]) == (True, True, _PARSERS[name].thinks)


def test_the_linter_knows_what_is_built_in(oracle: Oracle) -> None:
    source = module_folder() / "model"
    for kind, names in (("parsers/parsers.go", PARSERS), ("renderers/renderer.go", RENDERERS)):
        cases = re.findall(r"^\tcase (.*):$", (source / kind).read_text("utf-8"), re.MULTILINE)
        assert {name for case in cases for name in re.findall(r'"([^"]+)"', case)} == names


def test_a_template_with_a_parser_renders_and_the_parser_tells_what_the_model_can_do(
    ollama_server: RunningOllama,
) -> None:
    chat = Conversation(name="hi", messages=(Message(role="user", content="Hi"),))
    template = "{{ range .Messages }}[{{ .Role }}]{{ .Content }}{{ end }}{{ .Think }}"
    with RenderingServer(ollama_server) as server:
        for parser, prompt, can in (
            ("", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n", {"tools", "thinking"}),
            ("qwen3-coder", "[user]Hifalse", {"tools"}),
            ("qwen3.5", "[user]Hitrue", {"tools", "thinking"}),
            ("passthrough", "[user]Hifalse", set()),
            ("no such parser", "[user]Hifalse", set()),
        ):
            (found,) = server.render(XML_CALLS, [chat], go_template=template, parser=parser)
            assert found == Rendered(prompt), parser
            shown = server.show(XML_CALLS, go_template=template, parser=parser)
            assert shown.capabilities == {"completion", *can}, parser
        (alone,) = server.render(XML_CALLS, [chat], parser="qwen3.5")
        assert alone == Rendered("Hi"), "the chat template in the GGUF is not used"
        (built_in,) = server.render(
            XML_CALLS, [chat], go_template=template, renderer="qwen3-coder", parser="qwen3-coder"
        )
        assert built_in == Rendered("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
