"""Compute buffers: what adds to them, on which device, and in which builds of llama.cpp."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.memory import estimate_memory
from gguf2ollama.memory.architectures import ARCHITECTURES
from tests.unit.memory.test_measured import FACTS, header_of

MIB = 1 << 20
NEW = 11095
QWEN = header_of(FACTS["Qwen2.5-7B"])
QWEN_WIDTH, QWEN_TOKENS, ROWS = 3584, 152064, 512


def compute(header=QWEN, *, context=4096, build=NEW, **keywords):
    """Return the MiB of compute buffers by device."""
    memory = estimate_memory(header, context=context, build=build, **keywords)
    return {name: device.compute / MIB for name, device in memory.by_device.items()}


def test_a_mask_grows_with_the_context_and_nothing_else():
    assert compute(context=36864)["cpu"] - compute(context=4096)["cpu"] == 32768 * ROWS * 2 / MIB


def test_old_builds_have_logits_of_all_tokens():
    # what logs of 2025 and 2026 say of Qwen2.5-7B, whole on a device
    device = compute(build=9000, gpu_layers=-1)["gpu0"]
    assert device == pytest.approx((QWEN_TOKENS + QWEN_WIDTH) * ROWS * 4 / MIB, abs=0.01)
    assert compute(build=9454, gpu_layers=-1)["gpu0"] > 300 > compute(build=9455, gpu_layers=-1)["gpu0"]


def test_old_builds_have_f32_masks_on_the_host():
    old, new = (compute(build=build, context=65536, gpu_layers=-1)["cpu"] for build in (9411, 9412))
    assert old - new == 65536 * ROWS * 2 / MIB - QWEN_WIDTH * ROWS * 4 / MIB


def test_without_a_build_it_is_an_upper_bound():
    for layers in (0, -1):
        unknown = sum(compute(build=None, gpu_layers=layers).values())
        assert unknown >= sum(compute(build=NEW, gpu_layers=layers).values())
    assert compute(build=None, gpu_layers=-1) == compute(build=9000, gpu_layers=-1)


def test_without_flash_attention_there_are_scores():
    without = compute(flash_attention=False, context=32768)["cpu"]
    assert without > 28 * 32768 * ROWS * 4 / MIB > compute(context=32768)["cpu"]


def test_grok_has_no_flash_attention():
    grok = header_of(FACTS["Grok-1"])
    assert compute(grok)["cpu"] == compute(grok, flash_attention=False)["cpu"]


def test_a_smaller_batch_takes_less():
    assert compute(ubatch=128)["cpu"] == pytest.approx(compute()["cpu"] / 4, rel=0.01)


def test_layers_on_the_cpu_are_computed_on_the_gpu_of_copies():
    class Tensor:
        def __init__(self, name, n_bytes):
            self.name, self.n_bytes = name, n_bytes

    tensors = [Tensor(f"blk.{layer}.ffn_up.weight", 300 * MIB) for layer in range(2)]
    whole = compute(gpu_layers=-1)
    assert compute(gpu_layers=1)["cpu"] == pytest.approx(whole["cpu"], abs=8)
    partial = estimate_memory(QWEN, context=4096, build=NEW, gpu_layers=1, tensors=tensors)
    assert partial.by_device["gpu0"].compute / MIB > whole["gpu0"] + 250


def test_a_quantized_cache_is_converted_on_a_gpu():
    converted, mask = 131072 * 4 * 128 * 2 / MIB, 131072 * ROWS * 2 / MIB
    keys = compute(context=131072, gpu_layers=-1, cache_type_k="q8_0")["gpu0"]
    both = compute(context=131072, gpu_layers=-1, cache_type_k="q8_0", cache_type_v="q8_0")["gpu0"]
    assert keys > mask + converted
    assert both >= keys + converted
    on_cpu = compute(context=131072, cache_type_k="q8_0")["cpu"]
    assert on_cpu == pytest.approx(compute(context=131072)["cpu"], rel=0.05)


def test_several_gpus_process_several_batches_at_once():
    deep = {**QWEN, "qwen2.block_count": 12}
    one, two = compute(deep, gpu_layers=-1), compute(deep, gpu_layers=-1, splits=(1, 1))
    mask = 4096 * ROWS * 2 / MIB
    assert two["cpu"] >= one["cpu"] + 3 * mask
    assert two["gpu0"] >= one["gpu0"] + 3 * mask
    # the second gets four copies of the residual and its norm beside them
    assert two["gpu1"] == pytest.approx(two["gpu0"] + 4 * QWEN_WIDTH * ROWS * 4 / MIB, abs=0.1)


def test_an_encoder_sees_a_batch_and_no_cache():
    bert = header_of(FACTS["nomic-embed-text-v1.5"])
    assert compute(bert, context=2048) == compute(bert, context=8192)


def test_an_estimate_needs_no_layer_twice():
    deep = {**QWEN, "qwen2.block_count": 64}
    assert compute(deep) == compute({**QWEN, "qwen2.block_count": 8})


NUMBERS = st.sampled_from([0, 1, 2, 7, 64, 128, 4096, (1 << 31), (1 << 32) - 1])
KEYS = sorted({key for model in FACTS.values() for key in model["keys"] if not key.startswith("=")})


@settings(max_examples=60, deadline=None)
@given(
    architecture=st.sampled_from([*sorted(ARCHITECTURES), "unheard-of"]),
    numbers=st.dictionaries(st.sampled_from(KEYS), NUMBERS),
    causal=st.booleans(),
    layers=st.integers(-1, 9),
    flash_attention=st.booleans(),
)
def test_a_header_that_lies_is_refused_or_estimated(architecture, numbers, causal, layers, flash_attention):
    header = {"general.architecture": architecture} | {
        f"{architecture}.{key}": value
        for key, value in {"block_count": 5, "attention.causal": causal, **numbers}.items()
    }
    try:
        buffers = compute(header, gpu_layers=layers, flash_attention=flash_attention)
    except InvalidGguf:
        return
    assert all(size >= 0 for size in buffers.values())
