"""Which engines know the architecture of a file, and in what form they keep its weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.engines.settings import ENGINES, EngineName
from gguf2ollama.memory.architectures import ARCHITECTURES

__all__ = ["EngineSupport", "Form", "engine_support", "packs_weights"]

Form: TypeAlias = Literal["packed", "dequantized"]

# `GGUF_CONFIG_MAPPING` in integrations/ggml.py and `GGUF_CONFIG_ARCHS` in integrations/gguf of transformers
# 5.24, by the names that GGUFs have (`load_gguf_checkpoint` renames some)
_PACKED = frozenset({"lfm2", "qwen35", "qwen35moe"})
_TRANSFORMERS = _PACKED | {
    "bloom",
    "deci",
    "falcon",
    "gemma2",
    "gemma3",
    "gemma4",
    "gpt-oss",
    "gpt2",
    "llama",
    "mamba",
    "minimax-m2",
    "nemotron",
    "phi3",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "stablelm",
    "starcoder2",
    "t5",
    "t5encoder",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSupport:
    """Whether an engine reads a file.

    Attributes:
        engine: The engine.
        is_known: Whether it knows the architecture: that of the versions named in ``note``.
        form: Whether weights stay as they are in the file.
        note: One sentence about it; ``""`` for none.
    """

    engine: EngineName
    is_known: bool
    form: Form
    note: str = ""


def engine_support(metadata: Mapping[str, Any]) -> tuple[EngineSupport, ...]:
    """Return for each engine whether it reads a file with this header."""
    architecture = str(metadata.get("general.architecture", ""))
    by_llama_cpp = architecture in ARCHITECTURES
    unknown = "" if by_llama_cpp else f"llama.cpp b11095 does not know the architecture {architecture}"
    return tuple(
        _by_transformers(architecture)
        if engine == "transformers"
        else EngineSupport(engine=engine, is_known=by_llama_cpp, form="packed", note=unknown)
        for engine in ENGINES
    )


def packs_weights(architecture: str, *, has_gpu: bool) -> bool:
    """Return whether transformers leaves the weights of an architecture packed on this machine.

    For some it does, by kernels that there are for GPUs alone (``quantizers/quantizer_gguf.py`` and
    ``kernel_can_read`` of transformers 5.24).
    """
    return architecture in _PACKED and has_gpu and importlib.util.find_spec("kernels") is not None


def _by_transformers(architecture: str) -> EngineSupport:
    if architecture not in _TRANSFORMERS:
        note = f"transformers 5.24 does not read GGUFs of the architecture {architecture}"
    elif architecture in _PACKED:
        note = "transformers keeps weights packed with its kernels on a GPU, and dequantizes them elsewhere"
    else:
        note = "transformers dequantizes weights to 32 bits each"
    return EngineSupport(
        engine="transformers",
        is_known=architecture in _TRANSFORMERS,
        form="packed" if architecture in _PACKED else "dequantized",
        note=note,
    )
