"""Drafts: what predicts tokens that a model then only has to check (speculative decoding).

Ollama starts ``llama-server`` with ``--spec-type draft-dflash`` for a draft of architecture ``dflash``, and
with ``draft-mtp`` for any other (``externalDraftType`` in ``llm/llama_server.go`` of 0.34.4 and 0.32.15): an
ordinary small model as a draft, or an EAGLE-3 head, keeps the model from loading (tried).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gguf2ollama._text import one_line
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import GgufArray, GgufFile, Shard

__all__ = ["draft_problem", "has_mtp_layers", "own_draft_problem", "require_draft", "runs_mtp_layers"]

_LAYERS = "nextn_predict_layers"
_LAYER_TENSOR = ".nextn."
_TOKENS = "tokenizer.ggml.tokens"
_DFLASH = "dflash"
_GEMMA4_DRAFT, _GEMMA4 = "gemma4-assistant", "gemma4"
_MOST_MORE_TOKENS = 128  # SPEC_VOCAB_MAX_SIZE_DIFFERENCE in llama.cpp's common/speculative.cpp

_MTP_SINCE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("bailingmoe3", "cohere2moe", "deepseek2", "deepseek32", "deepseek4", "glm-dsa", "hy_v3"),
                *("mimo2", "nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next", "step35"),
            ),
            "0.32.15",
        ),
        "glm4moe": "0.34.4",
    }
)
"""The architectures whose MTP layers llama.cpp runs, and the oldest Ollama seen with each.

``LLM_GRAPH_TYPE_DECODER_MTP`` in ``src/models`` of llama.cpp b10488 and b11095.
"""


def has_mtp_layers(gguf: GgufFile, *, others: Iterable[GgufFile] = ()) -> bool:
    """Return whether a model has layers for multi-token prediction, and not only the key that counts them.

    Args:
        gguf: Its header; of one in shards, the first.
        others: The headers of the other shards.
    """
    count = gguf.metadata.get(f"{gguf.metadata.get('general.architecture')}.{_LAYERS}")
    if not isinstance(count, int) or count <= 0:
        return False
    return any(_LAYER_TENSOR in found.name for file in (gguf, *others) for found in file.tensors)


def runs_mtp_layers(architecture: str, *, version: str | None) -> bool:
    """Return whether an Ollama runs the MTP layers of an architecture.

    Args:
        architecture: ``general.architecture``.
        version: The version of Ollama; ``None`` for the newest.
    """
    from gguf2ollama.gotmpl.versions import is_since  # noqa: PLC0415 - for few models

    since = _MTP_SINCE.get(architecture)
    return since is not None and (version is None or is_since(version, since))


def draft_problem(draft: GgufFile, *, model: GgufFile, version: str | None = None) -> str | None:
    """Return why a file cannot draft for a model, a phrase; ``None`` if it can.

    Args:
        draft: The header of the file.
        model: That of the model; of one in shards, the first.
        version: The version of Ollama that will run them; ``None`` for the newest.
    """
    if draft.split is not None and draft.split.count > 1:
        return "it is in shards; merge them first (`gguf2ollama merge`)"
    if (problem := _architecture_problem(draft, model=model, version=version)) is not None:
        return problem
    if not _has_same_vocabulary(draft.metadata, model.metadata):
        return "it has another vocabulary than the model"
    theirs, own = _width_out(draft), _width_out(model)
    if draft.metadata.get("general.architecture") != _DFLASH and theirs != own:
        return f"it is for models of width {theirs}, and this one has {own}"
    return None


def _architecture_problem(draft: GgufFile, *, model: GgufFile, version: str | None) -> str | None:
    """Return why a draft's architecture does not go with a model's; ``None`` if it does."""
    name, target = (str(gguf.metadata.get("general.architecture", "")) for gguf in (draft, model))
    shown, shown_target = one_line(name, limit=80), one_line(target, limit=80)
    if name == _DFLASH:
        return None
    if name == _GEMMA4_DRAFT:
        return None if target == _GEMMA4 else f"it is for {_GEMMA4}, and the model is {shown_target}"
    if not has_mtp_layers(draft) or not runs_mtp_layers(name, version=version):
        return (
            "Ollama runs drafts that are MTP layers or DFlash, and does not load a model with another"
            f" (architecture {shown})"
        )
    return None if name == target else f"its MTP layers are for {shown}, and the model is {shown_target}"


def own_draft_problem(draft: GgufFile, *, model: GgufFile, version: str | None = None) -> str | None:
    """Return why a file beside a model is not its draft; see :func:`draft_problem`."""
    if has_mtp_layers(model):
        return "the model has MTP layers of its own"
    return draft_problem(draft, model=model, version=version)


def require_draft(draft: Shard, *, model: GgufFile, version: str | None = None) -> Shard:
    """Return a file that the user gave as a draft, if it can be one; see :func:`draft_problem`.

    Raises:
        UsageProblem: It cannot.
    """
    if (problem := draft_problem(draft.gguf, model=model, version=version)) is not None:
        raise UsageProblem(
            f"{draft.path} cannot draft for this model: {problem}",
            hint="give the MTP or DFlash file that was made for it, or leave out --draft",
        )
    return draft


def _has_same_vocabulary(draft: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Return whether a draft has the tokens of a model; either may have some more at the end."""
    theirs, own = draft.get(_TOKENS), model.get(_TOKENS)
    if not isinstance(theirs, GgufArray) or not isinstance(own, GgufArray):
        return False
    shorter, longer = sorted((theirs, own), key=len)
    return len(longer) - len(shorter) <= _MOST_MORE_TOKENS and longer.raw.startswith(shorter.raw)


def _width_out(gguf: GgufFile) -> int | None:
    """Return the width of what comes out of a model's layers."""
    prefix = gguf.metadata.get("general.architecture")
    for key in ("embedding_length_out", "embedding_length"):
        if isinstance(width := gguf.metadata.get(f"{prefix}.{key}"), int):
            return width
    return None
