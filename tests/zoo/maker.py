"""Make tiny models of any architecture of the zoo: random weights, real keys, tensors and tokenizers.

``recipes.json`` holds what llama.cpp (b11095) insists on to load an architecture: its keys without the prefix
of the architecture (those of the recipe ``""`` where a recipe says nothing else, ``null`` for none, and ``=``
before a key without prefix), and the shapes of its tensors, the contiguous dimension first, -1 for the number
of tokens. ``blk.*`` are the tensors of every block, ``blk.0,2`` those of some. ``output.weight`` is there
wherever it may be, whether real files have it or not: without it a model says one letter again and again.

Whatever such a model is asked, it says letters, the same ones every time: what stands for others is too short
to be said.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gguf2ollama.ggufio import Tensor, TensorType
from tests.builders import build_gguf
from tests.zoo.vocabularies import Vocabulary

__all__ = ["Recipe", "make_gguf", "recipe", "recipe_names"]

_RECIPES = Path(__file__).with_name("recipes.json")
_LOUD, _QUIET, _WEIGHT = 1.0, 0.02, 0.05  # of embeddings of letters and of other tokens, and of other weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a file of an architecture holds.

    Attributes:
        architecture: ``general.architecture``.
        keys: Its metadata, under full names.
        shapes: Its tensors; -1 stands for the number of tokens.
    """

    architecture: str
    keys: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]


def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes, most of them those of architectures."""
    return tuple(name for name in _recipes() if name)


def recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        KeyError: There is none.
    """
    found = _recipes()[name]
    architecture = found.get("architecture", name)
    keys = {**_recipes()[""]["keys"], **found["keys"]}
    return Recipe(
        architecture=architecture,
        keys={
            key[1:] if key.startswith("=") else f"{architecture}.{key}": value
            for key, value in keys.items()
            if value is not None
        },
        shapes=dict(_spread(found["tensors"], blocks=keys["block_count"])),
    )


def make_gguf(
    path: Path,
    made_of: Recipe,
    *,
    vocabulary: Vocabulary,
    chat_template: str | None = None,
    title: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model with random weights, the same ones every time; most are smaller than 1 MB.

    Args:
        path: Where to write it.
        made_of: Its recipe.
        vocabulary: Its tokenizer.
        chat_template: Jinja; ``None`` leaves it out.
        title: ``general.name``; made from the architecture when not given.
        metadata: Keys to add or replace; a value of ``None`` removes one.
    """
    says = vocabulary.says()
    values = {
        "general.type": "model",
        "general.name": title or f"Zoo {made_of.architecture}",
        "general.file_type": 0,
        **made_of.keys,
        **vocabulary.metadata(),
        "tokenizer.chat_template": chat_template,
        **(metadata or {}),
    }
    return build_gguf(
        path,
        metadata=values,
        tensors=_weights(made_of, says),
        architecture=made_of.architecture,
    )


@functools.cache
def _recipes() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_RECIPES.read_text("utf-8"))
    return content


def _spread(tensors: Mapping[str, Sequence[int]], *, blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Write each tensor of each block out."""
    for name, shape in tensors.items():
        if not name.startswith("blk."):
            yield name, tuple(shape)
            continue
        _, which, rest = name.split(".", 2)
        for block in range(blocks) if which == "*" else which.split(","):
            yield f"blk.{block}.{rest}", tuple(shape)


def _weights(made_of: Recipe, says: Sequence[bool]) -> list[Tensor]:
    random = np.random.default_rng(sum(map(ord, made_of.architecture)))
    loudness = np.where(says, _LOUD, _QUIET).astype(np.float32)
    tensors = []
    for name, shape in made_of.shapes.items():
        sizes = tuple(len(says) if size == -1 else size for size in shape)
        values = random.uniform(-1, 1, math.prod(sizes)).astype(np.float32).reshape(sizes[::-1])
        if shape[-1] == -1 and len(shape) > 1:
            values *= loudness[:, None]
        elif len(shape) == 1 and not name.endswith(".bias"):
            values[:] = 1  # a norm
        else:
            values *= _WEIGHT
        tensors.append(Tensor(name=name, shape=sizes, type=TensorType.F32, data=values.tobytes()))
    return tensors
