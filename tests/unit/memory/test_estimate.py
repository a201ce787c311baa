"""The memory of a whole model, on one device and on several."""

from typing import NamedTuple

import pytest

from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.memory import estimate_memory
from tests.unit.memory.test_shape import LLAMA


class Tensor(NamedTuple):
    name: str
    n_bytes: int


TENSORS = [
    Tensor("token_embd.weight", 1000),
    Tensor("output_norm.weight", 10),
    *(Tensor(f"blk.{layer}.ffn_up.weight", 100) for layer in range(4)),
]


def estimate(**keywords):
    return estimate_memory(LLAMA, context=4096, tensors=TENSORS, **keywords)


def test_all_is_on_the_cpu_without_layers_on_gpus():
    memory = estimate()
    assert memory.weights == 1410
    assert list(memory.by_device) == ["cpu"]
    assert memory.by_device["cpu"].total == memory.total


def test_layers_are_offloaded_from_the_last():
    memory = estimate(gpu_layers=2)
    # the output layer counts as one, and takes a copy of the embeddings that it is tied to
    assert memory.by_device["gpu0"].weights == 1000 + 10 + 100
    assert memory.by_device["cpu"].weights == 1000 + 300
    assert memory.by_device["gpu0"].kv * 3 == memory.by_device["cpu"].kv


def test_an_output_of_its_own_needs_no_copy():
    memory = estimate_memory(
        LLAMA, context=4096, tensors=[*TENSORS, Tensor("output.weight", 2000)], gpu_layers=-1
    )
    assert memory.by_device["gpu0"].weights == 2000 + 10 + 400
    assert memory.weights == 1410 + 2000


@pytest.mark.parametrize("layers", [-1, 5, 99])
def test_more_layers_than_there_are_is_all_of_them(layers):
    memory = estimate(gpu_layers=layers)
    assert memory.by_device["cpu"].kv == 0
    assert memory.by_device["gpu0"].kv == memory.kv > 0


def test_several_gpus_take_their_share():
    memory = estimate(gpu_layers=-1, splits=(3, 2))
    assert [memory.by_device[name].weights for name in ("gpu0", "gpu1")] == [300, 100 + 1010]


def test_projector_adapters_and_draft_are_added():
    plain = estimate()
    draft = estimate()
    more = estimate(
        projector=[Tensor("v.patch_embd.weight", 7000)],
        adapters=[Tensor("blk.0.ffn_up.weight.lora_a", 300)],
        draft=draft,
    )
    assert (more.projector, more.adapters, more.draft) == (7000, 300, draft.total)
    assert more.total == plain.total + 7000 + 300 + draft.total


def test_draft_layers_are_not_loaded():
    glm = {key.replace("llama", "glm4moe"): value for key, value in LLAMA.items()}
    glm |= {"general.architecture": "glm4moe", "glm4moe.nextn_predict_layers": 1}
    assert estimate_memory(glm, context=4096, tensors=TENSORS).weights == 1310


def test_the_output_holds_one_token_of_each_slot():
    assert estimate(slots=4).output == 4 * estimate().output == 4 * 4 * 32_000


def test_layers_without_tensors_are_refused():
    with pytest.raises(InvalidGguf, match="no tensors of layer 4"):
        estimate_memory(LLAMA | {"llama.block_count": 5}, context=4096, tensors=TENSORS)


@pytest.mark.parametrize("splits", [(), (-1,), (float("nan"),)])
def test_splits_must_be_shares(splits):
    with pytest.raises(UsageProblem, match="splits"):
        estimate(gpu_layers=-1, splits=splits)


def test_an_unknown_architecture_is_an_upper_bound():
    metadata = {key.replace("llama", "brandnew"): value for key, value in LLAMA.items()}
    memory = estimate_memory(metadata | {"general.architecture": "brandnew"}, context=4096)
    assert (memory.is_exact, memory.kv) == (False, estimate().kv)
