"""Tiny GGUFs for the tests: valid ones, real enough to be run, and hostile ones made byte by byte."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from gguf2ollama.ggufio import ByteOrder, Tensor, TensorType, TypedValue, ValueType, shard_name, write_gguf

Architecture = Literal["llama", "qwen3"]
CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def typed(value: Any) -> TypedValue:
    """Type a plain value as converters would: whole numbers as UINT32, in arrays as INT32."""
    if isinstance(value, TypedValue):
        return value
    if isinstance(value, bool):
        return TypedValue(ValueType.BOOL, value)
    if isinstance(value, int):
        return TypedValue(ValueType.UINT32 if 0 <= value < 1 << 32 else ValueType.INT64, value)
    if isinstance(value, float):
        return TypedValue(ValueType.FLOAT32, value)
    if isinstance(value, str):
        return TypedValue(ValueType.STRING, value)
    if not isinstance(value, Sequence) or not value:
        raise TypeError(f"say the type of {value!r} with TypedValue")
    element = typed(value[0]).type
    return TypedValue.array(ValueType.INT32 if element is ValueType.UINT32 else element, value)


@lru_cache(maxsize=64)
def make_tensor(
    name: str, shape: tuple[int, ...] = (32,), kind: TensorType = TensorType.F32, *, seed: int = 0
) -> Tensor:
    """Make a tensor whose bytes depend on its name and the seed; ``shape[0]`` must be whole blocks."""
    n_elements = 1
    for length in shape:
        n_elements *= length
    n_bytes = n_elements // kind.block_size * kind.block_bytes
    data = random.Random(f"{seed} {name}").randbytes(n_bytes)  # noqa: S311 - the same every time
    return Tensor(name=name, shape=shape, type=kind, data=data)


def some_tensors(count: int, *, shape: tuple[int, ...] = (32, 2), seed: int = 0) -> list[Tensor]:
    """Make tensors ``blk.N.weight`` of one shape."""
    return [make_tensor(f"blk.{number}.weight", shape, seed=seed) for number in range(count)]


def build_gguf(
    path: Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    tensors: Sequence[Tensor] | None = None,
    architecture: str | None = "llama",
    byte_order: ByteOrder = "little",
    version: int = 3,
    alignment: int = 32,
) -> Path:
    """Write a small valid GGUF; ``None`` in ``metadata`` leaves a key out, plain values are typed."""
    values: dict[str, Any] = {"general.architecture": architecture}
    if architecture is not None:  # what a language model must have, so that a file is taken for one
        values["tokenizer.ggml.model"] = "llama"
    values |= metadata or {}
    with path.open("wb") as stream:  # not by its path, as that waits for the disk
        write_gguf(
            stream,
            metadata={key: typed(value) for key, value in values.items() if value is not None},
            tensors=[make_tensor("token_embd.weight")] if tensors is None else tensors,
            byte_order=byte_order,
            version=version,
            alignment=alignment,
        )
    return path


def build_shards(
    folder: Path,
    *,
    name: str = "model",
    count: int = 3,
    metadata: Mapping[str, Any] | None = None,
    tensors: Sequence[Tensor] | None = None,
    architecture: str | None = "llama",
) -> list[Path]:
    """Write a set of shards under llama.cpp's names, tensors dealt out evenly, without our own ``split``."""
    everything = some_tensors(2 * count) if tensors is None else list(tensors)
    bounds = [len(everything) * number // count for number in range(count + 1)]
    paths = []
    for no in range(count):
        split = split_keys(no, count, len(everything))
        paths.append(
            build_gguf(
                folder / shard_name(name, no=no, count=count),
                metadata=(dict(metadata or {}) if no == 0 else {}) | split,
                tensors=everything[bounds[no] : bounds[no + 1]],
                architecture=architecture if no == 0 else None,
            )
        )
    return paths


def split_keys(no: int, count: int, tensors_count: int) -> dict[str, TypedValue]:
    """Return the keys of a shard, in the order of ``llama-gguf-split``; ``no`` counts from 0."""
    return {
        "split.no": TypedValue(ValueType.UINT16, no),
        "split.tensors.count": TypedValue(ValueType.INT32, tensors_count),
        "split.count": TypedValue(ValueType.UINT16, count),
    }


def tiny_llama(
    path: Path,
    *,
    architecture: Architecture = "llama",
    chat_template: str | None = CHATML_TEMPLATE,
    metadata: Mapping[str, Any] | None = None,
    special_tokens: Sequence[str] = CHATML_TOKENS,
    blocks: int = 2,
    width: int = 32,
    seed: int = 0,
) -> Path:
    """Write a llama model of about 100 kB with random weights that llama.cpp and Ollama load and run.

    Its tokenizer is byte-level BPE: the 256 bytes, a few merges, and the special tokens, of which the last
    ends a turn and the last but one (the first, if there is one only) begins one. What it says is random
    letters, the same every time, and it goes on until it is stopped.

    Args:
        path: Where to write it.
        architecture: ``qwen3`` has norms of queries and keys beside the weights of a llama.
        chat_template: Jinja; ``None`` leaves it out.
        metadata: Keys to add or replace; a value of ``None`` removes one.
        special_tokens: Control tokens, such as ``<|im_start|>``; at least one.
        blocks: Transformer blocks.
        width: Embedding length, a multiple of 32.
        seed: Of the weights.
    """
    merges = ["h e", "l l", "he ll", "hell o", "t h", "th e", "i n", "Ġ t"]
    tokens = [*byte_tokens(), *(merge.replace(" ", "") for merge in merges), *special_tokens]
    first_special = len(tokens) - len(special_tokens)
    values: dict[str, Any] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": "Tiny",
        "general.file_type": 0,
        f"{architecture}.block_count": blocks,
        f"{architecture}.context_length": 2048,
        f"{architecture}.embedding_length": width,
        f"{architecture}.feed_forward_length": width,
        f"{architecture}.attention.head_count": 4,
        f"{architecture}.attention.head_count_kv": 2,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.rope.dimension_count": width // 4,
        f"{architecture}.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * first_special + [3] * len(special_tokens),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": max(first_special, len(tokens) - 2),
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": chat_template,
    }
    tensors = _llama_weights(blocks=blocks, width=width, tokens=tuple(tokens), seed=seed)
    if architecture == "qwen3":
        tensors = [*tensors, *_head_norms(blocks=blocks, width=width // 4)]
    return build_gguf(path, metadata=values | dict(metadata or {}), tensors=tensors)


def _head_norms(*, blocks: int, width: int) -> Iterator[Tensor]:
    ones = struct.pack(f"<{width}f", *[1.0] * width)
    for number in range(blocks):
        for norm in ("attn_q_norm", "attn_k_norm"):
            name = f"blk.{number}.{norm}.weight"
            yield Tensor(name=name, shape=(width,), type=TensorType.F32, data=ones)


def byte_tokens() -> list[str]:
    """Return the 256 bytes as GPT-2 writes them: printable ones as they are, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def written_in_bytes(text: str) -> str:
    """Write a text as a vocabulary of byte-level BPE has it."""
    letters = byte_tokens()
    return "".join(letters[byte] for byte in text.encode())


@lru_cache(maxsize=16)
def _llama_weights(*, blocks: int, width: int, tokens: tuple[str, ...], seed: int) -> Sequence[Tensor]:
    noise = random.Random(seed)  # noqa: S311 - the same every time

    def tensor(name: str, *shape: int, values: Sequence[float] | None = None) -> Tensor:
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = values or [noise.uniform(-0.2, 0.2) for _ in range(size)]
        return Tensor(name=name, shape=shape, type=TensorType.F32, data=struct.pack(f"<{size}f", *values))

    def norm(name: str) -> Tensor:
        return tensor(name, width, values=[1.0] * width)

    # only letters get a say in what comes next: whatever the state, the answer is text and goes on
    says = [token.isascii() and token.isalpha() and len(token) == 1 for token in tokens]
    output = [noise.uniform(-3, 3) if letter else 0.0 for letter in says for _ in range(width)]
    tensors = [
        tensor("token_embd.weight", width, len(tokens)),
        norm("output_norm.weight"),
        tensor("output.weight", width, len(tokens), values=output),
    ]
    for number in range(blocks):
        block = f"blk.{number}"
        tensors += [
            norm(f"{block}.attn_norm.weight"),
            tensor(f"{block}.attn_q.weight", width, width),
            tensor(f"{block}.attn_k.weight", width, width // 2),
            tensor(f"{block}.attn_v.weight", width, width // 2),
            tensor(f"{block}.attn_output.weight", width, width),
            norm(f"{block}.ffn_norm.weight"),
            tensor(f"{block}.ffn_gate.weight", width, width),
            tensor(f"{block}.ffn_up.weight", width, width),
            tensor(f"{block}.ffn_down.weight", width, width),
        ]
    return tensors


def raw_header(
    *entries: bytes,
    tensors: Sequence[bytes] = (),
    version: int = 3,
    order: str = "<",
    key_count: int | None = None,
    tensor_count: int | None = None,
    data: bytes = b"",
) -> bytes:
    """Put a GGUF together from raw keys and tensor descriptions, with counts that may lie."""
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(entries) if key_count is None else key_count,
    )
    header = b"GGUF" + struct.pack(f"{order}IQQ", version, *counts) + b"".join([*entries, *tensors])
    return header.ljust((len(header) + 31) // 32 * 32, b"\x00") + data


def raw_text(content: bytes | str, *, length: int | None = None, order: str = "<") -> bytes:
    """Return a string with a length that may lie."""
    raw = content.encode() if isinstance(content, str) else content
    return struct.pack(f"{order}Q", len(raw) if length is None else length) + raw


def raw_entry(key: bytes | str, kind: int, value: bytes, *, order: str = "<") -> bytes:
    """Return a key and its value from a type number and raw bytes."""
    return raw_text(key, order=order) + struct.pack(f"{order}I", kind) + value


def raw_array(kind: int, count: int, elements: bytes = b"", *, order: str = "<") -> bytes:
    """Return the value of an array from a type number, a count that may lie, and raw bytes."""
    return struct.pack(f"{order}IQ", kind, count) + elements


def raw_tensor(
    name: bytes | str = "t",
    shape: Sequence[int] = (32,),
    kind: int = 0,
    offset: int = 0,
    *,
    dimensions: int | None = None,
    order: str = "<",
) -> bytes:
    """Return the description of a tensor, none of which is checked."""
    count = len(shape) if dimensions is None else dimensions
    head = raw_text(name, order=order) + struct.pack(f"{order}I{len(shape)}Q", count, *shape)
    return head + struct.pack(f"{order}IQ", kind, offset)
