"""Tiny projectors that llama.cpp loads and runs: of images (as LLaVA has) and of sound (as Qwen2-Audio)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from gguf2ollama.ggufio import Tensor, TensorType
from tests.builders import build_gguf, typed

__all__ = ["IMAGE_TOKENS", "SOUND_TOKENS", "make_projector", "make_sound_projector"]

_INNER, _SIDE, _PATCH = 32, 32, 8
IMAGE_TOKENS = (_SIDE // _PATCH) ** 2
_MEL_BINS, _POSITIONS = 128, 1500  # of 30 seconds, to which Whisper fills any sound up
SOUND_TOKENS = _POSITIONS // 2


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


def make_sound_projector(path: Path, *, width: int) -> Path:
    """Write a projector of sound for models of some width."""
    square, line = (_INNER, _INNER), (_INNER,)
    shapes: dict[str, tuple[int, ...]] = {
        "a.conv1d.1.weight": (3, _MEL_BINS, _INNER),
        "a.conv1d.1.bias": (1, _INNER),
        "a.conv1d.2.weight": (3, _INNER, _INNER),
        "a.conv1d.2.bias": (1, _INNER),
        "a.position_embd.weight": (_INNER, _POSITIONS),
        "a.blk.0.attn_k.weight": square,
        "mm.a.fc.weight": (_INNER, width),
        "mm.a.fc.bias": (width,),
    }
    for norm in ("a.post_ln", "a.blk.0.ln1", "a.blk.0.ln2"):
        shapes |= {f"{norm}.weight": line, f"{norm}.bias": line}
    for part in ("attn_q", "attn_v", "attn_out", "ffn_up", "ffn_down"):
        shapes |= {f"a.blk.0.{part}.weight": square, f"a.blk.0.{part}.bias": line}
    return build_gguf(
        path,
        architecture="clip",
        metadata={
            "tokenizer.ggml.model": None,
            "general.type": "mmproj",
            "general.file_type": 0,
            "clip.has_audio_encoder": True,
            "clip.projector_type": "qwen2a",
            "clip.audio.embedding_length": _INNER,
            "clip.audio.feed_forward_length": _INNER,
            "clip.audio.projection_dim": width,
            "clip.audio.block_count": 1,
            "clip.audio.attention.head_count": 2,
            "clip.audio.attention.layer_norm_epsilon": 1e-5,
            "clip.audio.num_mel_bins": _MEL_BINS,
        },
        tensors=[_tensor(name, shape) for name, shape in shapes.items()],
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
