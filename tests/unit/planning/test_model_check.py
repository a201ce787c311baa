"""Which files are refused, or mended, before anything moves."""

import math

import pytest

from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.ggufio import ShardSet, TypedValue, ValueType
from gguf2ollama.planning.model_check import (
    header_warnings,
    repair_types,
    require_distinct_tokens,
    require_language_model,
)
from tests.builders import build_gguf, tiny_llama


def model(path, **keywords):
    return ShardSet.discover(build_gguf(path / "m.gguf", **keywords))


def test_a_language_model_is_taken(tmp_path):
    require_language_model(ShardSet.discover(tiny_llama(tmp_path / "m.gguf")))


@pytest.mark.parametrize("value", ["none", "no_vocab", "something new"])
def test_any_tokenizer_that_is_named_is_one(tmp_path, value):
    require_language_model(model(tmp_path, metadata={"tokenizer.ggml.model": value}))


def test_a_projector_is_no_model(tmp_path):
    with pytest.raises(UsageProblem, match="is a projector"):
        require_language_model(model(tmp_path, metadata={"general.type": "mmproj"}))


def test_an_adapter_is_refused_with_its_base_and_the_command_that_merges_it(tmp_path):
    base = {"name": "Smol 135M", "organization": "Some\x1b[31mone", "repo_url": "https://hf.co/o/r"}
    metadata = {f"general.base_model.0.{key}": value for key, value in base.items()}
    with pytest.raises(UsageProblem) as caught:
        require_language_model(model(tmp_path, metadata=metadata | {"general.type": "adapter"}))
    assert r"adapter for Some\x1b[31mone Smol 135M (https://hf.co/o/r)" in caught.value.message
    assert f"llama-export-lora -m BASE.gguf --lora {tmp_path}/m.gguf -o merged.gguf" in caught.value.hint


def test_a_control_vector_is_refused_with_the_program_that_takes_it(tmp_path):
    with pytest.raises(UsageProblem, match="control vector") as caught:
        require_language_model(model(tmp_path, architecture="controlvector"))
    assert "--control-vector" in caught.value.hint


def test_an_unknown_architecture_with_a_tokenizer_may_be_one(tmp_path):
    require_language_model(model(tmp_path, architecture="of-next-year"))


@pytest.mark.parametrize(
    "keywords,message",
    [
        ({"architecture": None}, "no architecture"),
        ({"metadata": {"general.architecture": TypedValue(ValueType.UINT32, 5)}}, "no architecture"),
        (
            {"architecture": "flux", "metadata": {"tokenizer.ggml.model": None}},
            "not a language model: it has no tokenizer, and llama.cpp does not know flux",
        ),
        ({"metadata": {"tokenizer.ggml.model": None}}, "has no tokenizer"),
        ({"metadata": {"general.type": "imatrix"}}, "importance matrix"),
        ({"architecture": None, "metadata": {"imatrix.chunk_count": 5}}, "importance matrix"),
        ({"metadata": {"general.type": "vocab"}}, "vocabulary"),
        ({"tensors": []}, "vocabulary"),
        ({"byte_order": "big"}, "big-endian"),
        ({"metadata": {"llama.rope.freq_base": math.nan}}, "llama.rope.freq_base is not a number"),
    ],
)
def test_what_llama_cpp_does_not_load_is_refused_by_name(tmp_path, keywords, message):
    with pytest.raises(InvalidGguf, match=message) as caught:
        require_language_model(model(tmp_path, **keywords))
    assert "m.gguf" in caught.value.message
    assert caught.value.hint


def test_numbers_of_other_keys_may_be_anything(tmp_path):
    keys = {"general.sampling.temp": math.nan, "other.rope.scale": math.inf}
    require_language_model(model(tmp_path, metadata=keys))


def test_a_number_that_is_infinite_is_refused(tmp_path):
    keys = {"llama.attention.layer_norm_rms_epsilon": math.inf}
    with pytest.raises(InvalidGguf, match="epsilon is infinite"):
        require_language_model(model(tmp_path, metadata=keys))


@pytest.mark.parametrize("key", ["context_length", "block_count"])
def test_a_size_of_zero_is_refused(tmp_path, key):
    with pytest.raises(InvalidGguf, match=rf"llama\.{key} is 0"):
        require_language_model(model(tmp_path, metadata={f"llama.{key}": 0}))


@pytest.mark.parametrize("key", ["scores", "token_type"])
def test_a_vocabulary_needs_values_for_each_token(tmp_path, key):
    keys = {"tokenizer.ggml.tokens": ["a", "b", "c"], f"tokenizer.ggml.{key}": [1, 2]}
    with pytest.raises(InvalidGguf, match=f"{key} has 2 values for 3 tokens"):
        require_language_model(model(tmp_path, metadata=keys))


def test_bpe_needs_merges(tmp_path):
    keys = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b"]}
    with pytest.raises(InvalidGguf, match=r"has no merges \(tokenizer\.ggml\.merges\)"):
        require_language_model(model(tmp_path, metadata=keys))
    require_language_model(model(tmp_path, metadata=keys | {"tokenizer.ggml.merges": ["a b"]}))


def test_a_token_must_not_occur_twice(tmp_path):
    tokens = ["a", "b", "", "c", "", "b\x1b"]
    require_distinct_tokens(model(tmp_path, metadata={"tokenizer.ggml.tokens": tokens}))
    twice = ["a", "b\x1b", "c", "b\x1b"]
    with pytest.raises(InvalidGguf, match=r"tokens 1 and 3 are the same, 'b\\\\x1b'"):
        require_distinct_tokens(model(tmp_path, metadata={"tokenizer.ggml.tokens": twice}))


def test_integers_of_another_width_are_written_with_32_bits(tmp_path):
    file = model(
        tmp_path,
        metadata={
            "llama.context_length": TypedValue(ValueType.UINT64, 8192),
            "llama.block_count": TypedValue(ValueType.UINT8, 2),
            "llama.embedding_length": TypedValue(ValueType.UINT32, 32),
            "llama.huge": TypedValue(ValueType.UINT64, 1 << 40),
            "other.key": TypedValue(ValueType.UINT64, 1),
        },
    )
    assert repair_types(file.first).changes == {
        "llama.context_length": TypedValue(ValueType.UINT32, 8192),
        "llama.block_count": TypedValue(ValueType.UINT32, 2),
    }


def test_values_of_other_types_are_written_as_llama_cpp_reads_them(tmp_path):
    keys = {
        "llama.block_count": (TypedValue(ValueType.INT32, 2), TypedValue(ValueType.UINT32, 2)),
        "llama.rope.freq_base": (TypedValue(ValueType.UINT32, 10_000), TypedValue(ValueType.FLOAT32, 1e4)),
        "llama.attention.layer_norm_rms_epsilon": (
            TypedValue(ValueType.FLOAT64, 0.5),
            TypedValue(ValueType.FLOAT32, 0.5),
        ),
        "llama.feed_forward_length": (
            TypedValue.array(ValueType.UINT64, [32, 64]),
            TypedValue.array(ValueType.INT32, [32, 64]),
        ),
        "tokenizer.ggml.add_bos_token": (
            TypedValue(ValueType.UINT8, 1),
            TypedValue(ValueType.BOOL, value=True),
        ),
        "tokenizer.ggml.eos_token_id": (TypedValue(ValueType.UINT64, 2), TypedValue(ValueType.UINT32, 2)),
        "general.file_type": (TypedValue(ValueType.STRING, "Q4_K_M"), None),
        "tokenizer.ggml.bos_token_id": (TypedValue(ValueType.INT32, -1), None),
        "general.name": (TypedValue(ValueType.UINT32, 5), None),
    }
    file = model(tmp_path, metadata={key: written for key, (written, _) in keys.items()})
    assert repair_types(file.first).changes == {key: read for key, (_, read) in keys.items()}


def test_a_header_as_it_should_be_is_not_changed(tmp_path):
    assert not repair_types(ShardSet.discover(tiny_llama(tmp_path / "m.gguf")).first)


def test_a_vocabulary_without_a_pre_tokenizer_is_a_warning(tmp_path):
    bpe = {"tokenizer.ggml.model": "gpt2"}
    assert [*header_warnings(model(tmp_path, metadata=bpe).first)]
    assert not [*header_warnings(model(tmp_path, metadata=bpe | {"tokenizer.ggml.pre": "qwen2"}).first)]
    assert not [*header_warnings(model(tmp_path).first)]
