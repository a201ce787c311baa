"""Where a model runs with a context: on GPUs, partly there, in RAM, or nowhere.

As Ollama 0.34.4 and its llama-server do it: all layers go to one GPU that has room, else to all GPUs, else as
many as fit, counted from the output (``--fit``); the rest runs in RAM.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.memory.caches import CacheSettings
from gguf2ollama.memory.estimate import MemoryEstimate, estimate_shape
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.memory.shape import ModelShape, read_shape
from gguf2ollama.memory.weights import TensorSize, layer_devices, weight_bytes

__all__ = [
    "MAX_CONTEXT",
    "NEWEST_BUILD",
    "Model",
    "Place",
    "Placement",
    "automatic_batch",
    "place_model",
    "place_weights",
    "placement_table",
]

Place: TypeAlias = Literal["gpu", "split", "ram", "none"]
"""Where a model runs: all of it on GPUs, a part of its layers, none, or it does not fit."""

MAX_CONTEXT = (1 << 31) - 1
"""Tokens of the largest context that can be asked for."""

NEWEST_BUILD = 11081
"""The build of llama.cpp in Ollama 0.34.4."""

_ALL_LAYERS = -1
_TABLE_CONTEXTS = (4096, 8192, 32_768, 131_072)
_TABLE_TYPES = ("f16", "q8_0", "q4_0")  # those that `OLLAMA_KV_CACHE_TYPE` is documented with
_GIB = 1 << 30
# `generationBatchForContext`, `generationBatchHasHeadroom` and `generationBatchSurcharge` in server/sched.go:
# tokens of context above which a batch is tried, the batch, the share of memory that weights and cache may
# take then (in per cent), and what the batch is taken to need
_BATCHES = ((32_768, 2048, 60, 2 * _GIB), (4096, 1024, 75, 768 << 20))
_LEAST_BATCH = 512
_LOADED = 80  # per cent of the memory that a batch and the rest may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as far as its memory is concerned.

    Attributes:
        shape: Its dimensions.
        tensors: The tensors of all its files.
        projector: The tensors of its projector.
        is_embedding: Whether it is used for embeddings alone.
        build: The build of llama.cpp that runs it; ``None`` for an upper bound over all.
    """

    shape: ModelShape
    tensors: Sequence[TensorSize]
    projector: Sequence[TensorSize] = ()
    is_embedding: bool = False
    build: int | None = NEWEST_BUILD
    _estimates: dict[tuple[object, ...], MemoryEstimate] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def read(
        cls,
        metadata: Mapping[str, Any],
        tensors: Sequence[TensorSize],
        *,
        projector: Sequence[TensorSize] = (),
        is_embedding: bool = False,
        build: int | None = NEWEST_BUILD,
    ) -> Model:
        """Return what the headers of a model say.

        Raises:
            InvalidGguf: A header contradicts itself, or its tensors.
        """
        shape = read_shape(metadata)
        weight_bytes(shape, tensors, devices=layer_devices(len(shape.layers), gpu_layers=0))
        return cls(shape=shape, tensors=tensors, projector=projector, is_embedding=is_embedding, build=build)

    @property
    def trained(self) -> int | None:
        """Tokens that it was trained for, at most what llama.cpp takes (``n_ctx`` is an ``int32_t``)."""
        trained = self.shape.context_length
        return None if trained is None else min(trained, MAX_CONTEXT)

    @property
    def weights(self) -> int:
        """Bytes of the weights."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    def estimate(
        self,
        context: int,
        *,
        cache_type: str = "f16",
        room: MemoryRoom | None = None,
        gpu_layers: int = 0,
        gpus: Sequence[int] = (1,),
    ) -> MemoryEstimate:
        """Return the memory that it takes in Ollama, with its other settings left at their defaults.

        Args:
            context: Tokens of its context.
            cache_type: The type of cached keys and values (``OLLAMA_KV_CACHE_TYPE``).
            room: The memory for models, by which Ollama chooses the size of a batch.
            gpu_layers: Layers on GPUs; negative for all.
            gpus: The bytes of each of them for models.
        """
        if self.is_embedding:  # a text as long as the context is embedded in one batch (`num_batch`)
            batch = context
        else:
            batch = automatic_batch(context, needed=self._plain_need(context), vram=room.vram if room else 0)
        key = (context, cache_type, batch, gpu_layers, tuple(gpus))
        if key not in self._estimates:  # a choice, its reason and its warnings ask for the same ones
            self._estimates[key] = estimate_shape(
                self.shape,
                settings=CacheSettings(
                    context=context, type_k=cache_type, type_v=cache_type, ubatch=batch, build=self.build
                ),
                gpu_layers=gpu_layers,
                tensors=self.tensors,
                projector=self.projector,
                splits=gpus,
            )
        return self._estimates[key]

    def _plain_need(self, context: int) -> int:
        """Return what Ollama itself takes a model to need (``PredictServerVRAM`` in llm/llama_server.go)."""
        layers = self.shape.layers
        kv_heads = min((layer.kv_heads for layer in layers), default=0) or 1
        heads = max((layer.heads for layer in layers), default=0)
        head_length = self.shape.embedding // heads if heads else 0
        return self.weights + 4 * len(layers) * kv_heads * head_length * context


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a model runs with a context, and what it takes there.

    Attributes:
        context: Tokens of its context.
        cache_type: The type of cached keys and values.
        place: Where it runs.
        gpu_layers: The layers on GPUs, the output counted as one.
        layers: All of them.
        estimate: What it takes.
    """

    context: int
    cache_type: str
    place: Place
    gpu_layers: int
    layers: int
    estimate: MemoryEstimate

    @property
    def gpu_bytes(self) -> int:
        """Bytes on all GPUs."""
        return self.estimate.total - self.ram_bytes

    @property
    def ram_bytes(self) -> int:
        """Bytes in RAM."""
        return self.estimate.by_device["cpu"].total


def place_model(model: Model, context: int, *, room: MemoryRoom, cache_type: str = "f16") -> Placement:
    """Return where a model runs with a context.

    Args:
        model: The model.
        context: Tokens of its context.
        room: The memory for models.
        cache_type: The type of cached keys and values.
    """
    places = Places(model=model, room=room, cache_type=cache_type)
    return places.on_gpus(context) or places.split(context) or places.in_ram(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places where a model could run, each with what it takes there.

    Attributes:
        model: The model.
        room: The memory for models.
        cache_type: The type of cached keys and values.
    """

    model: Model
    room: MemoryRoom
    cache_type: str = "f16"

    def on_gpus(self, context: int) -> Placement | None:
        """Return what all of it takes on one GPU, or else on all; ``None`` if it does not fit."""
        if not self.room.gpus:
            return None
        for gpus in dict.fromkeys(((max(self.room.gpus),), self.room.gpus)):
            whole = self._placement(context, "gpu", gpu_layers=_ALL_LAYERS, gpus=gpus)
            if _fits_gpus(whole, gpus) and _fits_ram(whole, self.room):
                return whole
        return None

    def split(self, context: int) -> Placement | None:
        """Return what it takes with as many layers on GPUs as fit; ``None`` if none does, or RAM is short."""
        fewest, most, best = 0, self._layers if self.room.gpus else 0, None
        while most - fewest > 1:
            middle = (fewest + most) // 2
            tried = self._placement(context, "split", gpu_layers=middle, gpus=self.room.gpus)
            if _fits_gpus(tried, self.room.gpus):
                fewest, best = middle, tried
            else:
                most = middle
        return best if best is not None and _fits_ram(best, self.room) else None

    def place(self, context: int) -> Place:
        """Return where it runs, as :func:`place_model`, without counting layers where it can."""
        if self.on_gpus(context) is not None:
            return "gpu"
        in_ram = self.in_ram(context).place
        if in_ram == "ram" and self.room.gpus:
            one = self._placement(context, "split", gpu_layers=1, gpus=self.room.gpus)
            return "split" if _fits_gpus(one, self.room.gpus) and _fits_ram(one, self.room) else "ram"
        if in_ram == "none" and self.split(context) is not None:
            return "split"
        return in_ram

    def in_ram(self, context: int) -> Placement:
        """Return what it takes in RAM, whether it fits or not."""
        found = self._placement(context, "ram", gpu_layers=0, gpus=(1,))
        return found if _fits_ram(found, self.room) else dataclasses.replace(found, place="none")

    @property
    def _layers(self) -> int:
        return len(self.model.shape.layers) + 1

    def _placement(self, context: int, place: Place, *, gpu_layers: int, gpus: Sequence[int]) -> Placement:
        return Placement(
            context=context,
            cache_type=self.cache_type,
            place=place,
            gpu_layers=self._layers if gpu_layers < 0 else gpu_layers,
            layers=self._layers,
            estimate=self.model.estimate(
                context, cache_type=self.cache_type, room=self.room, gpu_layers=gpu_layers, gpus=gpus
            ),
        )


def _fits_gpus(placement: Placement, gpus: Sequence[int]) -> bool:
    taken = placement.estimate.by_device
    return all(
        taken[name].total <= count for number, count in enumerate(gpus) if (name := f"gpu{number}") in taken
    )


def _fits_ram(placement: Placement, room: MemoryRoom) -> bool:
    if room.is_minimum and placement.place == "gpu":
        return True  # of RAM such a machine has more than models show that run on its GPU
    return (placement.estimate.total if room.unified else placement.ram_bytes) <= room.ram


def placement_table(
    model: Model, *, room: MemoryRoom, contexts: Iterable[int] = _TABLE_CONTEXTS
) -> Iterator[Placement]:
    """Return where a model runs with each context up to the trained one, and each type of cache.

    Args:
        model: The model.
        room: The memory for models.
        contexts: Tokens of contexts; the trained one is added.
    """
    trained = model.trained
    lengths = {context for context in contexts if trained is None or context <= trained}
    for context in sorted(lengths | ({trained} if trained else set())):
        for cache_type in _TABLE_TYPES:
            yield place_model(model, context, room=room, cache_type=cache_type)


def place_weights(n_bytes: int, *, room: MemoryRoom | None) -> Place | None:
    """Return where weights of a model run of which nothing else is known; ``None`` if the memory is not.

    For context and buffers an eighth of the weights and 1 GiB are added.
    """
    if room is None:
        return None
    needed = n_bytes + n_bytes // 8 + _GIB
    if needed <= room.vram:
        return "gpu"
    if needed > room.total:
        return "none"
    return "split" if room.gpus else "ram"


def automatic_batch(context: int, *, needed: int, vram: int) -> int:
    """Return the tokens that Ollama lets a model process at once, where nobody sets ``num_batch``.

    As ``automaticGenerationBatch`` in server/sched.go of 0.34.4.

    Args:
        context: Tokens of its context.
        needed: The bytes that Ollama takes weights and KV cache to need.
        vram: The bytes of all GPUs; 0 without one, where any batch is taken to fit.
    """
    for above, batch, share, surcharge in _BATCHES:
        if context <= above:
            continue
        most = vram * _LOADED // 100
        if not vram or (needed <= vram * share // 100 and needed <= most and surcharge <= most - needed):
            return batch
    return _LEAST_BATCH
