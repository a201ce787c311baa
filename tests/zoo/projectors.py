"""A tiny projector of images (LLaVA's two layers) that llama.cpp loads and runs: 16 tokens an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from gguf2ollama.ggufio import Tensor, TensorType
from tests.builders import build_gguf, typed

__all__ = ["IMAGE_TOKENS", "make_projector"]

_INNER, _SIDE, _PATCH = 32, 32, 8
IMAGE_TOKENS = (_SIDE // _PATCH) ** 2


def make_projector(path: Path, *, width: int, metadata: dict[str, Any] | None = None) -> Path:
    """Write a projector for models of some width."""
    values = {
        "general.type": "mmproj",
        "general.file_type": 0,
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        "clip.vision.image_size": _SIDE,
        "clip.vision.patch_size": _PATCH,
        "clip.vision.embedding_length": _INNER,
        "clip.vision.feed_forward_length": _INNER,
        "clip.vision.projection_dim": _INNER,  # CLIP's own: of old files of LLaVA it is not the model's width
        "clip.vision.block_count": 2,
        "clip.vision.attention.head_count": 2,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": typed([0.5, 0.5, 0.5]),
        "clip.vision.image_std": typed([0.5, 0.5, 0.5]),
    }
    return build_gguf(
        path,
        architecture="clip",
        metadata={"tokenizer.ggml.model": None, **values, **(metadata or {})},
        tensors=[_tensor(name, shape) for name, shape in _shapes(width).items()],
    )


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    square, line = (_INNER, _INNER), (_INNER,)
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_PATCH, _PATCH, 3, _INNER),
        "v.position_embd.weight": (_INNER, IMAGE_TOKENS + 1),
        "v.class_embd": line,
        "mm.0.weight": (_INNER, width),
        "mm.0.bias": (width,),
        "mm.2.weight": (width, width),
        "mm.2.bias": (width,),
    }
    for name in (
        "v.pre_ln",
        "v.post_ln",
        *(f"v.blk.{block}.ln{number}" for block in (0, 1) for number in (1, 2)),
    ):
        shapes |= {f"{name}.weight": line, f"{name}.bias": line}
    for block in (0, 1):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_down", "ffn_up"):
            shapes |= {f"v.blk.{block}.{part}.weight": square, f"v.blk.{block}.{part}.bias": line}
    return shapes


def _tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    random = np.random.default_rng(sum(map(ord, name)))
    values = random.uniform(-0.1, 0.1, math.prod(shape)).astype(np.float32)
    return Tensor(name=name, shape=shape, type=TensorType.F32, data=values.tobytes())
