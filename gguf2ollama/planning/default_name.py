"""The default name of a model, from that of its file."""

from __future__ import annotations

import re

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName

__all__ = ["suggest_name"]

# the names of quantizations as publishers write them at the end of a file's name
_QUANTIZATION = lazy_pattern(
    r"[-._](?P<quantization>(?:ud-|i1-)?(?:i?q[1-8](?:_[a-z0-9]+)*|tq[12]_0|mxfp4(?:_moe)?|nvfp4|b?f16|fp16|f32))$",
    re.IGNORECASE,
)
_FORBIDDEN = lazy_pattern(r"[^a-z0-9._-]+")


def suggest_name(stem: str) -> ModelName:
    """Return the default name for a file: ``qwen2.5-7b-instruct:q4_k_m`` for ``Qwen2.5-7B-Instruct-Q4_K_M``.

    Args:
        stem: The file's name without ``.gguf`` and without the number of a shard.

    Raises:
        UsageProblem: It has no character that a name may have.
    """
    found = _QUANTIZATION.search(stem)
    base = stem[: found.start()] if found else stem
    model = _FORBIDDEN.sub("-", base.lower()).strip("-._")[:80]
    if not model:
        raise UsageProblem(f"no model name can be derived from {stem!r}", hint="give one with --name")
    tag = found["quantization"].lower() if found else "latest"
    return ModelName(model=model, tag=tag)
