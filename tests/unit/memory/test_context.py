"""How much memory a model takes, and which context length is chosen."""

import psutil
import pytest

from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.memory.context import ModelShape, choose_context, fits_memory, parse_context, read_shape
from gguf2ollama.memory.hardware import free_memory_bytes

GIB = 1 << 30

# Qwen2.5-7B-Instruct: config.json of the model (28 layers, 28 heads, 4 key-value heads, 3,584 wide)
QWEN = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 28,
    "qwen2.context_length": 32768,
    "qwen2.embedding_length": 3584,
    "qwen2.attention.head_count": 28,
    "qwen2.attention.head_count_kv": 4,
}


def test_a_token_takes_keys_and_values_of_every_layer():
    # 28 layers x 4 heads x (128 + 128) numbers x 2 bytes
    assert read_shape(QWEN, weight_bytes=0).cache_bytes_per_token == 57_344


def test_explicit_head_lengths_go_before_the_derived_one():
    shape = read_shape(
        QWEN | {"qwen2.attention.key_length": 256, "qwen2.attention.value_length": 64}, weight_bytes=0
    )
    assert shape.cache_bytes_per_token == 28 * 4 * (256 + 64) * 2


def test_layers_without_attention_take_no_cache():
    shape = read_shape(
        QWEN | {"qwen2.block_count": 4, "qwen2.attention.head_count_kv": [0, 4, 0, 2]}, weight_bytes=0
    )
    assert shape.cache_bytes_per_token == 6 * 256 * 2


def test_without_key_value_heads_every_head_has_its_own():
    metadata = {key: value for key, value in QWEN.items() if not key.endswith("head_count_kv")}
    assert read_shape(metadata, weight_bytes=0).cache_bytes_per_token == 28 * 28 * 256 * 2


def test_a_file_that_tells_nothing_has_no_context_length():
    assert read_shape({}, weight_bytes=5) == ModelShape(
        weight_bytes=5, context_length=None, cache_bytes_per_token=0
    )


@pytest.mark.parametrize("value", [-1, "many", 2.5])
def test_a_shape_that_makes_no_sense_is_refused(value):
    with pytest.raises(InvalidGguf, match="block_count"):
        read_shape(QWEN | {"qwen2.block_count": value}, weight_bytes=0)


@pytest.mark.parametrize(
    "text,value", [("8192", 8192), ("8k", 8192), ("32K", 32768), ("auto", "auto"), (" MAX ", "max")]
)
def test_context_lengths_are_read(text, value):
    assert parse_context(text) == value


@pytest.mark.parametrize("text", ["", "0", "-5", "k", "1.5k", "lots", "9999999999", "٣"])
def test_what_is_not_a_context_length_is_refused(text):
    with pytest.raises(UsageProblem, match="invalid --ctx"):
        parse_context(text)


SHAPE = ModelShape(weight_bytes=4 * GIB, context_length=131_072, cache_bytes_per_token=57_344)


def test_auto_gives_a_useful_context_where_memory_is_plenty():
    choice = choose_context(SHAPE, "auto", free_bytes=64 * GIB)
    assert (choice.tokens, "--ctx" in choice.reason) == (32_768, True)


def test_auto_gives_what_fits_where_memory_is_short():
    choice = choose_context(SHAPE, "auto", free_bytes=6 * GIB)
    assert SHAPE.bytes_at(choice.tokens) <= 6 * GIB * 0.8 < SHAPE.bytes_at(choice.tokens + 1024)
    assert "fits" in choice.reason


def test_auto_says_so_when_not_even_the_least_fits():
    choice = choose_context(SHAPE, "auto", free_bytes=GIB)
    assert (choice.tokens, "may not fit" in choice.reason) == (2048, True)


def test_auto_is_cautious_about_a_machine_it_cannot_see():
    choice = choose_context(SHAPE, "auto", free_bytes=None)
    assert (choice.tokens, choice.reason) == (8192, "the server's free memory is unknown")


def test_auto_never_goes_beyond_what_the_model_was_trained_for():
    small = ModelShape(weight_bytes=GIB, context_length=2048, cache_bytes_per_token=100)
    assert choose_context(small, "auto", free_bytes=64 * GIB).tokens == 2048
    assert choose_context(small, "auto", free_bytes=None).tokens == 2048


def test_max_is_what_the_model_was_trained_for():
    assert choose_context(SHAPE, "max", free_bytes=GIB).tokens == 131_072


def test_a_number_is_taken_as_it_is_and_said_to_be_beyond():
    choice = choose_context(SHAPE, 200_000, free_bytes=GIB)
    assert choice.tokens == 200_000
    assert "more than the 131,072" in choice.reason


@pytest.mark.parametrize("has_meminfo", [True, False], ids=["meminfo", "psutil"])
def test_the_free_memory_is_a_part_of_all_memory(monkeypatch, tmp_path, has_meminfo):
    if not has_meminfo:
        monkeypatch.setattr("gguf2ollama.memory.hardware._MEMINFO", tmp_path / "missing")
    assert 1 << 20 < free_memory_bytes() < psutil.virtual_memory().total


def test_memory_that_cannot_be_measured_is_unknown(monkeypatch, tmp_path):
    def refuse():
        raise psutil.AccessDenied

    monkeypatch.setattr("gguf2ollama.memory.hardware._MEMINFO", tmp_path / "missing")
    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert free_memory_bytes() is None


def test_weights_fit_where_a_fifth_of_the_free_memory_stays_free():
    assert fits_memory(7 * 10**9, free_bytes=10 * 10**9)
    assert not fits_memory(8 * 10**9, free_bytes=10 * 10**9)
    assert fits_memory(1, free_bytes=None) is None
