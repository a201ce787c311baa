"""The memory that a model takes at a context length, and the context length that fits.

The KV cache contains, for every layer with attention and every token, one key and one value
for each of its key-value heads, at two bytes a number (llama.cpp's default type is F16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidGguf, UsageProblem

__all__ = ["ContextChoice", "ModelShape", "choose_context", "fits_memory", "parse_context", "read_shape"]

_CACHE_NUMBER_BYTES = 2
_COMPUTE_BYTES = 300 << 20  # graph and output buffers of a small model, measured with llama-server
_USABLE = 0.8  # of the memory that is free
_STEP = 1024  # tokens
_LOWEST = 2048  # tokens: the least that is of use in a chat
_HIGHEST = 32_768  # tokens: the upper limit of `auto`
_UNKNOWN_MEMORY = 8192  # tokens: `auto` if the machine's memory is unknown
_FALLBACK = 4096  # tokens, if the file has no context length


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The properties of a model that determine its memory.

    Attributes:
        weight_bytes: Bytes of all tensors.
        context_length: Tokens it was trained for, or ``None`` if unknown.
        cache_bytes_per_token: Bytes of the KV cache per token, over all layers.
    """

    weight_bytes: int
    context_length: int | None
    cache_bytes_per_token: int

    def bytes_at(self, context: int) -> int:
        """Return the bytes of memory that it takes with a context length in tokens."""
        return self.weight_bytes + _COMPUTE_BYTES + context * self.cache_bytes_per_token


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChoice:
    """A context length in tokens, and the reason for it."""

    tokens: int
    reason: str


def read_shape(metadata: Mapping[str, Any], *, weight_bytes: int) -> ModelShape:
    """Return the shape of a model from its GGUF metadata.

    Raises:
        InvalidGguf: A key that determines the memory is negative or of another type.
    """
    architecture = str(metadata.get("general.architecture", ""))

    def whole(key: str) -> int:
        value = metadata.get(f"{architecture}.{key}", 0)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = max((item for item in value if isinstance(item, int)), default=0)
        if not isinstance(value, int) or value < 0:
            raise InvalidGguf(f"invalid {architecture}.{key} {value!r}: expected an integer >= 0")
        return value

    heads = whole("attention.head_count")
    head_length = whole("embedding_length") // heads if heads else 0
    key_length = whole("attention.key_length") or head_length
    value_length = whole("attention.value_length") or head_length
    per_layer = (key_length + value_length) * _CACHE_NUMBER_BYTES
    cache_heads = _cache_heads(metadata.get(f"{architecture}.attention.head_count_kv"), heads)
    layers = whole("block_count")
    total_heads = sum(cache_heads[:layers]) if len(cache_heads) > 1 else cache_heads[0] * layers
    return ModelShape(
        weight_bytes=weight_bytes,
        context_length=whole("context_length") or None,
        cache_bytes_per_token=total_heads * per_layer,
    )


def _cache_heads(value: object, heads: int) -> list[int]:
    """Return the KV heads of each layer; hybrid models have a list, with 0 for layers without attention."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item for item in value if isinstance(item, int) and item >= 0] or [heads]
    return [value if isinstance(value, int) and value > 0 else heads]


def parse_context(text: str) -> int | str:
    """Parse the value of ``--ctx``: tokens (``8192``, ``8k``), ``auto`` or ``max``.

    Raises:
        UsageProblem: It is none of these.
    """
    lowered = text.strip().lower()
    if lowered in {"auto", "max"}:
        return lowered
    digits, factor = (lowered[:-1], 1024) if lowered.endswith("k") else (lowered, 1)
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits) * factor < 1 << 31:
        raise UsageProblem(f"invalid --ctx {text!r}", hint="use a token count (8192 or 8k), auto or max")
    return int(digits) * factor


def choose_context(shape: ModelShape, wanted: int | str, *, free_bytes: int | None) -> ContextChoice:
    """Decide ``num_ctx``.

    Args:
        shape: The model's shape.
        wanted: Tokens, ``"auto"`` or ``"max"``.
        free_bytes: Free memory of the machine that will run it; ``None`` if unknown.
    """
    trained = shape.context_length
    if isinstance(wanted, int):
        beyond = f", more than the {trained:,} it was trained for" if trained and wanted > trained else ""
        return ContextChoice(tokens=wanted, reason=f"as requested{beyond}")
    if trained is None:
        return ContextChoice(tokens=_FALLBACK, reason="the GGUF declares no context length")
    if wanted == "max":
        return ContextChoice(tokens=trained, reason="the model's full context")
    ceiling = min(trained, _HIGHEST)
    if free_bytes is None:
        tokens = min(ceiling, _UNKNOWN_MEMORY)
        why = "the model's full context" if tokens == trained else "the server's free memory is unknown"
        return ContextChoice(tokens=tokens, reason=why)
    return _fit(shape, ceiling, free_bytes=free_bytes)


def fits_memory(weight_bytes: int, *, free_bytes: int | None) -> bool | None:
    """Return whether weights fit in the free memory, without a context; ``None`` if unknown.

    Args:
        weight_bytes: Bytes of all tensors.
        free_bytes: Free memory of the machine that will run it; ``None`` if unknown.
    """
    if free_bytes is None:
        return None
    shape = ModelShape(weight_bytes=weight_bytes, context_length=None, cache_bytes_per_token=0)
    return shape.bytes_at(0) <= free_bytes * _USABLE


def _fit(shape: ModelShape, ceiling: int, *, free_bytes: int) -> ContextChoice:
    per_token = shape.cache_bytes_per_token
    room = int(free_bytes * _USABLE) - shape.bytes_at(0)
    fitting = max(room, 0) // per_token if per_token else ceiling
    free = f"{free_bytes / 2**30:.1f} GiB of free memory"
    if fitting >= ceiling:
        whole = ceiling == shape.context_length
        why = "the model's full context" if whole else "larger with --ctx N or max"
        return ContextChoice(tokens=ceiling, reason=f"{why}; fits in {free}")
    lowest = min(_LOWEST, ceiling)
    tokens = max(fitting // _STEP * _STEP, lowest)
    why = "the largest that fits in" if fitting >= lowest else "the smallest useful length; it may not fit in"
    return ContextChoice(tokens=tokens, reason=f"{why} {free}")
