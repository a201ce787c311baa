"""The bytes of a model's KV cache and recurrent state, for each layer.

As llama.cpp b11095 allocates them: ``llama_kv_cache`` (``src/llama-kv-cache.cpp``), the windows of
``llama_kv_cache_iswa``, the index keys of ``llama_kv_cache_dsa`` and ``llama_kv_cache_msa``, the compressed
caches of ``llama_kv_cache_dsv4`` and ``llama_memory_recurrent``.
"""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio.ggml import TensorType
from gguf2ollama.memory.shape import Layer, ModelShape

__all__ = ["CACHE_TYPES", "CacheSettings", "kv_bytes", "recurrent_bytes", "sequence_cells", "window_cells"]

_PADDING = 256
"""Caches have a multiple of this many cells."""

_STATE_BYTES = 4  # an element of a recurrent state is F32, whatever the type of the cache

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""The types of a KV cache that llama.cpp takes (``--cache-type-k``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """What a server is started with, as far as it determines its caches.

    Attributes:
        context: Tokens of all sequences together.
        type_k: The type of cached keys.
        type_v: The type of cached values.
        ubatch: The tokens that are processed at once at most.
        slots: The number of sequences.
        unified: Whether all sequences share one cache.
        swa_full: Whether layers with a window cache all tokens all the same.
        flash_attention: Whether flash attention is used; without it, cached values are padded.
        build: The build of llama.cpp, such as 11095 for b11095; without it, any is possible.
    """

    context: int
    type_k: str = "f16"
    type_v: str = "f16"
    ubatch: int = 512
    slots: int = 1
    unified: bool = False
    swa_full: bool = False
    flash_attention: bool = True
    build: int | None = None

    def __post_init__(self) -> None:
        for name in ("context", "ubatch", "slots"):
            value = getattr(self, name)
            if not 0 < value < 1 << 31:
                raise UsageProblem(f"invalid {name} {value}: expected a positive number")
        for kind in (self.type_k, self.type_v):
            if kind not in CACHE_TYPES:
                raise UsageProblem(
                    f"invalid cache type {kind!r}", hint=f"use one of {', '.join(CACHE_TYPES)}"
                )


def sequence_cells(settings: CacheSettings) -> int:
    """Return the cells of a sequence's cache, or of the cache that all share (``n_ctx_seq``)."""
    context = _pad(settings.context)
    return context if settings.unified else _pad(max(1, context // settings.slots))


def window_cells(shape: ModelShape, settings: CacheSettings) -> int:
    """Return the cells of the cache of layers with a window."""
    cells = sequence_cells(settings)
    if settings.swa_full:
        return cells
    # a batch is written before what has left the window is given up
    sequences = settings.slots if settings.unified and shape.architecture != "deepseek4" else 1
    return _pad(min(cells, shape.window * sequences + min(settings.ubatch, settings.context)))


def kv_bytes(shape: ModelShape, settings: CacheSettings) -> list[int]:
    """Return the bytes of each layer's KV cache, of all sequences together."""
    # a cache of transposed values has rows of one length for all layers
    widest = max(layer.kv_heads * layer.value_length for layer in shape.layers)
    return [
        _layer_bytes(layer, shape, settings, padded_value=0 if settings.flash_attention else widest)
        for layer in shape.layers
    ]


def _layer_bytes(layer: Layer, shape: ModelShape, settings: CacheSettings, *, padded_value: int) -> int:
    if not layer.is_cached:
        return 0
    cells = sequence_cells(settings)
    own = window_cells(shape, settings) if layer.has_window else cells
    streams = 1 if settings.unified and shape.architecture != "deepseek4" else settings.slots
    key = _row_bytes(settings.type_k, layer.kv_heads * layer.key_length)
    value = _row_bytes(settings.type_v, padded_value or layer.kv_heads * layer.value_length)
    keys_only = shape.caches_keys_only
    total = own * (key if keys_only else key + value)
    if layer.compression:
        compressed = _pad(max(1, -(-cells // layer.compression)))
        total += compressed * (key + _row_bytes(settings.type_k, layer.index_length))
        total += _compressor_bytes(layer)
    elif layer.index_length:
        # where an indexer's cache has values, too, they are of the length of the model's
        index_value = 0 if keys_only else _row_bytes(settings.type_v, layer.value_length)
        total += cells * (_row_bytes(settings.type_k, layer.index_length) + index_value)
    return total * streams


def _compressor_bytes(layer: Layer) -> int:
    """Return the bytes that DeepSeek V4's compressors keep (``llama_dsv4_comp_state``): F32, two of each."""
    overlaps = 2 if layer.index_length else 1  # the less compressed cache overlaps its neighbours
    rows = overlaps * layer.compression
    return 2 * rows * overlaps * (layer.key_length + layer.index_length) * _STATE_BYTES


def recurrent_bytes(shape: ModelShape, *, slots: int = 1) -> list[int]:
    """Return the bytes of each layer's recurrent state: every sequence has its own, unified or not."""
    size = (shape.conv_state + shape.recurrent_state) * _STATE_BYTES * slots
    return [size if layer.is_recurrent else 0 for layer in shape.layers]


def _row_bytes(kind: str, elements: int) -> int:
    block = TensorType[kind.upper()]
    # llama.cpp refuses a length that is no multiple of a block; rounded up it is at least not too low
    return -(-elements // block.block_size) * block.block_bytes


def _pad(cells: int) -> int:
    return -(-cells // _PADDING) * _PADDING
