"""Check from headers alone that a GGUF is a language model that llama.cpp, and so Ollama, can load.

What is refused here makes ``llama-server`` end when it loads the file, whatever else is done. The rules are
those of ``llama_model_loader``, ``llama_vocab::impl::load`` and ``llama_model_base::load_hparams`` in
llama.cpp b11095.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gguf2ollama._text import one_line
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.families.fill_in import FILL_IN_KEYS, fill_in_problems
from gguf2ollama.ggufio import GgufArray, GgufFile, HeaderPatch, ShardSet, TypedValue, ValueType
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.ggufio.roles import Role
from gguf2ollama.memory.architectures import ARCHITECTURES
from gguf2ollama.sources.adapters import adapter_refusal

__all__ = ["header_warnings", "repair_widths", "require_distinct_tokens", "require_language_model"]

_TOKENIZER = "tokenizer.ggml.model"
_TOKENS = "tokenizer.ggml.tokens"
_PRE_TOKENIZER = "tokenizer.ggml.pre"
_BPE = "gpt2"

_ROLES = {
    Role.IMATRIX: ("an importance matrix", "llama-quantize uses it; give the model that it was made for"),
    Role.VOCABULARY: ("a vocabulary without weights", "give the model itself"),
}

# integers of the header that llama.cpp reads as 32-bit numbers, and refuses in any other width
_WIDE = (ValueType.UINT64, ValueType.INT64, ValueType.UINT16, ValueType.UINT8)
_MAX_UINT32 = (1 << 32) - 1
_TOKEN_IDS = ("tokenizer.ggml.", "_token_id")


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
    for key, value in _numbers_of(first, architecture):
        if math.isnan(value):
            raise InvalidGguf(
                f"{name}: {one_line(key)} is not a number (NaN)",
                hint="the converter is broken: get the model from another source",
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
            hint="the converter is broken: get the model from another source",
        )


def repair_widths(gguf: GgufFile) -> HeaderPatch:
    """Return a patch that writes the integers of an architecture with 32 bits where they have another width.

    llama.cpp does not load a model with, say, a ``context_length`` of 64 bits, nor with a number of a token
    that is signed. Values that do not fit stay, but for tokens that fill in the middle: it can do without.
    """
    prefix = f"{gguf.metadata.get('general.architecture', '')}."
    changes: dict[str, TypedValue | None] = {}
    for key in gguf.metadata:
        is_token = key.startswith(_TOKEN_IDS[0]) and key.endswith(_TOKEN_IDS[1])
        kind = gguf.metadata.type_of(key)
        if not (is_token and kind is not ValueType.UINT32) and not (key.startswith(prefix) and kind in _WIDE):
            continue
        value = gguf.metadata[key]
        if isinstance(value, int) and kind is not ValueType.BOOL and 0 <= value <= _MAX_UINT32:
            changes[key] = TypedValue(ValueType.UINT32, value)
        elif key in FILL_IN_KEYS:
            changes[key] = None
    return HeaderPatch(changes=changes) if changes else UNCHANGED


def header_warnings(gguf: GgufFile) -> Iterator[str]:
    """Return what makes a model answer badly though it loads, one sentence each."""
    yield from fill_in_problems(gguf.metadata)
    if gguf.metadata.get(_TOKENIZER) == _BPE and not gguf.metadata.get(_PRE_TOKENIZER):
        yield (
            f"the GGUF names no pre-tokenizer ({_PRE_TOKENIZER}): llama.cpp splits texts by a default, and "
            "the model answers worse if it was trained with another; prefer a newer GGUF of it"
        )
