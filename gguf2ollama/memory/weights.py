"""The bytes of a model's weights, and the device that each tensor is loaded to.

As ``llama_model_base::load_tensors`` of llama.cpp b11095 does it (``src/llama-model.cpp``); the device of a
tensor outside the layers follows ``LLM_TENSOR_INFOS`` in ``src/llama-arch.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.memory.shape import ModelShape

__all__ = ["TensorSize", "largest_weights", "layer_devices", "weight_bytes"]

_INPUT = ("token_embd", "token_types", "position_embd", "per_layer_token_embd", "hrm")
"""The first words of the names of tensors that stay with the CPU, which looks tokens up."""

_DRAFTS_NOT_LOADED = frozenset(
    {
        "bailingmoe3",
        "cohere2moe",
        "deepseek2",
        "deepseek32",
        "deepseek4",
        "glm-dsa",
        "glm4moe",
        "hy_v3",
        "mimo2",
        "nemotron_h",
        "nemotron_h_moe",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "step35",
    }
)
"""Architectures of which draft layers are loaded only where they are used (``load_mtp``)."""


class TensorSize(Protocol):
    """A tensor as far as memory is concerned, such as :class:`gguf2ollama.ggufio.TensorInfo`."""

    @property
    def name(self) -> str:
        """Its name in the file."""

    @property
    def n_bytes(self) -> int:
        """The bytes of its data."""


def layer_devices(n_layers: int, *, gpu_layers: int, splits: Sequence[float] = (1.0,)) -> list[int]:
    """Return the device of each layer and, last, of the output: -1 is the CPU, 0 the first GPU.

    Args:
        n_layers: All layers, those for drafts included.
        gpu_layers: How many of them, counted from the output, go to GPUs; negative for all.
        splits: The share of each GPU in those layers; its free memory by default.
    """
    count = n_layers + 1
    on_gpu = count if gpu_layers < 0 else min(gpu_layers, count)
    total = sum(splits)
    bounds = [sum(splits[: index + 1]) / total for index in range(len(splits))] if total else [1.0]
    devices = [-1] * (count - on_gpu)
    for index in range(on_gpu):
        # the first device whose bound is above this share; rounding may leave the last bound below 1
        share = index / on_gpu
        devices.append(
            next((number for number, bound in enumerate(bounds) if bound > share), len(bounds) - 1)
        )
    return devices


def weight_bytes(
    shape: ModelShape, tensors: Iterable[TensorSize], *, devices: Sequence[int]
) -> dict[int, int]:
    """Return the bytes of weights on each device.

    Args:
        shape: The shape of the model.
        tensors: The tensors of all its files.
        devices: The device of each layer and of the output, from :func:`layer_devices`.

    Raises:
        InvalidGguf: A layer that the header declares has no tensors.
    """
    sums: dict[int, int] = {}
    has_output, embedding = False, 0
    seen: set[int] = set()
    skips_drafts = shape.architecture in _DRAFTS_NOT_LOADED
    for tensor in tensors:
        layer = _layer_of(tensor.name)
        if layer is not None:
            seen.add(layer)
            if layer >= len(shape.layers) or (skips_drafts and shape.layers[layer].is_draft):
                continue
            device = devices[layer]
        else:
            first = tensor.name.partition(".")[0]
            device = -1 if first.startswith(_INPUT) else devices[-1]
            has_output = has_output or tensor.name == "output.weight"
            if tensor.name == "token_embd.weight":
                embedding = tensor.n_bytes
        sums[device] = sums.get(device, 0) + tensor.n_bytes
    _check_layers(shape, seen)
    if not has_output and devices[-1] >= 0 and shape.vocabulary:
        # tied: the output layer takes a copy of the embeddings to its device
        sums[devices[-1]] = sums.get(devices[-1], 0) + embedding
    return sums


def largest_weights(tensors: Iterable[TensorSize]) -> dict[int, int]:
    """Return the bytes of the largest tensor of each layer."""
    largest: dict[int, int] = {}
    for tensor in tensors:
        layer = _layer_of(tensor.name)
        if layer is not None:
            largest[layer] = max(largest.get(layer, 0), tensor.n_bytes)
    return largest


def _layer_of(name: str) -> int | None:
    prefix, _, rest = name.partition("blk.")
    number = rest.partition(".")[0]
    if prefix in {"", "dec."} and number.isascii() and number.isdigit():
        return int(number)
    return None


def _check_layers(shape: ModelShape, seen: set[int]) -> None:
    if shape.architecture == "nanbeige":  # its layers are used several times
        return
    missing = [index for index, layer in enumerate(shape.layers) if index not in seen and not layer.is_draft]
    if missing and seen:
        raise InvalidGguf(
            f"invalid {shape.architecture}.block_count {len(shape.layers)}: no tensors of layer {missing[0]}",
            hint="the file is damaged or incomplete; download it again, with all of its shards",
        )
