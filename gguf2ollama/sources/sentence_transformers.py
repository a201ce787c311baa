"""What sentence-transformers keeps beside a model that embeds texts: how it pools, and texts before texts.

``1_Pooling/config.json`` and ``config_sentence_transformers.json``, as its ``Pooling`` and
``SentenceTransformer.save`` write them (https://sbert.net/docs/package_reference).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from gguf2ollama.families.embedding import PoolingName
from gguf2ollama.sources.model import Published, Value

__all__ = ["POOLING_FILE", "PROMPTS_FILE", "read_pooling", "read_prompts", "read_published_beside"]

POOLING_FILE = "1_Pooling/config.json"
PROMPTS_FILE = "config_sentence_transformers.json"

_MODES: Mapping[str, PoolingName] = {
    "cls": "cls",
    "mean": "mean",
    "lasttoken": "last",
}  # of those llama.cpp has
_PREFIX = "pooling_mode_"
_FLAGS = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}  # others are named as the mode is
_CAP_BYTES = 1 << 20
_CAP_PROMPTS = 64
_CAP_CHARACTERS = 4096  # of a prompt


def read_pooling(content: object, *, source: str) -> Value | None:
    """Return how a model pools; ``None`` if it says nothing of the kind.

    The value is ``mean``, ``cls`` or ``last``, or what else it names, which llama.cpp does not have.
    """
    if not isinstance(content, dict):
        return None
    modes = [
        _FLAGS.get(name := key.removeprefix(_PREFIX), name)
        for key, is_on in content.items()
        if isinstance(key, str) and key.startswith(_PREFIX) and is_on is True
    ]
    named = content.get("pooling_mode")  # instead of flags, from release 5.3 on
    modes += [mode for mode in (named if isinstance(named, list) else [named]) if isinstance(mode, str)]
    if not modes:
        return None
    mode = "+".join(dict.fromkeys(modes))[:_CAP_CHARACTERS]
    return Value(value=_MODES.get(mode, mode), source=source)


def read_prompts(content: object) -> dict[str, str]:
    """Return the texts that belong before a text to embed, by their names, such as ``query``."""
    prompts = cast("dict[str, object]", content).get("prompts") if isinstance(content, dict) else None
    if not isinstance(prompts, dict):
        return {}
    found = {
        name: text
        for name, text in prompts.items()
        if isinstance(name, str) and isinstance(text, str) and text and len(name + text) <= _CAP_CHARACTERS
    }
    return dict(list(found.items())[:_CAP_PROMPTS])


def read_published_beside(folder: Path) -> Published:
    """Read what lies in the folder of a model on this machine; what cannot be read counts as missing."""
    pooling, prompts = _read(folder / POOLING_FILE), _read(folder / PROMPTS_FILE)
    return Published(
        pooling=read_pooling(pooling, source=str(folder / POOLING_FILE)), prompts=read_prompts(prompts)
    )


def _read(path: Path) -> object:
    with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as stream:
        content = stream.read(_CAP_BYTES + 1)
        return None if len(content) > _CAP_BYTES else json.loads(content)
    return None
