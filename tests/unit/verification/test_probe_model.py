"""A stand-in carries what decides on prompts, and every reader takes it."""

import io

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.reference_prompt import read_authors
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.verification.probe_model import stand_in

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
    return open_gguf(io.BytesIO(content), name="stand-in.gguf")


def test_it_tells_the_authors_mind_as_the_model_does():
    told = read_authors(read(stand_in(METADATA, name="one")).metadata)
    assert told == read_authors(METADATA)
    assert (told.bos, told.eos, told.adds_bos, told.tool_use) == ("<s>", "</s>", True, "{{ tools }}")


def test_the_official_reader_takes_it(tmp_path):
    path = tmp_path / "stand-in.gguf"
    path.write_bytes(stand_in(METADATA, name="one"))
    official = gguf.GGUFReader(path)
    assert official.fields["tokenizer.chat_template"].contents() == TEMPLATE
    assert official.fields["tokenizer.ggml.add_eos_token"].contents() is False
    tokens = official.fields["tokenizer.ggml.tokens"].contents()
    assert tokens[official.fields["tokenizer.ggml.eot_token_id"].contents()] == "<|turn|>"
    assert {tensor.name for tensor in official.tensors} >= {"token_embd.weight", "blk.0.attn_q.weight"}
    assert path.stat().st_size < 200_000


def test_no_two_names_have_the_same_bytes():
    assert stand_in(METADATA, name="one") != stand_in(METADATA, name="two")
    assert stand_in(METADATA, name="one") == stand_in(METADATA, name="one")


@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.ggml.tokens"])
def test_what_a_model_does_not_tell_is_left_out(key):
    told = read(stand_in({name: value for name, value in METADATA.items() if name != key}, name="one"))
    assert ("tokenizer.chat_template" in told.metadata) is (key != "tokenizer.chat_template")
    assert ("tokenizer.ggml.bos_token_id" in told.metadata) is (key != "tokenizer.ggml.tokens")


@given(st.lists(st.text(max_size=5), min_size=6, max_size=6))
def test_a_vocabulary_tells_every_token_once_whatever_the_special_ones_are(texts):
    made = read(stand_in({**METADATA, "tokenizer.ggml.tokens": texts}, name="one")).metadata
    tokens = list(made["tokenizer.ggml.tokens"])
    assert len(tokens) == len(set(tokens)) == made["llama.vocab_size"]
    assert len(made["tokenizer.ggml.token_type"]) == len(tokens)
    if texts[2]:
        assert tokens[made["tokenizer.ggml.eos_token_id"]] == texts[2]
