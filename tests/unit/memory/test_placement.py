"""Where a model runs, by the memory that a machine has."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.memory.placement import (
    Model,
    Places,
    automatic_batch,
    place_model,
    place_weights,
    placement_table,
)

MIB, GIB = 1 << 20, 1 << 30


class Tensor(NamedTuple):
    name: str
    n_bytes: int


def model(*, layers=32, layer_bytes=128 * MIB, trained=131_072, kv_heads=8, **keys):
    """A model like Llama 3.1 8B: 4.5 GiB of weights and 128 KiB of KV cache for each token."""
    metadata = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.context_length": trained,
        "llama.embedding_length": 4096,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": kv_heads,
        "llama.vocab_size": 128_256,
    }
    tensors = [Tensor(f"blk.{index}.ffn_up.weight", layer_bytes) for index in range(layers)]
    tensors += [Tensor("token_embd.weight", 256 * MIB), Tensor("output.weight", 256 * MIB)]
    metadata = {key: value for key, value in metadata.items() if value is not None}
    return Model.read(metadata, tensors, **keys)


LLAMA = model()


def place(context, *, of=LLAMA, ram=0, gpus=(), **keys):
    room = MemoryRoom(ram=int(ram * GIB), gpus=tuple(int(count * GIB) for count in gpus), **keys)
    return place_model(of, context, room=room)


@pytest.mark.parametrize(
    "context,ram,gpus,expected",
    [
        (8192, 16, (8,), "gpu"),
        (32_768, 16, (8,), "split"),
        (131_072, 8, (8,), "none"),
        (8192, 8, (), "ram"),
        (8192, 5, (), "none"),
        (8192, 16, (0.1,), "ram"),
        (32_768, 16, (5, 6), "gpu"),
        (32_768, 1, (5, 2), "none"),
    ],
)
def test_a_model_runs_on_gpus_then_partly_there_then_in_ram(context, ram, gpus, expected):
    assert place(context, ram=ram, gpus=gpus).place == expected


def test_what_does_not_fit_on_gpus_goes_to_ram_layer_by_layer():
    found = place(32_768, ram=16, gpus=(6,))
    assert 0 < found.gpu_layers < found.layers == 33
    assert found.gpu_bytes <= 6 * GIB
    more = LLAMA.estimate(
        32_768, room=MemoryRoom(ram=16 * GIB, gpus=(6 * GIB,)), gpu_layers=found.gpu_layers + 1
    )
    assert more.by_device["gpu0"].total > 6 * GIB
    assert found.gpu_bytes + found.ram_bytes == found.estimate.total


def test_a_model_that_fits_on_one_gpu_is_not_spread():
    found = place(4096, ram=16, gpus=(4, 8))
    assert list(found.estimate.by_device) == ["cpu", "gpu0"]


def test_unified_memory_is_not_counted_twice():
    assert place(8192, ram=6.5, gpus=(6.5,), unified=True).place == "gpu"
    # 5.3 GiB on the GPU and 0.3 in RAM
    assert place(8192, ram=5.5, gpus=(5.5,)).place == "gpu"
    assert place(8192, ram=5.5, gpus=(5.5,), unified=True).place == "none"


def test_of_a_machine_whose_models_show_its_gpu_its_ram_is_not_asked_for():
    assert place(8192, ram=0, gpus=(8,), is_minimum=True).place == "gpu"
    assert place(8192, ram=0, gpus=(8,)).place == "none"


def test_a_smaller_cache_moves_a_model_onto_the_gpu():
    room = MemoryRoom(ram=16 * GIB, gpus=(8 * GIB,))
    places = [place_model(LLAMA, 32_768, room=room, cache_type=kind).place for kind in ("f16", "q4_0")]
    assert places == ["split", "gpu"]


@given(st.integers(256, 1 << 20), st.integers(0, 32), st.lists(st.integers(0, 32), max_size=3))
def test_what_is_placed_fits(context, ram, gpus):
    found = place(context, ram=ram, gpus=tuple(gpus))
    if found.place != "none":
        assert found.ram_bytes <= ram * GIB
        assert found.gpu_bytes <= sum(gpus) * GIB
    if found.place == "gpu":
        assert found.gpu_layers == found.layers
    room = MemoryRoom(ram=ram * GIB, gpus=tuple(count * GIB for count in gpus))
    assert Places(model=LLAMA, room=room).place(context) == found.place


@given(st.integers(1, 64), st.integers(1, 64))
def test_more_memory_never_makes_a_place_worse(fewer, more):
    order = ["none", "ram", "split", "gpu"]
    fewer, more = sorted((fewer, more))
    first = place(32_768, ram=12, gpus=(fewer,)).place
    second = place(32_768, ram=12, gpus=(more,)).place
    assert order.index(first) <= order.index(second)


def test_the_table_ends_with_the_trained_context():
    room = MemoryRoom(ram=64 * GIB)
    found = [(row.context, row.cache_type) for row in placement_table(model(trained=40_960), room=room)]
    assert list(dict(found)) == [4096, 8192, 32_768, 40_960]
    assert [kind for context, kind in found if context == 4096] == ["f16", "q8_0", "q4_0"]
    untrained = placement_table(model(trained=None), room=room)
    assert {row.context for row in untrained} == {4096, 8192, 32_768, 131_072}
    assert {row.context for row in placement_table(model(trained=2048), room=room)} == {2048}


@pytest.mark.parametrize(
    "count,expected",
    [(4, "gpu"), (7, "split"), (12, "split"), (20, "none")],
)
def test_weights_alone_are_placed_with_a_margin(count, expected):
    assert place_weights(count * GIB, room=MemoryRoom(ram=12 * GIB, gpus=(6 * GIB,))) == expected


def test_weights_are_placed_in_ram_without_a_gpu_and_nowhere_without_knowing_the_memory():
    assert place_weights(4 * GIB, room=MemoryRoom(ram=12 * GIB)) == "ram"
    assert place_weights(1, room=None) is None


# generationBatchForContext and generationBatchFits in server/sched.go of Ollama 0.34.4
@pytest.mark.parametrize(
    "context,needed,vram,batch",
    [
        (4096, 0, 0, 512),
        (4097, 0, 0, 1024),
        (32_768, 0, 0, 1024),
        (32_769, 0, 0, 2048),
        (32_769, 6 * GIB, 24 * GIB, 2048),
        (32_769, 15 * GIB, 24 * GIB, 1024),
        (32_769, 18.5 * GIB, 24 * GIB, 512),
        (32_769, 2.5 * GIB, 5 * GIB, 1024),
        (8192, 3.9 * GIB, 5 * GIB, 512),
        (8192, 3 * GIB, 5 * GIB, 1024),
    ],
)
def test_a_batch_is_as_large_as_ollama_makes_it(context, needed, vram, batch):
    assert automatic_batch(context, needed=int(needed), vram=int(vram)) == batch


def test_embeddings_are_made_in_one_batch():
    small = model(is_embedding=True, trained=512)
    assert small.estimate(512).compute < model(trained=512, is_embedding=True).estimate(2048).compute
    assert model(is_embedding=True).estimate(8192) == model(is_embedding=True).estimate(8192)


def test_a_projector_takes_its_place():
    seeing = model(projector=[Tensor("v.blk.0.weight", 3 * GIB)])
    assert seeing.estimate(4096).projector == 3 * GIB
    assert place(8192, of=seeing, ram=16, gpus=(8,)).place == "split"
