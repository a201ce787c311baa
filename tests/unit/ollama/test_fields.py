"""Reading answers that cannot be trusted."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import ServerRefused
from gguf2ollama.ollama.fields import Fields
from gguf2ollama.ollama.responses import Chunk, LocalModel, Metrics, ModelInfo, RunningModel, Status

KEYS = [
    *("name", "model", "size", "digest", "modified_at", "details", "capabilities", "remote_host", "families"),
    *("expires_at", "size_vram", "context_length", "template", "system", "parameters", "messages", "license"),
    *("model_info", "tensors", "status", "total", "completed", "message", "content", "tool_calls", "done"),
    *(
        "function",
        "arguments",
        "_debug_info",
        "rendered_template",
        "response",
        "eval_count",
        "total_duration",
    ),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=10)
PARSERS = [
    LocalModel.parse,
    RunningModel.parse,
    ModelInfo.parse,
    Status.parse,
    Metrics.parse,
    Chunk.parse_chat,
    Chunk.parse_generate,
]


def fields(content):
    return Fields(content, "GET /api/x at http://h")


def value_or_refusal(read):
    try:
        return read()
    except ServerRefused as refused:
        return refused


@given(OBJECTS, st.sampled_from(PARSERS))
def test_any_answer_becomes_a_value_or_is_refused_by_name(content, parse):
    value = value_or_refusal(lambda: parse(fields(content)))
    if isinstance(value, ServerRefused):
        assert value.message.startswith("unexpected response to GET /api/x at http://h")
        assert value.hint


@given(
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | JSON.map(json.dumps).map(str.encode)
    | st.binary()
)
def test_any_text_is_an_object_or_refused(text):
    value = value_or_refusal(lambda: Fields.parse(text, origin="GET /api/x at http://h"))
    if isinstance(value, ServerRefused):
        assert "unexpected response to GET /api/x" in value.message
    else:
        assert isinstance(value.content, dict)


@pytest.mark.parametrize(
    "text, looks",
    [
        ("  <!doctype html><p>hi", "an HTML page"),
        ("[1]", "not a JSON object"),
        ("", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"a": ' + "9" * 5000 + "}", "not a JSON object"),
    ],
)
def test_what_came_instead_of_an_object_is_named(text, looks):
    with pytest.raises(ServerRefused, match=looks):
        Fields.parse(text.encode(), origin="GET /")


def test_what_is_missing_or_null_is_empty():
    for content in ({}, dict.fromkeys("abcdefg")):
        empty = fields(content)
        assert (empty.text("a"), empty.flag("b"), empty.integer("c"), empty.seconds("d")) == ("", False, 0, 0)
        assert (empty.texts("e"), empty.inners("f"), empty.mapping("g")) == ((), (), {})
        assert empty.inner("g").text("x") == ""
        assert empty.moment("a") is None


@pytest.mark.parametrize(
    "read, value",
    [
        (Fields.text, 1),
        (Fields.flag, 1),
        (Fields.integer, "1"),
        (Fields.integer, True),
        (Fields.integer, math.nan),
        (Fields.integer, math.inf),
        (Fields.integer, 1 << 63),
        (Fields.mapping, []),
        (Fields.inners, [1]),
        (Fields.inners, {}),
        (Fields.texts, [1]),
        (Fields.texts, "text"),
    ],
)
def test_another_type_is_refused_by_the_name_of_its_key(read, value):
    with pytest.raises(ServerRefused, match="'key' is"):
        read(fields({"key": value}), "key")


def test_an_inner_object_says_where_it_was():
    with pytest.raises(ServerRefused, match=r"GET /api/x at http://h, details: 'family' is 1"):
        fields({"details": {"family": 1}}).inner("details").text("family")


@pytest.mark.parametrize(
    "text, moment",
    [
        ("2026-11-23T07:51:04.817798123Z", datetime(2026, 11, 23, 7, 51, 4, 817798, UTC)),
        ("2026-11-23T07:51:04Z", datetime(2026, 11, 23, 7, 51, 4, 0, UTC)),
        ("2026-11-23T07:51:04.5+02:00", datetime(2026, 11, 23, 5, 51, 4, 500_000, UTC)),
        (
            "2026-11-23T07:51:04-05:30",
            datetime(2026, 11, 23, 7, 51, 4, tzinfo=timezone(-timedelta(hours=5, minutes=30))),
        ),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-23T07:51:04Z", None),
        ("2026-11-23T07:51:04+99:00", None),
        ("yesterday", None),
    ],
)
def test_times_are_read_as_go_writes_them(text, moment):
    assert fields({"at": text}).moment("at") == moment


@pytest.mark.parametrize("template", ["{{ .Prompt }}", "a\nPARSER b\n", 'a """ b', 'a """\n"""\nPARSER c\n'])
def test_renderer_and_parser_stand_in_the_modelfile_of_a_model(template: str) -> None:
    told = f'# Modelfile\nFROM /blobs/x\nTEMPLATE """{template}"""\nRENDERER cogito\nPARSER qwen3.5\n'
    info = ModelInfo.parse(Fields({"modelfile": told}, "POST /api/show"))
    assert (info.renderer, info.parser) == ("cogito", "qwen3.5")
    none = ModelInfo.parse(Fields({"modelfile": "FROM x"}, "POST /api/show"))
    assert (none.renderer, none.parser) == ("", "")
