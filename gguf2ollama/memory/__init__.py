"""The memory that a model takes, and the context length that fits. Only I/O: what memory this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.memory.context import ContextChoice, choose_context, judge_context
    from gguf2ollama.memory.estimate import DeviceMemory, MemoryEstimate, estimate_memory
    from gguf2ollama.memory.hardware import Gpu, Hardware, MemoryRoom, find_hardware
    from gguf2ollama.memory.placement import Model, Placement, place_model
    from gguf2ollama.memory.shape import ModelShape, read_shape

__all__ = [
    "ContextChoice",
    "DeviceMemory",
    "Gpu",
    "Hardware",
    "MemoryEstimate",
    "MemoryRoom",
    "Model",
    "ModelShape",
    "Placement",
    "choose_context",
    "estimate_memory",
    "find_hardware",
    "judge_context",
    "place_model",
    "read_shape",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "context": ("ContextChoice", "choose_context", "judge_context"),
        "estimate": ("DeviceMemory", "MemoryEstimate", "estimate_memory"),
        "hardware": ("Gpu", "Hardware", "MemoryRoom", "find_hardware"),
        "placement": ("Model", "Placement", "place_model"),
        "shape": ("ModelShape", "read_shape"),
    },
)
