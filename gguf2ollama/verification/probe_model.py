"""A tiny probe model, to see how a server prompts a big one.

It has the chat template and the special tokens of the big one, and a server loads it in a fraction of a
second. Its answers are meaningless.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

from gguf2ollama.families import adds_bos, token_text
from gguf2ollama.ggufio import Tensor, TensorType, TypedValue, ValueType, write_gguf

__all__ = ["make_probe_model"]

_NORMAL, _CONTROL = 1, 3  # llama.cpp's token types
_WIDTH = 32
_SPECIAL = ("bos", "eos", "eot", "eom", "unknown", "separator", "padding")
_TEMPLATE = "tokenizer.chat_template"
_ADDS_EOS = "tokenizer.ggml.add_eos_token"


def make_probe_model(metadata: Mapping[str, Any], *, name: str) -> bytes:
    """Return the probe of a model: a llama of one block and some 300 tokens, about 100 kB.

    Args:
        metadata: The metadata of the model.
        name: Its ``general.name``. A server keeps one runner for models of the same bytes, whatever their
            templates, so two probes that are used at the same time need different names.
    """
    plain = _byte_tokens()
    texts = {name: token_text(metadata, name) for name in _SPECIAL}
    # llama.cpp rejects a vocabulary with a duplicate token
    special = tuple(dict.fromkeys(text for text in texts.values() if text and text not in plain))
    special = special or ("<|end|>",)
    tokens = [*plain, *special]
    identifiers = {name: tokens.index(text) for name, text in texts.items() if text}
    values = {
        "general.architecture": _text("llama"),
        "general.type": _text("model"),
        "general.name": _text(name),
        "general.file_type": _count(0),
        "llama.block_count": _count(1),
        "llama.context_length": _count(2048),
        "llama.embedding_length": _count(_WIDTH),
        "llama.feed_forward_length": _count(_WIDTH),
        "llama.attention.head_count": _count(4),
        "llama.attention.head_count_kv": _count(4),
        "llama.attention.layer_norm_rms_epsilon": TypedValue(ValueType.FLOAT32, 1e-5),
        "llama.rope.dimension_count": _count(_WIDTH // 4),
        "llama.vocab_size": _count(len(tokens)),
        "tokenizer.ggml.model": _text("gpt2"),
        "tokenizer.ggml.pre": _text("default"),
        "tokenizer.ggml.tokens": TypedValue.array(ValueType.STRING, tokens),
        "tokenizer.ggml.token_type": TypedValue.array(
            ValueType.INT32, [_NORMAL] * (len(tokens) - len(special)) + [_CONTROL] * len(special)
        ),
        "tokenizer.ggml.merges": TypedValue.array(ValueType.STRING, ["h e"]),
        "tokenizer.ggml.add_bos_token": TypedValue(ValueType.BOOL, adds_bos(metadata)),
    }
    if isinstance(adds_eos := metadata.get(_ADDS_EOS), bool):
        values[_ADDS_EOS] = TypedValue(ValueType.BOOL, adds_eos)
    values |= {f"tokenizer.ggml.{name}_token_id": _count(number) for name, number in identifiers.items()}
    values |= {
        key: _text(value)
        for key, value in metadata.items()
        if (key == _TEMPLATE or key.startswith(f"{_TEMPLATE}.")) and isinstance(value, str)
    }
    file = io.BytesIO()
    write_gguf(file, metadata=values, tensors=tuple(_tensors(len(tokens))))
    return file.getvalue()


def _text(value: str) -> TypedValue:
    return TypedValue(ValueType.STRING, value)


def _count(value: int) -> TypedValue:
    return TypedValue(ValueType.UINT32, value)


def _byte_tokens() -> list[str]:
    """Return 256 bytes as byte-level tokenizers write them: printable as they are, the rest from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [*(chr(byte if byte in printable else next(spare)) for byte in range(256)), "he"]


def _tensors(n_tokens: int) -> Iterator[Tensor]:
    yield _zeros("token_embd.weight", _WIDTH, n_tokens)
    yield _zeros("output_norm.weight", _WIDTH)
    for name in ("attn_norm", "ffn_norm"):
        yield _zeros(f"blk.0.{name}.weight", _WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        yield _zeros(f"blk.0.{name}.weight", _WIDTH, _WIDTH)


def _zeros(name: str, *shape: int) -> Tensor:
    data = bytes(TensorType.F32.block_bytes * math.prod(shape))
    return Tensor(name=name, shape=shape, type=TensorType.F32, data=data)
