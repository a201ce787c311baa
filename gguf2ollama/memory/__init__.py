"""The memory that a model takes, and the context length that fits. Only I/O: what memory this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.memory.context import (
        ContextChoice,
        ModelShape,
        choose_context,
        fits_memory,
        parse_context,
        read_shape,
    )
    from gguf2ollama.memory.estimate import DeviceMemory, MemoryEstimate, estimate_memory
    from gguf2ollama.memory.hardware import Gpu, Hardware, find_hardware, free_memory_bytes

__all__ = [
    "ContextChoice",
    "DeviceMemory",
    "Gpu",
    "Hardware",
    "MemoryEstimate",
    "ModelShape",
    "choose_context",
    "estimate_memory",
    "find_hardware",
    "fits_memory",
    "free_memory_bytes",
    "parse_context",
    "read_shape",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "context": (
            "ContextChoice",
            "ModelShape",
            "choose_context",
            "fits_memory",
            "parse_context",
            "read_shape",
        ),
        "estimate": ("DeviceMemory", "MemoryEstimate", "estimate_memory"),
        "hardware": ("Gpu", "Hardware", "find_hardware", "free_memory_bytes"),
    },
)
