"""The models that are built: a real one, and a larger one whose weights are noise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama.ggufio import (
    GgufArray,
    GgufFile,
    Tensor,
    TensorType,
    TypedValue,
    ValueType,
    open_gguf,
    split,
    write_gguf,
)
from tests.live import parts

__all__ = ["SUBJECTS", "Subject"]

# a llama of 1.1 billion parameters in F16: as TinyLlama, but with the vocabulary of SmolLM2
_BLOCKS, _WIDTH, _INNER, _HEADS, _KEY_HEADS = 22, 2048, 5632, 32, 4
_CHANGED = {
    "general.name": TypedValue(ValueType.STRING, "Noise 1.1B"),
    "general.file_type": TypedValue(ValueType.UINT32, 1),
    "llama.block_count": TypedValue(ValueType.UINT32, _BLOCKS),
    "llama.embedding_length": TypedValue(ValueType.UINT32, _WIDTH),
    "llama.feed_forward_length": TypedValue(ValueType.UINT32, _INNER),
    "llama.attention.head_count": TypedValue(ValueType.UINT32, _HEADS),
    "llama.attention.head_count_kv": TypedValue(ValueType.UINT32, _KEY_HEADS),
    "llama.rope.dimension_count": TypedValue(ValueType.UINT32, _WIDTH // _HEADS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model to be built.

    Attributes:
        title: Its size, as the tables name it.
        what: What it is.
        is_real: Whether it is SmolLM2 itself.
        shard_bytes: Bytes of tensors in a shard, such that there are three.
        rounds: How often each way is measured, if nothing else is asked for.
        has_targets: Whether the ratios are held to their targets.
    """

    title: str
    what: str
    is_real: bool
    shard_bytes: int
    rounds: int
    has_targets: bool

    def write_shards(self, folder: Path) -> tuple[Path, ...]:
        """Write the model as three shards into an empty folder."""
        source = parts.model_path()
        if self.is_real:
            return self._split(source, folder)
        whole = folder.parent / "whole.gguf"
        with whole.open("wb") as stream:
            write_gguf(stream, metadata=_metadata(open_gguf(source)), tensors=list(_tensors(source)))
        try:
            return self._split(whole, folder)
        finally:
            whole.unlink()

    def _split(self, source: Path, folder: Path) -> tuple[Path, ...]:
        shards = split(source, folder / "model", max_bytes=self.shard_bytes)
        assert len(shards) == 3, f"{len(shards)} shards"
        return shards


SUBJECTS = (
    Subject(
        title="98 MB",
        what="SmolLM2-135M-Instruct, Q4_1",
        is_real=True,
        shard_bytes=40_000_000,
        rounds=11,
        has_targets=False,
    ),
    Subject(
        title="2 GB",
        what="llama of 1.1 billion parameters, F16, weights of noise, header and vocabulary of SmolLM2",
        is_real=False,
        shard_bytes=750_000_000,
        rounds=7,
        has_targets=True,
    ),
)


def _metadata(gguf: GgufFile) -> dict[str, TypedValue]:
    """Return the metadata of a file, with the figures of the larger model."""
    return {key: _CHANGED.get(key) or _typed(gguf, key) for key in gguf.metadata}


def _typed(gguf: GgufFile, key: str) -> TypedValue:
    value = gguf.metadata[key]
    if isinstance(value, GgufArray):
        return TypedValue.array(value.element_type, value)
    return TypedValue(gguf.metadata.type_of(key), value)


def _tensors(source: Path) -> Iterator[Tensor]:
    """Return tensors of noise; those of one shape share their bytes, so that little memory is needed."""
    vocabulary = open_gguf(source).metadata["tokenizer.ggml.tokens"]
    assert isinstance(vocabulary, GgufArray)
    keys = _WIDTH // _HEADS * _KEY_HEADS
    yield _tensor("token_embd.weight", _WIDTH, len(vocabulary))
    yield _tensor("output_norm.weight", _WIDTH)
    shapes = {
        "attn_norm": (_WIDTH,),
        "attn_q": (_WIDTH, _WIDTH),
        "attn_k": (_WIDTH, keys),
        "attn_v": (_WIDTH, keys),
        "attn_output": (_WIDTH, _WIDTH),
        "ffn_norm": (_WIDTH,),
        "ffn_gate": (_WIDTH, _INNER),
        "ffn_up": (_WIDTH, _INNER),
        "ffn_down": (_INNER, _WIDTH),
    }
    noise = {name: _tensor(name, *shape).data for name, shape in shapes.items()}
    for block in range(_BLOCKS):
        for name, shape in shapes.items():
            kind = TensorType.F32 if len(shape) == 1 else TensorType.F16
            yield Tensor(name=f"blk.{block}.{name}.weight", shape=shape, type=kind, data=noise[name])


def _tensor(name: str, *shape: int) -> Tensor:
    """Make a tensor as llama.cpp stores it: F32 where it has one dimension, else F16."""
    kind, width = (TensorType.F32, 4) if len(shape) == 1 else (TensorType.F16, 2)
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    data = random.Random(name).randbytes(count * width)  # noqa: S311 - the same every time
    return Tensor(name=name, shape=shape, type=kind, data=data)
