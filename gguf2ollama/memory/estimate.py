"""The memory that llama.cpp, and so Ollama, takes to run a model: from its header alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.caches import CacheSettings, kv_bytes, recurrent_bytes
from gguf2ollama.memory.compute import compute_buffers, output_bytes
from gguf2ollama.memory.shape import ModelShape, read_shape
from gguf2ollama.memory.weights import TensorSize, largest_weights, layer_devices, weight_bytes

__all__ = ["DeviceMemory", "MemoryEstimate", "estimate_memory", "estimate_shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """The memory of one device, in bytes.

    Attributes:
        weights: Weights of the model, its projector and its adapters.
        kv: KV cache.
        recurrent: Recurrent state.
        compute: Intermediate results.
        output: Results for the caller.
    """

    weights: int = 0
    kv: int = 0
    recurrent: int = 0
    compute: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.recurrent + self.compute + self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """The memory that a model takes, in bytes.

    Attributes:
        weights: Weights of the model; 0 if its tensors were not given.
        kv: KV cache of all sequences.
        recurrent: Recurrent state of all sequences.
        compute: Intermediate results (compute buffers).
        output: Results for the caller (output buffer).
        projector: Weights of the projector.
        adapters: Weights of adapters.
        draft: All that a draft model takes.
        by_device: The memory of each device: ``cpu``, ``gpu0``, ``gpu1``; without the draft model.
        is_exact: Whether the architecture is known; otherwise the KV cache is an upper bound.
    """

    weights: int
    kv: int
    recurrent: int
    compute: int
    output: int
    projector: int = 0
    adapters: int = 0
    draft: int = 0
    by_device: Mapping[str, DeviceMemory]
    is_exact: bool

    @property
    def total(self) -> int:
        """All of it, on all devices."""
        return sum(memory.total for memory in self.by_device.values()) + self.draft


def estimate_memory(
    metadata: Mapping[str, Any],
    *,
    context: int,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    batch: int = 2048,
    ubatch: int = 512,
    slots: int = 1,
    unified: bool = False,
    swa_full: bool = False,
    flash_attention: bool = True,
    gpu_layers: int = 0,
    build: int | None = None,
    tensors: Iterable[TensorSize] | None = None,
    projector: Iterable[TensorSize] = (),
    adapters: Iterable[TensorSize] = (),
    draft: MemoryEstimate | None = None,
    splits: Sequence[float] = (1.0,),
) -> MemoryEstimate:
    """Return the memory that a model takes.

    Args:
        metadata: Keys of the GGUF header with their values; without a list of tokens,
            ``ARCHITECTURE.vocab_size`` is their number.
        context: Tokens of all sequences together (``--ctx-size``).
        cache_type_k: The type of cached keys (``--cache-type-k``).
        cache_type_v: The type of cached values (``--cache-type-v``).
        batch: Tokens of a batch (``--batch-size``).
        ubatch: Tokens that are processed at once (``--ubatch-size``).
        slots: The number of sequences (``--parallel``).
        unified: Whether they share one cache (``--kv-unified``).
        swa_full: Whether layers with a window cache all tokens (``--swa-full``).
        flash_attention: Whether flash attention is used (``--flash-attn``).
        gpu_layers: Layers on GPUs, counted from the output, which is one more; negative for all
            (``--gpu-layers``).
        build: The build of llama.cpp, such as 11095 for b11095, which decides how large compute buffers are;
            without it, an upper bound for builds from 2025 on.
        tensors: The tensors of all files of the model; without them, weights count 0.
        projector: The tensors of its projector, which goes to the first GPU if there are layers there.
        adapters: The tensors of its adapters, likewise.
        draft: The memory of its draft model.
        splits: The share of each GPU (``--tensor-split``).

    Returns:
        Bytes in all, by kind and by device.

    Raises:
        InvalidGguf: The header contradicts itself, or its tensors.
        UsageProblem: A setting is invalid.
    """
    return estimate_shape(
        read_shape(metadata),
        settings=CacheSettings(
            context=context,
            type_k=cache_type_k,
            type_v=cache_type_v,
            ubatch=min(batch, ubatch),
            slots=slots,
            unified=unified,
            swa_full=swa_full,
            flash_attention=flash_attention,
            build=build,
        ),
        gpu_layers=gpu_layers,
        tensors=tensors,
        projector=projector,
        adapters=adapters,
        draft=draft,
        splits=splits,
    )


def estimate_shape(
    shape: ModelShape,
    *,
    settings: CacheSettings,
    gpu_layers: int = 0,
    tensors: Iterable[TensorSize] | None = None,
    projector: Iterable[TensorSize] = (),
    adapters: Iterable[TensorSize] = (),
    draft: MemoryEstimate | None = None,
    splits: Sequence[float] = (1.0,),
) -> MemoryEstimate:
    """Return the memory that a model of this shape takes; see :func:`estimate_memory`."""
    if not splits or any(not 0 <= split < float("inf") for split in splits):
        raise UsageProblem("invalid splits: expected the share of each GPU")
    devices = layer_devices(len(shape.layers), gpu_layers=gpu_layers, splits=splits)
    tensors = None if tensors is None else tuple(tensors)
    weights = {} if tensors is None else weight_bytes(shape, tensors, devices=devices)
    first = 0 if devices[-1] >= 0 else -1
    further = {"projector": _sum(projector), "adapters": _sum(adapters)}
    parts: dict[str, dict[int, int]] = {
        "weights": {**weights, first: weights.get(first, 0) + sum(further.values())},
        "kv": _by_device(kv_bytes(shape, settings), devices),
        "recurrent": _by_device(recurrent_bytes(shape, slots=settings.slots), devices),
        "compute": compute_buffers(
            shape,
            settings=settings,
            devices=devices,
            weights=None if tensors is None else largest_weights(tensors),
        ),
        "output": {-1: output_bytes(shape, slots=settings.slots)},
    }
    numbers = sorted({-1, *devices})
    return MemoryEstimate(
        weights=sum(weights.values()),
        kv=sum(parts["kv"].values()),
        recurrent=sum(parts["recurrent"].values()),
        compute=sum(parts["compute"].values()),
        output=sum(parts["output"].values()),
        projector=further["projector"],
        adapters=further["adapters"],
        draft=draft.total if draft is not None else 0,
        by_device={
            "cpu" if number < 0 else f"gpu{number}": DeviceMemory(
                **{kind: sizes.get(number, 0) for kind, sizes in parts.items()}
            )
            for number in numbers
        },
        is_exact=shape.is_known,
    )


def _by_device(sizes: Sequence[int], devices: Sequence[int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for size, device in zip(sizes, devices, strict=False):
        sums[device] = sums.get(device, 0) + size
    return sums


def _sum(tensors: Iterable[TensorSize]) -> int:
    return sum(tensor.n_bytes for tensor in tensors)
