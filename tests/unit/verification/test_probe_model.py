"""A probe model has all that determines prompts, and every reader accepts it."""

import io

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.reference_prompt import read_authors
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.verification.probe_model import make_probe_model

TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}"
METADATA = {
    "general.architecture": "qwen3",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "a", "<|turn|>", "a"],
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.eot_token_id": 4,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.ggml.add_eos_token": False,
    "tokenizer.chat_template": TEMPLATE,
    "tokenizer.chat_template.tool_use": "{{ tools }}",
}


def read(content):
    return open_gguf(io.BytesIO(content), name="probe.gguf")


def test_it_has_the_template_and_tokens_of_the_model():
    result = read_authors(read(make_probe_model(METADATA, name="one")).metadata)
    assert result == read_authors(METADATA)
    assert (result.bos, result.eos, result.adds_bos, result.tool_use) == ("<s>", "</s>", True, "{{ tools }}")


def test_the_official_reader_accepts_it(tmp_path):
    path = tmp_path / "probe.gguf"
    path.write_bytes(make_probe_model(METADATA, name="one"))
    official = gguf.GGUFReader(path)
    assert official.fields["tokenizer.chat_template"].contents() == TEMPLATE
    assert official.fields["tokenizer.ggml.add_eos_token"].contents() is False
    tokens = official.fields["tokenizer.ggml.tokens"].contents()
    assert tokens[official.fields["tokenizer.ggml.eot_token_id"].contents()] == "<|turn|>"
    assert {tensor.name for tensor in official.tensors} >= {"token_embd.weight", "blk.0.attn_q.weight"}
    assert path.stat().st_size < 200_000


def test_no_two_names_have_the_same_bytes():
    assert make_probe_model(METADATA, name="one") != make_probe_model(METADATA, name="two")
    assert make_probe_model(METADATA, name="one") == make_probe_model(METADATA, name="one")


@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.ggml.tokens"])
def test_what_a_model_lacks_is_left_out(key):
    result = read(
        make_probe_model({name: value for name, value in METADATA.items() if name != key}, name="one")
    )
    assert ("tokenizer.chat_template" in result.metadata) is (key != "tokenizer.chat_template")
    assert ("tokenizer.ggml.bos_token_id" in result.metadata) is (key != "tokenizer.ggml.tokens")


@given(st.lists(st.text(max_size=5), min_size=6, max_size=6))
def test_a_vocabulary_has_every_token_once_whatever_the_special_ones_are(texts):
    made = read(make_probe_model({**METADATA, "tokenizer.ggml.tokens": texts}, name="one")).metadata
    tokens = list(made["tokenizer.ggml.tokens"])
    assert len(tokens) == len(set(tokens)) == made["llama.vocab_size"]
    assert len(made["tokenizer.ggml.token_type"]) == len(tokens)
    if texts[2]:
        assert tokens[made["tokenizer.ggml.eos_token_id"]] == texts[2]
