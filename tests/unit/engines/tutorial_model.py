"""The model of the tutorial: Qwen2.5-7B-Instruct in Q4_K_M, as far as its header goes."""

from __future__ import annotations

import math
from typing import NamedTuple

LAYERS, WIDTH, INNER, KV, TOKENS = 28, 3584, 18944, 512, 152064
BYTES = {"q4_K": 144 / 256, "q6_K": 210 / 256, "f32": 4}

METADATA = {
    "general.architecture": "qwen2",
    "qwen2.block_count": LAYERS,
    "qwen2.context_length": 32768,
    "qwen2.embedding_length": WIDTH,
    "qwen2.feed_forward_length": INNER,
    "qwen2.attention.head_count": 28,
    "qwen2.attention.head_count_kv": 4,
    "qwen2.vocab_size": TOKENS,
}


class Tensor(NamedTuple):
    """A tensor as far as memory is concerned."""

    name: str
    n_bytes: int
    n_elements: int


class Model(NamedTuple):
    """A model as far as :mod:`gguf2ollama.engines.fit` looks at it."""

    name: str = "qwen2.5-7b-instruct-q4_k_m"
    metadata: dict = METADATA

    @property
    def tensors(self):
        return TENSORS

    @property
    def parameter_count(self):
        return sum(tensor.n_elements for tensor in TENSORS)


def _tensor(name, kind, *shape):
    count = math.prod(shape)
    return Tensor(name, int(count * BYTES[kind]), count)


def _layer(index):
    # `use_more_bits` in llama.cpp's src/llama-quant.cpp
    more = index < LAYERS // 8 or index >= 7 * LAYERS // 8 or (index - LAYERS // 8) % 3 == 2
    some = "q6_K" if more else "q4_K"
    tensors = [
        ("attn_norm.weight", "f32", WIDTH),
        ("ffn_norm.weight", "f32", WIDTH),
        ("attn_q.weight", "q4_K", WIDTH, WIDTH),
        ("attn_q.bias", "f32", WIDTH),
        ("attn_k.weight", "q4_K", WIDTH, KV),
        ("attn_k.bias", "f32", KV),
        ("attn_v.weight", some, WIDTH, KV),
        ("attn_v.bias", "f32", KV),
        ("attn_output.weight", "q4_K", WIDTH, WIDTH),
        ("ffn_gate.weight", "q4_K", WIDTH, INNER),
        ("ffn_up.weight", "q4_K", WIDTH, INNER),
        ("ffn_down.weight", some, INNER, WIDTH),
    ]
    return [_tensor(f"blk.{index}.{name}", *rest) for name, *rest in tensors]


TENSORS = [
    _tensor("token_embd.weight", "q4_K", WIDTH, TOKENS),
    _tensor("output.weight", "q6_K", WIDTH, TOKENS),
    _tensor("output_norm.weight", "f32", WIDTH),
    *(tensor for index in range(LAYERS) for tensor in _layer(index)),
]
