"""The bytes of compute buffers and of the output buffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gguf2ollama.memory.architecture_graph import NO_FLASH_ATTENTION, NO_LOGITS, build_graph
from gguf2ollama.memory.caches import CacheSettings, kv_bytes, sequence_cells, window_cells
from gguf2ollama.memory.graph import FLOAT, GraphSettings
from gguf2ollama.memory.shape import ModelShape

__all__ = ["compute_buffers", "output_bytes"]

_F16_MASKS_FROM = 9412
"""The build of llama.cpp from which on attention masks are F16 (Ollama 0.30: b9452). Before, they were F32
and converted where they were used."""

_FEW_OUTPUTS_FROM = 9455
"""The build from which on a server has logits of one token for each sequence in its graph, not of all
(``n_outputs_max``; Ollama 0.31: b9840)."""

_ROTATED_LENGTH = 64
"""Keys and values that are quantized are rotated if a head has a multiple of this many (``attn_rot_k``)."""


_CONVERTED_CACHES_FROM = 9840
"""A build from which on CUDA's F16 copies of quantized caches are part of compute buffers
(``ggml_cuda_flash_attn_ext_get_alloc_size``). Before, they were extra memory that no log shows."""

_COPIES = 4
"""Batches that several GPUs process at once (``GGML_SCHED_MAX_COPIES``)."""


def compute_buffers(
    shape: ModelShape,
    *,
    settings: CacheSettings,
    devices: Sequence[int],
    weights: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Return the bytes of the compute buffer of each device.

    Without the build of llama.cpp, all tokens have logits, as in builds of before mid-2026, and the mask of a
    model on GPUs is that of those builds as well: too much for newer ones, rather than too little for older.

    Args:
        shape: The shape of the model.
        settings: What the server is started with.
        devices: The device of each layer and, last, of the output; -1 is the CPU.
        weights: The bytes of the largest weight of each layer; if unknown, they are taken for Q4_K_M. Weights
            of a layer that is not on a GPU are copied to the first one for prompts.
    """
    rows = min(settings.ubatch, settings.context)
    build = settings.build
    has_all_outputs = shape.architecture in NO_LOGITS or build is None or build < _FEW_OUTPUTS_FROM
    is_old = any(device >= 0 for device in devices) if build is None else build < _F16_MASKS_FROM
    is_cached = any(layer.is_cached for layer in shape.layers)
    converts = build is not None and build >= _CONVERTED_CACHES_FROM
    graph = build_graph(
        shape,
        GraphSettings(
            rows=rows,
            outputs=rows if has_all_outputs else min(rows, settings.slots),
            cells=sequence_cells(settings) if is_cached else rows,
            window_cells=window_cells(shape, settings) if is_cached else rows,
            sequences=settings.slots,
            streams=1 if settings.unified else settings.slots,
            flash_attention=settings.flash_attention and shape.architecture not in NO_FLASH_ATTENTION,
            rotates_keys=_is_rotated(settings.type_k, shape.layers[0].key_length),
            rotates_values=_is_rotated(settings.type_v, shape.layers[0].value_length),
            converts_keys=converts and settings.type_k != "f16",
            converts_values=converts and settings.type_v != "f16",
            has_old_mask=is_old,
        ),
        devices=devices,
        caches=kv_bytes(shape, settings),
        weights=weights,
    )
    is_pipeline = min(devices) >= 0 and len({*devices}) > 1
    return dict(graph.allocate(copies=_COPIES if is_pipeline else 1))


def _is_rotated(kind: str, length: int) -> bool:
    return kind not in {"f32", "f16", "bf16"} and length % _ROTATED_LENGTH == 0


def output_bytes(shape: ModelShape, *, slots: int) -> int:
    """Return the bytes of the output buffer: the logits of one token for each sequence."""
    return shape.vocabulary * slots * FLOAT
