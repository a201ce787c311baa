"""Attention with compressed keys and values (MLA): see :mod:`gguf2ollama.memory.graph`."""

from __future__ import annotations

from gguf2ollama.memory.allocation import Tensor
from gguf2ollama.memory.graph import GraphBuilder
from gguf2ollama.memory.shape import Layer

__all__ = ["latent_attention"]


def latent_attention(build: GraphBuilder, norm: Tensor, layer: Layer) -> Tensor:
    """Add attention with compressed keys and values (MLA), absorbed or not."""
    inner, shape, rank = build.shape.inner, build.shape, build.shape.kv_rank
    heads, rope = layer.heads, inner.rope_length
    key = inner.mla_key_length or layer.key_length
    if layer.index_length:
        build.store(_index_keys(build, norm))
    low = build.product(inner.q_rank, norm) if inner.q_rank else norm
    q = build.product(heads * key, low)
    if not shape.caches_keys_only:
        return _decompressed(build, norm, q, layer)
    absorbed = build.op(heads * rank, build.view(q))
    q_pe = build.op(heads * rope, build.view(q), build.positions)
    q = build.op(heads * (rank + rope), build.view(absorbed), q_pe)
    kv = build.op(rank + rope, norm)
    compressed = build.op(rank, build.view(kv))
    k_pe = build.op(rope, build.view(kv), build.positions)
    k = build.op(rank + rope, build.view(compressed), k_pe)
    build.store(build.view(k))
    build.graph.use(compressed)
    mask = _indexed_mask(build, norm, low, layer) if inner.index_length else None
    values = build.attend(q, layer, rank, mask=mask)
    values = build.op(heads * inner.mla_value_length, build.view(values))
    if build.settings.flash_attention:
        values = build.op(heads * inner.mla_value_length, build.view(values))
    return build.product(shape.embedding, build.view(values))


def _index_keys(build: GraphBuilder, norm: Tensor) -> Tensor:
    """Add the keys of the indexer of sparse attention."""
    length = build.shape.inner.index_length
    keys = build.op(length, build.op(length, norm))
    return build.op(length, build.op(length, build.view(keys), build.positions))


def _indexed_mask(build: GraphBuilder, norm: Tensor, low: Tensor, layer: Layer) -> Tensor:
    """Add the mask of the tokens that the indexer of this layer, or of one before, selects."""
    inner, cells = build.shape.inner, build.settings.cells
    selected = min(inner.index_top, cells)
    if layer.index_length:
        width = inner.index_heads * inner.index_length
        queries = build.op(width, build.op(width, build.view(build.op(width, low)), build.positions))
        weights = build.op(inner.index_heads, build.view(build.op(inner.index_heads, norm)))
        scores = build.op(cells, build.view(queries), weights, build.index_mask)
        build.selected = build.op(selected, build.view(build.op(selected, scores)))
    mask = build.mask(layer)
    chosen = build.graph.op(mask.size, mask)
    build.graph.use(build.view(chosen), build.over(build.zeros.pop()), build.view(build.selected))
    return build.graph.op(mask.size, chosen, mask)


def _decompressed(build: GraphBuilder, norm: Tensor, q: Tensor, layer: Layer) -> Tensor:
    inner, shape, heads = build.shape.inner, build.shape, layer.heads
    rank, rope = shape.kv_rank, inner.rope_length
    q = build.op(heads * layer.key_length, build.view(q), build.positions)
    kv = build.op(rank + rope, norm)
    compressed = build.op(rank, build.view(kv))
    expanded = build.op(heads * (layer.key_length - rope + layer.value_length), compressed)
    v = build.op(heads * layer.value_length, build.view(expanded))
    k_pe = build.op(rope, build.view(kv), build.positions)
    repeated = build.op(heads * rope, k_pe)
    k = build.op(heads * layer.key_length, build.view(expanded), repeated)
    build.store(build.view(k))
    build.store(build.view(v))
    return build.product(shape.embedding, build.view(build.attend(q, layer, layer.value_length)))
