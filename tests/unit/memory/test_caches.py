"""The KV cache and the recurrent state of models as people publish them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.caches import CACHE_TYPES, CacheSettings, kv_bytes, recurrent_bytes
from gguf2ollama.memory.shape import read_shape

MIB = 1 << 20

# from the headers of the models' GGUFs; nothing else of them matters here
QWEN25_7B = {
    "architecture": "qwen2",
    "block_count": 28,
    "embedding_length": 3584,
    "attention.head_count": 28,
    "attention.head_count_kv": 4,
}
GEMMA3_27B = {
    "architecture": "gemma3",
    "block_count": 62,
    "embedding_length": 5376,
    "attention.head_count": 32,
    "attention.head_count_kv": 16,
    "attention.key_length": 128,
    "attention.value_length": 128,
    "attention.sliding_window": 1024,
}
GEMMA4_12B = {
    "architecture": "gemma4",
    "block_count": 48,
    "embedding_length": 3840,
    "attention.head_count": 16,
    "attention.head_count_kv": [8, 8, 8, 8, 8, 1] * 8,
    "attention.key_length": 512,
    "attention.value_length": 512,
    "attention.key_length_swa": 256,
    "attention.value_length_swa": 256,
    "attention.sliding_window": 1024,
    "attention.sliding_window_pattern": [True, True, True, True, True, False] * 8,
}
GEMMA4_E2B = {
    "architecture": "gemma4",
    "block_count": 35,
    "embedding_length": 1536,
    "attention.head_count": 8,
    "attention.head_count_kv": 1,
    "attention.key_length": 512,
    "attention.value_length": 512,
    "attention.key_length_swa": 256,
    "attention.value_length_swa": 256,
    "attention.sliding_window": 512,
    "attention.sliding_window_pattern": [True, True, True, True, False] * 7,
    "attention.shared_kv_layers": 20,
}
GPT_OSS_20B = {
    "architecture": "gpt-oss",
    "block_count": 24,
    "embedding_length": 2880,
    "attention.head_count": 64,
    "attention.head_count_kv": 8,
    "attention.key_length": 64,
    "attention.value_length": 64,
    "attention.sliding_window": 128,
}
QWEN36_27B = {
    "architecture": "qwen35",
    "block_count": 65,
    "nextn_predict_layers": 1,
    "embedding_length": 5120,
    "attention.head_count": 24,
    "attention.head_count_kv": 4,
    "attention.key_length": 256,
    "attention.value_length": 256,
    "full_attention_interval": 4,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 128,
    "ssm.group_count": 16,
    "ssm.time_step_rank": 48,
    "ssm.inner_size": 6144,
}
DEEPSEEK_V3 = {
    "architecture": "deepseek2",
    "block_count": 61,
    "embedding_length": 7168,
    "attention.head_count": 128,
    "attention.head_count_kv": 1,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.key_length_mla": 192,
    "attention.value_length_mla": 128,
    "attention.kv_lora_rank": 512,
}
DEEPSEEK_V3_UNCOMPRESSED = {key: value for key, value in DEEPSEEK_V3.items() if not key.endswith("_mla")} | {
    "attention.head_count_kv": 128,
    "attention.key_length": 192,
    "attention.value_length": 128,
}
GLM_52 = {
    "architecture": "glm-dsa",
    "block_count": 79,
    "nextn_predict_layers": 1,
    "context_length": 1_048_576,
    "embedding_length": 6144,
    "attention.head_count": 64,
    "attention.head_count_kv": 1,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.key_length_mla": 256,
    "attention.value_length_mla": 256,
    "attention.indexer.key_length": 128,
}
LFM2 = {
    "architecture": "lfm2",
    "block_count": 16,
    "embedding_length": 2048,
    "attention.head_count": 32,
    "attention.head_count_kv": [0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0],
    "shortconv.l_cache": 3,
}


def shape_of(header):
    name = header["architecture"]
    rest = {f"{name}.{key}": value for key, value in header.items() if key != "architecture"}
    return read_shape({"general.architecture": name, **rest})


def kv(header, *, context=131_072, **settings):
    return sum(kv_bytes(shape_of(header), CacheSettings(context=context, **settings)))


@pytest.mark.parametrize(
    "header,mebibytes",
    [
        (QWEN25_7B, 7168),  # 28 layers x 4 heads x (128 + 128) x 2 bytes x 131,072 tokens
        (GEMMA3_27B, 10_240 + 624),  # 10 layers of all tokens, 52 of 1,536 cells
        (GEMMA4_12B, 2048 + 480),  # as llama-server logged it, at its context
        (GEMMA4_E2B, 768 + 12),  # 3 layers and 12: the last 20 share theirs
        (GPT_OSS_20B, 3072 + 18),  # 12 layers and 12
        (QWEN36_27B, 8192),  # 16 layers of 64; the draft layer is not cached
        (DEEPSEEK_V3, 8784),  # 61 layers of 576 numbers, and no values
        (DEEPSEEK_V3_UNCOMPRESSED, 624_640),
        (LFM2, 1536),  # 6 layers of 16
    ],
)
def test_only_what_a_layer_caches_counts(header, mebibytes):
    assert kv(header) == mebibytes * MIB


# printed by llama-server and by programs that use it
@pytest.mark.parametrize(
    "header,settings,mebibytes",
    [
        (GEMMA4_12B, {"context": 4096}, 64 + 480),
        (GEMMA4_12B, {"context": 8192, "slots": 4, "unified": True, "ubatch": 2048}, 128 + 1920),
        (GEMMA4_12B, {"context": 32_768, "swa_full": True}, 512 + 10_240),
        (GPT_OSS_20B, {"context": 4096, "ubatch": 2048}, 96 + 54),
        (DEEPSEEK_V3_UNCOMPRESSED, {"context": 4096, "type_k": "q5_0"}, 11_834),
        (GLM_52, {"context": 768_000}, 768_000 * 78 * 576 * 2 / MIB + 3937.5),
    ],
)
def test_the_cache_is_what_servers_logged(header, settings, mebibytes):
    assert kv(header, **settings) == mebibytes * MIB


@pytest.mark.parametrize("kind,share", [("f32", 2), ("bf16", 1), ("q8_0", 34 / 64), ("q4_0", 18 / 64)])
def test_cache_types_take_their_bytes(kind, share):
    assert kv(QWEN25_7B, type_k=kind, type_v=kind) == kv(QWEN25_7B) * share


def test_a_cache_has_a_multiple_of_256_cells():
    assert kv(QWEN25_7B, context=20_000) == kv(QWEN25_7B, context=20_224) > kv(QWEN25_7B, context=19_968)


def test_slots_share_the_tokens_or_the_cache():
    assert kv(QWEN25_7B, slots=4) == kv(QWEN25_7B) == kv(QWEN25_7B, slots=4, unified=True)


def test_windows_are_kept_for_each_slot():
    own = kv(GPT_OSS_20B, context=65_536, slots=4) - kv(GPT_OSS_20B, context=65_536)
    shared = kv(GPT_OSS_20B, context=65_536, slots=4, unified=True) - kv(GPT_OSS_20B, context=65_536)
    per_cell = 12 * 8 * 128 * 2
    assert (own, shared) == ((4 - 1) * 768 * per_cell, (1024 - 768) * per_cell)


def test_a_window_longer_than_the_context_is_cut_to_it():
    assert kv(GEMMA3_27B, context=1024) == 62 * 16 * 256 * 2 * 1024


def test_values_are_padded_to_the_widest_layer_without_flash_attention():
    assert kv(GEMMA4_12B, flash_attention=False) > kv(GEMMA4_12B)
    assert kv(QWEN25_7B, flash_attention=False) == kv(QWEN25_7B)


@pytest.mark.parametrize(
    "header,slots,mebibytes", [(QWEN36_27B, 1, 149.625), (QWEN36_27B, 4, 598.5), (LFM2, 1, 0.15625)]
)
def test_each_slot_has_a_recurrent_state(header, slots, mebibytes):
    assert sum(recurrent_bytes(shape_of(header), slots=slots)) == mebibytes * MIB


def test_models_without_a_recurrent_state_have_none():
    assert not any(recurrent_bytes(shape_of(GEMMA3_27B)))


@pytest.mark.parametrize("name", ["bert", "nomic-bert", "gemma-embedding"])
def test_encoders_cache_nothing(name):
    assert kv(GEMMA3_27B | {"architecture": name}) == 0


@pytest.mark.parametrize(
    "settings", [{"context": 0}, {"context": 1 << 40}, {"slots": 0}, {"ubatch": -1}, {"type_k": "q3_k"}]
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(UsageProblem, match="invalid"):
        CacheSettings(**{"context": 4096, **settings})


@given(
    header=st.sampled_from([GEMMA3_27B, GEMMA4_E2B, GPT_OSS_20B, QWEN36_27B, DEEPSEEK_V3, LFM2, GLM_52]),
    contexts=st.tuples(st.integers(1, 1 << 20), st.integers(1, 1 << 20)).map(sorted),
    kind=st.sampled_from(CACHE_TYPES),
    slots=st.integers(1, 8),
    unified=st.booleans(),
)
def test_a_longer_context_never_takes_less(header, contexts, kind, slots, unified):
    less, more = (
        kv(header, context=context, type_k=kind, type_v=kind, slots=slots, unified=unified)
        for context in contexts
    )
    assert less <= more
