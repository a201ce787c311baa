"""What a model will take in an engine on this machine, and whether it fits, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.engines.settings import DEFAULT_CONTEXT, EngineName, EngineSettings
from gguf2ollama.engines.support import Form, packs_weights
from gguf2ollama.errors import NotEnoughSpace, UsageProblem
from gguf2ollama.ggufio import ShardSet
from gguf2ollama.memory.estimate import MemoryEstimate, estimate_memory
from gguf2ollama.memory.hardware import Hardware
from gguf2ollama.memory.placement import NEWEST_BUILD, Model, place_model
from gguf2ollama.names import size

__all__ = ["Need", "choose_layers", "context_of", "estimate_need", "loaded_bytes"]

_FLOAT_BYTES = 4  # transformers dequantizes to torch's default type, float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a model takes in an engine, in bytes.

    Attributes:
        engine: The engine.
        ram: In RAM.
        gpus: On each GPU.
        estimate: What llama.cpp allocates, where the engine is built on it; ``None`` for transformers.
        note: One sentence about the form of the weights; ``""`` where they stay as they are.
    """

    engine: EngineName
    ram: int
    gpus: tuple[int, ...] = ()
    estimate: MemoryEstimate | None = None
    note: str = ""

    @property
    def total(self) -> int:
        """All of it."""
        return self.ram + sum(self.gpus)

    def check(self, hardware: Hardware | None, *, subject: str) -> None:
        """Refuse what does not fit into the memory that is free now.

        Raises:
            NotEnoughSpace: It does not, with both figures.
        """
        if hardware is None:
            return
        free = hardware.free_ram_bytes if hardware.free_ram_bytes is not None else hardware.ram_bytes
        places = [("RAM", self.total if hardware.unified else self.ram, free)]
        if not hardware.unified:
            frees = [gpu.total_bytes if gpu.free_bytes is None else gpu.free_bytes for gpu in hardware.gpus]
            places += [
                (f"GPU {i}", need, free) for i, (need, free) in enumerate(zip(self.gpus, frees, strict=False))
            ]
        for place, need, free_bytes in places:
            if need > free_bytes:
                raise NotEnoughSpace(
                    f"{subject} does not fit: {self.engine} needs {size(need)} of {place},"
                    f" and {size(free_bytes)} are free" + (f"; {self.note}" if self.note else ""),
                    hint=_hint(self.engine),
                )


def _hint(engine: EngineName) -> str:
    if engine == "transformers":
        return "use --engine llama.cpp, which leaves weights packed, or --force"
    return "use a smaller --ctx, a smaller quantization or fewer --gpu-layers, or --force"


def context_of(metadata: Mapping[str, Any], settings: EngineSettings) -> int:
    """Return the tokens of the context that a model is loaded with."""
    if settings.context is not None:
        return settings.context
    trained = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    known = isinstance(trained, int) and not isinstance(trained, bool) and trained > 0
    return min(trained, DEFAULT_CONTEXT) if known else DEFAULT_CONTEXT  # type: ignore[type-var,return-value]


def choose_layers(
    model: ShardSet, settings: EngineSettings, *, engine: EngineName, hardware: Hardware | None
) -> int:
    """Return the number of layers that go to GPUs, the output counted as one.

    Raises:
        InvalidGguf: The header contradicts itself.
        UsageProblem: There are fewer layers than asked for, or the engine does not part them.
    """
    found = Model.read(model.metadata, model.tensors)
    layers = len(found.shape.layers) + 1
    wanted = settings.gpu_layers
    if isinstance(wanted, int):
        if wanted > layers:
            raise UsageProblem(
                f"--gpu-layers {wanted}: {model.name} has {layers} layers, the output counted as one",
                hint=f"use {layers} or all",
            )
        if engine == "transformers" and 0 < wanted < layers:
            raise UsageProblem(
                f"--gpu-layers {wanted}: transformers loads all layers to one device", hint="use 0 or all"
            )
        return wanted
    if wanted == "all":
        return layers
    if hardware is None or not hardware.gpus:
        return 0
    if engine == "transformers":
        need = _by_transformers(model, layers=layers, has_gpu=True)
        return layers if need.total <= max(hardware.room.gpus, default=0) else 0
    return place_model(
        found,
        context_of(model.metadata, settings),
        room=hardware.room,
        cache_type=settings.cache_type,
    ).gpu_layers


def estimate_need(
    model: ShardSet, *, engine: EngineName, settings: EngineSettings, layers: int, hardware: Hardware | None
) -> Need:
    """Return what a model takes in an engine.

    Args:
        model: The headers of all its files.
        engine: The engine.
        settings: How it is loaded.
        layers: The layers on GPUs, from :func:`choose_layers`.
        hardware: The memory of this machine; ``None`` if not known.

    Raises:
        InvalidGguf: The header contradicts itself.
    """
    gpus = hardware.gpus if hardware is not None else ()
    if engine == "transformers":
        return _by_transformers(model, layers=layers, has_gpu=bool(gpus))
    context = context_of(model.metadata, settings)
    shares = tuple(gpu.total_bytes for gpu in gpus) or (1,)
    if engine == "ollama":  # which chooses the size of a batch by context and memory
        estimate = Model.read(model.metadata, model.tensors).estimate(
            context,
            cache_type=settings.cache_type,
            room=hardware.room if hardware is not None else None,
            gpu_layers=layers,
            gpus=shares,
        )
    else:
        estimate = estimate_memory(
            model.metadata,
            context=context,
            cache_type_k=settings.cache_type,
            cache_type_v=settings.cache_type,
            gpu_layers=layers,
            build=NEWEST_BUILD,
            tensors=model.tensors,
            splits=shares,
        )
    return Need(
        engine=engine,
        ram=estimate.by_device["cpu"].total,
        gpus=tuple(memory.total for name, memory in estimate.by_device.items() if name != "cpu"),
        estimate=estimate,
    )


def loaded_bytes(model: ShardSet, *, form: Form) -> int:
    """Return the bytes of the weights as an engine has them in memory."""
    packed = sum(tensor.n_bytes for tensor in model.tensors)
    return packed if form == "packed" else model.parameter_count * _FLOAT_BYTES


def _by_transformers(model: ShardSet, *, layers: int, has_gpu: bool) -> Need:
    """Count the weights alone: what a chat takes beside them grows with it."""
    architecture = str(model.metadata.get("general.architecture", ""))
    packed = loaded_bytes(model, form="packed")
    if packs_weights(architecture, has_gpu=has_gpu):
        weights, note = packed, "its weights stay packed"
    else:
        weights = loaded_bytes(model, form="dequantized")
        grows = weights > packed
        note = f"transformers dequantizes its weights from {size(packed)} to {size(weights)}" if grows else ""
    on_gpu = layers > 0
    return Need(
        engine="transformers",
        ram=0 if on_gpu else weights,
        gpus=(weights,) if on_gpu else (),
        note=note,
    )
