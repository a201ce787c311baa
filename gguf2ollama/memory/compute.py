"""The bytes of compute buffers and of the output buffer."""

from __future__ import annotations

from collections.abc import Sequence

from gguf2ollama.memory.caches import CacheSettings, sequence_cells, window_cells
from gguf2ollama.memory.shape import ModelShape

__all__ = ["compute_buffers", "output_bytes"]

_FLOAT = 4  # bytes of an F32


def compute_buffers(shape: ModelShape, *, settings: CacheSettings, devices: Sequence[int]) -> dict[int, int]:
    """Return the bytes of the compute buffer of each device.

    Args:
        shape: The shape of the model.
        settings: What the server is started with.
        devices: The device of each layer and, last, of the output; -1 is the CPU.
    """
    rows = min(settings.ubatch, settings.context)
    mask = sequence_cells(settings) * rows * 2
    if shape.window:
        mask += window_cells(shape, settings) * rows * 2
    widest = max((shape.vocabulary + shape.embedding) * rows * _FLOAT, 2 * mask)
    if devices[-1] < 0:
        return {-1: widest}
    return dict.fromkeys(sorted({*devices} - {-1}), widest) | {-1: mask + shape.embedding * rows * _FLOAT}


def output_bytes(shape: ModelShape, *, slots: int) -> int:
    """Return the bytes of the output buffer: the logits of one token for each sequence."""
    return shape.vocabulary * slots * _FLOAT
