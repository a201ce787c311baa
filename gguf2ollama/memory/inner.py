"""The sizes of a model that only intermediate results have."""

from __future__ import annotations

from typing import Protocol

from gguf2ollama._dataclass import dataclass

__all__ = ["InnerSizes", "read_inner_sizes"]


_GEMMA3N_PER_LAYER, _GEMMA3N_STREAMS = 256, 4  # `n_embd_altup`, `n_altup`


class _Number(Protocol):
    def __call__(self, key: str, default: int = 0) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerSizes:
    """The sizes of a model that only intermediate results have; 0 where it has no such part.

    Attributes:
        rope_length: Elements of a head that are rotated.
        q_rank: The rank of compressed queries (MLA).
        mla_key_length: Elements of a head's key once decompressed (MLA).
        mla_value_length: Elements of a head's value once decompressed (MLA).
        index_heads: Heads of an indexer.
        index_length: Elements of such a head.
        index_top: Tokens that an indexer selects.
        ssm_inner: The width of a state space layer.
        ssm_state: The size of its state.
        ssm_heads: The rank of its time steps, which is the number of its heads.
        ssm_groups: The number of its groups.
        conv_kernel: The length of its convolution.
        kda_head: Elements of a head of Kimi's delta attention.
        rwkv_head: Elements of a head of RWKV.
        per_layer: The width of what each layer gets of the tokens themselves.
        altups: The number of parallel residual streams (Gemma 3n).
        deepstack: The number of layers that get an image's embeddings of their own.
    """

    rope_length: int
    q_rank: int
    mla_key_length: int
    mla_value_length: int
    index_heads: int
    index_length: int
    index_top: int
    ssm_inner: int
    ssm_state: int
    ssm_heads: int
    ssm_groups: int
    conv_kernel: int
    kda_head: int
    rwkv_head: int
    per_layer: int
    altups: int
    deepstack: int


def read_inner_sizes(number: _Number, *, architecture: str) -> InnerSizes:
    """Return these sizes from the keys of a header."""
    has_streams = architecture == "gemma3n"  # whose numbers llama.cpp does not read
    return InnerSizes(
        rope_length=number("rope.dimension_count"),
        q_rank=number("attention.q_lora_rank"),
        mla_key_length=number("attention.key_length_mla"),
        mla_value_length=number("attention.value_length_mla"),
        index_heads=number("attention.indexer.head_count"),
        index_length=number("attention.indexer.key_length"),
        index_top=number("attention.indexer.top_k"),
        ssm_inner=number("ssm.inner_size"),
        ssm_state=number("ssm.state_size"),
        ssm_heads=number("ssm.time_step_rank"),
        ssm_groups=number("ssm.group_count"),
        conv_kernel=number("ssm.conv_kernel"),
        kda_head=number("kda.head_dim"),
        rwkv_head=number("wkv.head_size"),
        per_layer=_GEMMA3N_PER_LAYER if has_streams else number("embedding_length_per_layer_input"),
        altups=_GEMMA3N_STREAMS if has_streams else 0,
        deepstack=number("n_deepstack_layers"),
    )
