"""Tiny models with layers for multi-token prediction, and such layers alone: drafts for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builders import CHATML_TEMPLATE
from tests.zoo.maker import Recipe, make_gguf, recipe
from tests.zoo.vocabularies import vocabulary

__all__ = ["ARCHITECTURE", "make_draft", "make_model", "make_model_with_mtp"]

ARCHITECTURE = "qwen35"
_BLOCKS = 4  # of the recipe; the MTP layer is the one behind them
_LAYER = {
    **{f"{name}.weight": (64, 64) for name in ("attn_output", "ffn_down", "ffn_gate", "ffn_up")},
    **{
        f"{name}.weight": (64,) for name in ("attn_norm", "post_attention_norm", "nextn.enorm", "nextn.hnorm")
    },
    **{f"{name}.weight": (64, 32) for name in ("attn_k", "attn_v")},
    **{f"{name}.weight": (32,) for name in ("attn_k_norm", "attn_q_norm")},
    "attn_q.weight": (64, 128),
    "nextn.eh_proj.weight": (128, 64),
}


def make_model(path: Path) -> Path:
    """Write a model without MTP layers."""
    return _make(path, recipe(ARCHITECTURE))


def make_model_with_mtp(path: Path) -> Path:
    """Write a model with an MTP layer."""
    return _make(path, _with_mtp(recipe(ARCHITECTURE)))


def make_draft(path: Path, *, tokens: str = "qwen-35", metadata: dict[str, Any] | None = None) -> Path:
    """Write the MTP layer alone, with the vocabulary of that name in ``vocabularies.json``."""
    whole = _with_mtp(recipe(ARCHITECTURE))
    shapes = {
        name: shape
        for name, shape in whole.shapes.items()
        if not name.startswith("blk.") or name.startswith(f"blk.{_BLOCKS}.")
    }
    alone = Recipe(architecture=ARCHITECTURE, keys=whole.keys, shapes=shapes)
    return _make(path, alone, tokens=tokens, metadata=metadata)


def _with_mtp(plain: Recipe) -> Recipe:
    keys = {
        **plain.keys,
        f"{ARCHITECTURE}.block_count": _BLOCKS + 1,
        f"{ARCHITECTURE}.nextn_predict_layers": 1,
    }
    layer = {f"blk.{_BLOCKS}.{name}": shape for name, shape in _LAYER.items()}
    return Recipe(architecture=ARCHITECTURE, keys=keys, shapes={**plain.shapes, **layer})


def _make(
    path: Path, made_of: Recipe, *, tokens: str = "qwen-35", metadata: dict[str, Any] | None = None
) -> Path:
    return make_gguf(
        path, made_of, vocabulary=vocabulary(tokens), chat_template=CHATML_TEMPLATE, metadata=metadata
    )
