"""What is read from a header, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.memory.architectures import ARCHITECTURES, ENCODERS, HYBRID, INDEXED, RECURRENT, WINDOWS
from gguf2ollama.memory.shape import read_shape

LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 4,
    "llama.context_length": 8192,
    "llama.embedding_length": 256,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.vocab_size": 32_000,
}


def with_keys(**keys):
    return LLAMA | {f"llama.{key.replace('__', '.')}": value for key, value in keys.items()}


def test_the_length_of_a_head_follows_from_the_width():
    layer = read_shape(LLAMA).layers[0]
    assert (layer.key_length, layer.value_length, layer.kv_heads) == (64, 64, 2)


def test_heads_have_keys_of_their_own_without_grouping():
    metadata = {key: value for key, value in LLAMA.items() if not key.endswith("head_count_kv")}
    assert read_shape(metadata).layers[0].kv_heads == 4


def test_the_list_of_tokens_precedes_the_number_of_tokens():
    assert read_shape(LLAMA).vocabulary == 32_000
    assert read_shape(LLAMA | {"tokenizer.ggml.tokens": ["a", "b"]}).vocabulary == 2


def test_windows_count_for_architectures_that_use_them():
    assert read_shape(with_keys(attention__sliding_window=4096)).window == 0
    gemma = {key.replace("llama", "gemma3"): value for key, value in LLAMA.items()}
    gemma |= {"general.architecture": "gemma3", "gemma3.attention.sliding_window": 512}
    shape = read_shape(gemma | {"gemma3.block_count": 7})
    assert (shape.window, [layer.has_window for layer in shape.layers]) == (512, [True] * 5 + [False, True])


def test_a_pattern_of_another_length_is_used_as_far_as_it_goes():
    gemma = {key.replace("llama", "gemma3"): value for key, value in LLAMA.items()}
    gemma |= {"general.architecture": "gemma3", "gemma3.attention.sliding_window": 512}
    for pattern in ([True], [True, False, False, False, True, True]):
        shape = read_shape(gemma | {"gemma3.attention.sliding_window_pattern": pattern})
        assert [layer.has_window for layer in shape.layers] == [True, False, False, False]


def test_an_unknown_architecture_has_attention_in_all_layers():
    metadata = {key.replace("llama", "brandnew"): value for key, value in LLAMA.items()}
    metadata |= {"general.architecture": "brandnew", "brandnew.attention.sliding_window": 128}
    shape = read_shape(metadata)
    assert not shape.is_known
    assert all(layer.is_cached and not layer.has_window for layer in shape.layers)


@pytest.mark.parametrize(
    "key,value,message",
    [
        ("block_count", 0, "block_count"),
        ("block_count", 1 << 20, "block_count"),
        ("block_count", -1, "block_count"),
        ("block_count", "many", "block_count"),
        ("block_count", 2.5, "block_count"),
        ("attention.head_count", 0, "no layer has a head"),
        ("attention.head_count", [4, 4], "2 values for 4 layers"),
        ("attention.head_count_kv", [2] * 5, "5 values for 4 layers"),
        ("attention.head_count_kv", [2, 2, -2, 2], "head_count_kv"),
        ("embedding_length", 1 << 40, "embedding_length"),
        ("context_length", True and "8k", "context_length"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(key, value, message):
    metadata = LLAMA | {f"llama.{key}": value}
    if key == "attention.head_count" and value == 0:
        del metadata["llama.attention.head_count_kv"]
    with pytest.raises(InvalidGguf, match=message):
        read_shape(metadata)


def test_special_architectures_are_known():
    for names in (ENCODERS, HYBRID, INDEXED, RECURRENT, WINDOWS):
        assert set(names) <= ARCHITECTURES


_NUMBERS = st.one_of(
    st.integers(-10, 1 << 40),
    st.floats(),
    st.text(max_size=3),
    st.booleans(),
    st.lists(st.integers(-1, 1 << 33), max_size=6),
)
_KEYS = (
    "block_count",
    "nextn_predict_layers",
    "embedding_length",
    "context_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "attention.indexer.types",
    "attention.recurrent_layers",
    "attention.compress_ratios",
    "full_attention_interval",
    "ssm.inner_size",
    "shortconv.l_cache",
    "feed_forward_length",
    "num_loops",
)


@given(
    name=st.sampled_from(sorted(ARCHITECTURES)),
    keys=st.dictionaries(st.sampled_from(_KEYS), _NUMBERS),
)
def test_any_header_has_a_shape_or_is_refused(name, keys):
    header = LLAMA | {f"llama.{key}": value for key, value in keys.items()}
    metadata = {key.replace("llama", name): value for key, value in header.items()}
    try:
        shape = read_shape(metadata | {"general.architecture": name})
    except InvalidGguf:
        return
    assert 0 < len(shape.layers) <= 512
