"""Check from headers alone that a GGUF is a language model that llama.cpp, and so Ollama, can load.

What is refused here makes ``llama-server`` end when it loads the file, whatever else is done. The rules are
those of ``llama_model_loader``, ``llama_vocab::impl::load`` and ``llama_model_base::load_hparams`` in
llama.cpp b11095.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

from gguf2ollama._text import one_line
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.families.fill_in import FILL_IN_KEYS, fill_in_problems
from gguf2ollama.ggufio import GgufArray, GgufFile, HeaderPatch, ShardSet, TypedValue, ValueType
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.ggufio.roles import Role
from gguf2ollama.memory.architectures import ARCHITECTURES
from gguf2ollama.sources.adapters import adapter_refusal

__all__ = ["header_warnings", "repair_types", "require_distinct_tokens", "require_language_model"]

_TOKENIZER = "tokenizer.ggml.model"
_TOKENS = "tokenizer.ggml.tokens"
_PRE_TOKENIZER = "tokenizer.ggml.pre"
_BPE = "gpt2"
_BROKEN = "the converter is broken: get the model from another source"

_ROLES = {
    Role.IMATRIX: ("an importance matrix", "llama-quantize uses it; give the model that it was made for"),
    Role.VOCABULARY: ("a vocabulary without weights", "give the model itself"),
}

# what llama.cpp reads as 32-bit numbers, and refuses in any other type
_WIDE = (ValueType.UINT64, ValueType.INT64, ValueType.UINT16, ValueType.UINT8)
_MAX_UINT32, _MAX_INT32 = (1 << 32) - 1, (1 << 31) - 1
_NAME, _FILE_TYPE = "general.name", "general.file_type"
_TOKEN_IDS = ("tokenizer.ggml.", "_token_id")
_SWITCHES = ("tokenizer.ggml.add_", "tokenizer.ggml.remove_", "tokenizer.ggml.escape_")
_SHAPES = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("rope.dimension_count", "expert_count", "expert_used_count", "leading_dense_block_count"),
)
_POSITIVE = ("context_length", "embedding_length", "block_count")
_FRACTIONS = ("rope.freq_base", "rope.scaling.factor", "epsilon")
_PER_TOKEN = ("tokenizer.ggml.scores", "tokenizer.ggml.token_type")
_MERGES = "tokenizer.ggml.merges"


def require_language_model(model: ShardSet) -> None:
    """Check that files are a language model.

    Raises:
        InvalidGguf: They are something else, or lack what every language model has; the message says what,
            and the hint which program reads them.
        UsageProblem: They are a part of another model: an adapter, a projector or a draft.
    """
    first, name = model.first, model.first.name
    if model.role is Role.ADAPTER:
        raise adapter_refusal(model.shards[0].path, first.metadata)
    if model.role is Role.PROJECTOR:
        raise UsageProblem(
            f"{name} is a projector, which turns images or sound into tokens of another model",
            hint="give the model itself; a projector in the same folder is used with it",
        )
    if first.byte_order == "big":
        raise InvalidGguf(
            f"{name} is big-endian, and Ollama reads little-endian GGUFs only on this kind of machine",
            hint=f"convert it with: python -m gguf.scripts.gguf_convert_endian {name} little",
        )
    if (role := _ROLES.get(model.role)) is not None:
        raise InvalidGguf(f"{name} is {role[0]}, not a language model", hint=role[1])
    if model.role is Role.DRAFT:
        raise UsageProblem(
            f"{name} is a draft, which predicts tokens for another model",
            hint="give the model itself; a draft in the same folder is used with it",
        )
    architecture = first.metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise InvalidGguf(
            f"{name} has no architecture (general.architecture), so it is not a language model",
            hint="give the GGUF of a language model; this one was not written by llama.cpp's converter",
        )
    if model.role is Role.MODEL and _TOKENIZER not in first.metadata:
        raise _without_tokenizer(name, architecture)
    _require_numbers(first, architecture)
    _require_whole_vocabulary(first)


def _require_numbers(gguf: GgufFile, architecture: str) -> None:
    """Check that no fraction is infinite or none, and no size of the model 0."""
    for key, value in _numbers_of(gguf, architecture):
        if not math.isfinite(value):
            what = "not a number (NaN)" if math.isnan(value) else "infinite"
            raise InvalidGguf(f"{gguf.name}: {one_line(key)} is {what}", hint=_BROKEN)
    for key in (f"{one_line(architecture)}.{shape}" for shape in _POSITIVE):
        if gguf.metadata.get(key) == 0:
            raise InvalidGguf(f"{gguf.name}: {key} is 0, and llama.cpp runs no such model", hint=_BROKEN)


def _require_whole_vocabulary(gguf: GgufFile) -> None:
    """Check what ``llama_vocab::impl::load`` reads for each token, and that BPE has its merges."""
    tokens = gguf.metadata.get(_TOKENS)
    if not isinstance(tokens, GgufArray):
        return
    for key in _PER_TOKEN:
        values = gguf.metadata.get(key)
        if isinstance(values, GgufArray) and len(values) < len(tokens):
            raise InvalidGguf(
                f"{gguf.name}: {key} has {len(values):,} values for {len(tokens):,} tokens", hint=_BROKEN
            )
    if gguf.metadata.get(_TOKENIZER) == _BPE and _MERGES not in gguf.metadata:
        raise InvalidGguf(
            f"{gguf.name} has no merges ({_MERGES}), without which llama.cpp loads no BPE tokenizer",
            hint=_BROKEN,
        )


def _without_tokenizer(name: str, architecture: str) -> InvalidGguf:
    if architecture in ARCHITECTURES:
        return InvalidGguf(
            f"{name} has no tokenizer ({_TOKENIZER}), without which llama.cpp loads no language model",
            hint="get a complete GGUF of the model, or convert it again",
        )
    what = one_line(architecture, limit=80)
    return InvalidGguf(
        f"{name} is not a language model: it has no tokenizer, and llama.cpp does not know {what}",
        hint="models that make images or video run in stable-diffusion.cpp or ComfyUI-GGUF, not in Ollama",
    )


def _numbers_of(gguf: GgufFile, architecture: str) -> Iterator[tuple[str, float]]:
    for key in gguf.metadata:
        if key.startswith(f"{architecture}.") and gguf.metadata.type_of(key).code in {"f", "d"}:
            value = gguf.metadata[key]
            if isinstance(value, float):
                yield key, value


def require_distinct_tokens(model: ShardSet) -> None:
    """Check that no token occurs twice; takes about 30 ms of CPU for 100,000 tokens.

    Raises:
        InvalidGguf: One does, so that llama.cpp ends when it loads the vocabulary.
    """
    tokens = model.metadata.get(_TOKENS)
    if not isinstance(tokens, GgufArray) or tokens.element_type is not ValueType.STRING:
        return
    if (found := tokens.find_duplicate()) is not None:
        text, index, other = found
        raise InvalidGguf(
            f"{model.first.name}: tokens {index} and {other} are the same, {one_line(text, limit=80)!r}",
            hint=_BROKEN,
        )


def repair_types(gguf: GgufFile) -> HeaderPatch:
    """Return a patch that writes values with the type that llama.cpp reads where they have another.

    llama.cpp does not load a model with, say, a ``context_length`` of 64 bits, nor with a number of a token
    that is signed. Values that do not fit stay, but for what it can do without.
    """
    prefix = f"{gguf.metadata.get('general.architecture', '')}."
    changes: dict[str, TypedValue | None] = {}
    for key in gguf.metadata:
        is_own = key.startswith(prefix)
        if not is_own and not key.startswith(("tokenizer.ggml.", "general.")):
            continue
        kind, value = gguf.metadata.type_of(key), gguf.metadata[key]
        if is_own:
            repaired = _repair_number(key.removeprefix(prefix), kind, value)
        else:
            repaired = _repair_other(key, kind, value)
        if repaired is not None:
            changes[key] = repaired
        elif _can_go(key, kind, value):
            changes[key] = None
    return HeaderPatch(changes=changes) if changes else UNCHANGED


def _repair_number(name: str, kind: ValueType, value: object) -> TypedValue | None:
    """Return a value of the architecture with its right type; ``None`` if it has that, or does not fit."""
    if isinstance(value, GgufArray) and value.element_type in {ValueType.UINT64, ValueType.INT64}:
        numbers = [number for number in value if isinstance(number, int)]
        if all(0 <= number <= _MAX_INT32 for number in numbers):
            return TypedValue.array(ValueType.INT32, numbers)
    if isinstance(value, GgufArray):
        return None
    if kind is ValueType.FLOAT64 and isinstance(value, float):
        return TypedValue(ValueType.FLOAT32, value)
    is_integer = isinstance(value, int) and kind is not ValueType.BOOL
    if is_integer and name.endswith(_FRACTIONS):
        return TypedValue(ValueType.FLOAT32, float(cast("int", value)))
    if kind in _WIDE or (kind is not ValueType.UINT32 and name in _SHAPES):
        return _unsigned(value) if is_integer else None
    return None


def _repair_other(key: str, kind: ValueType, value: object) -> TypedValue | None:
    is_integer = isinstance(value, int) and kind is not ValueType.BOOL
    is_number = key == _FILE_TYPE or (key.startswith(_TOKEN_IDS[0]) and key.endswith(_TOKEN_IDS[1]))
    if is_integer and is_number and kind is not ValueType.UINT32:
        return _unsigned(value)
    if is_integer and value in {0, 1} and key.startswith(_SWITCHES):
        return TypedValue(ValueType.BOOL, bool(value))
    return None


def _unsigned(value: object) -> TypedValue | None:
    fits = isinstance(value, int) and 0 <= value <= _MAX_UINT32
    return TypedValue(ValueType.UINT32, value) if fits else None


def _can_go(key: str, kind: ValueType, value: object) -> bool:
    """Return whether a value has another type than llama.cpp reads, and is one that it does without."""
    if key == _NAME:
        return kind is not ValueType.STRING
    if isinstance(value, int) and value < 0:  # -1 for a token that there is not
        return key.startswith(_TOKEN_IDS[0]) and key.endswith(_TOKEN_IDS[1])
    return (key == _FILE_TYPE or key in FILL_IN_KEYS) and kind is not ValueType.UINT32


def header_warnings(gguf: GgufFile) -> Iterator[str]:
    """Return what makes a model answer badly though it loads, one sentence each."""
    yield from fill_in_problems(gguf.metadata)
    if gguf.metadata.get(_TOKENIZER) == _BPE and not gguf.metadata.get(_PRE_TOKENIZER):
        yield (
            f"the GGUF names no pre-tokenizer ({_PRE_TOKENIZER}): llama.cpp splits texts by a default, and "
            "the model answers worse if it was trained with another; prefer a newer GGUF of it"
        )
