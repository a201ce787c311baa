"""Where an answer ends, and whether the tokenizer puts BOS before a prompt."""

import io

import pytest

from gguf2ollama.families import adds_bos, load_profiles, stops_for
from gguf2ollama.families.stops import served_token_text, token_text
from gguf2ollama.ggufio import TypedValue, ValueType, open_gguf, write_gguf
from gguf2ollama.ggufio.values import decode_text

LLAMA = next(profile for profile in load_profiles() if profile.family == "llama3.1")
TOKENS = [
    "a",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<think>",
    "</tool_call>",
    " ",
    "x" * 200,
    "\udcff",
]


def stops(profile=LLAMA, **keys):
    metadata = {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
    return {one.text: one.source for one in stops_for(metadata, profile=profile)}


def test_end_tokens_come_first_and_tell_where_they_come_from():
    found = stops(tokens=TOKENS, eos_token_id=3, eot_token_id=1, eom_token_id=1)
    assert list(found) == ["<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"]
    assert found["<|end_of_text|>"] == "tokenizer.ggml.eos_token_id in the GGUF"
    assert found["<|eot_id|>"] == "tokenizer.ggml.eot_token_id in the GGUF"
    assert found["<|eom_id|>"] == "end of a turn in Llama 3.1 to 3.3"


def test_a_familys_token_that_the_file_lacks_is_left_out():
    assert list(stops(tokens=["a", "<|eot_id|>"], eos_token_id=1)) == ["<|eot_id|>"]


def test_few_tokens_of_a_vocabulary_are_decoded(monkeypatch):
    written = io.BytesIO()
    tokens = TypedValue.array(ValueType.STRING, [*(f"t{number}" for number in range(1 << 15)), *TOKENS])
    write_gguf(written, metadata={"tokenizer.ggml.tokens": tokens})
    read = open_gguf(written).metadata["tokenizer.ggml.tokens"]
    decoded = []

    def decode(raw):
        decoded.append(raw)
        return decode_text(raw)

    monkeypatch.setattr("gguf2ollama.ggufio.values.decode_text", decode)
    assert list(stops(tokens=read, eos_token_id=(1 << 15) + 3)) == [
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
    ]
    assert list(stops(tokens=read)) == ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]
    assert len(decoded) < len(TOKENS)


def test_a_familys_string_that_is_no_token_stays():
    alpaca = next(profile for profile in load_profiles() if profile.family == "alpaca")
    assert list(stops(alpaca, tokens=["a", "</s>"])) == ["### Instruction:", "</s>"]


def test_without_tokens_the_family_is_believed():
    assert list(stops()) == ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"]


def test_without_a_family_the_end_tokens_remain():
    assert list(stops(None, tokens=TOKENS, eos_token_id=3)) == ["<|end_of_text|>"]


@pytest.mark.parametrize("identifier", [4, 5, 6, 7, 8, 99, -1, True, "1", None])
def test_tags_whitespace_and_broken_ids_are_no_stops(identifier):
    assert stops(None, tokens=TOKENS, eos_token_id=identifier) == {}


def test_the_text_of_a_token_needs_tokens():
    assert token_text({"tokenizer.ggml.bos_token_id": 0}, "bos") == ""
    assert token_text({"tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.tokens": ("<s>",)}, "bos") == "<s>"


@pytest.mark.parametrize(
    "keys, expected",
    [
        ({"add_bos_token": True}, True),
        ({"add_bos_token": False, "model": "llama"}, False),
        ({"model": "llama"}, True),
        ({"model": "gpt2", "pre": "llama-bpe"}, True),
        ({"model": "gpt2", "pre": "tekken"}, True),
        ({"model": "gpt2", "pre": "qwen2"}, False),
        ({"model": "gpt2"}, False),
        ({"model": "gpt2", "pre": "gemma4", "add_bos_token": False}, True),
        ({}, False),
    ],
)
def test_bos_is_added_as_llama_cpp_adds_it(keys, expected):
    assert adds_bos({f"tokenizer.ggml.{key}": value for key, value in keys.items()}) is expected


@pytest.mark.parametrize(
    "keys,bos",
    [
        ({"model": "gpt2"}, "t11"),
        ({"model": "llama"}, "t1"),
        ({"model": "gpt2", "pre": "glm4"}, ""),
        ({"model": "gpt2", "bos_token_id": 3}, "t3"),
        ({"model": "no such tokenizer"}, ""),
        ({}, ""),
    ],
)
def test_llama_cpp_takes_some_token_for_bos_where_the_header_names_none(keys, bos):
    metadata = {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
    metadata["tokenizer.ggml.tokens"] = tuple(f"t{number}" for number in range(20))
    assert served_token_text(metadata, "bos") == bos
    assert token_text(metadata, "bos") == (bos if "bos_token_id" in keys else "")
