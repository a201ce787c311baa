"""What sentence-transformers' files say of a model that embeds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import inspect
from gguf2ollama.sources.sentence_transformers import read_pooling, read_prompts, read_published_beside
from tests.builders import tiny_llama

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["pooling_mode", "prompts", "query"]), inner)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "content,pooling",
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls+mean"),
        ({"pooling_mode": ["mean", "max"]}, "mean+max"),
    ],
)
def test_pooling_is_read_in_both_forms(content, pooling):
    assert read_pooling(content, source="s").value == pooling


@pytest.mark.parametrize("content", [None, [], {}, {"pooling_mode_cls_token": "yes"}, {"pooling_mode": 3}])
def test_what_says_nothing_of_pooling_is_left_aside(content):
    assert read_pooling(content, source="s") is None


def test_prompts_that_are_texts_are_read():
    prompts = {"query": "Query: ", "document": "", "long": "x" * 5000, "other": 1}
    assert read_prompts({"prompts": prompts}) == {"query": "Query: "}


@given(JSON_VALUES)
def test_any_content_can_be_read(content):
    read_pooling(content, source="s")
    read_prompts(content)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_files_that_are_not_json_are_as_if_they_were_not_there(tmp_path, content):
    (tmp_path / "config_sentence_transformers.json").write_bytes(content)
    assert read_published_beside(tmp_path).prompts == {}


@pytest.fixture
def hub(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return hub


def test_a_repository_says_by_its_task_that_a_model_embeds_and_its_base_model_how(hub, tmp_path):
    gguf = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    facts = {"tags": ["base_model:quantized:maker/Tiny"], "pipeline_tag": "feature-extraction"}
    hub.add("o/Tiny-GGUF", {"tiny-Q4_K_M.gguf": gguf}, facts=facts)
    files = {"1_Pooling/config.json": {"pooling_mode_cls_token": True}}
    files["config_sentence_transformers.json"] = {"prompts": {"query": "Q: "}}
    hub.add("maker/Tiny", {name: json.dumps(content).encode() for name, content in files.items()})

    found = inspect("o/Tiny-GGUF")

    assert found.pooling.choice.value == "cls"
    assert found.pooling.choice.source == "1_Pooling/config.json of maker/Tiny"
    assert found.pooling.prompts == {"query": "Q: "}
    assert found.recipe.capabilities == ("embedding",)


def test_a_model_that_chats_is_not_asked_for_them(hub, tmp_path):
    gguf = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    hub.add("o/Tiny-GGUF", {"tiny-Q4_K_M.gguf": gguf, "1_Pooling/config.json": b"{}"})
    inspect("o/Tiny-GGUF", verify=False)
    assert hub.seen
    assert not [request for request in hub.seen if "1_Pooling" in request.line]
