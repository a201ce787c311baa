"""The role of a GGUF, determined by its header and never by its name."""

from __future__ import annotations

from enum import Enum

from gguf2ollama.ggufio.reader import GgufFile

__all__ = ["Role", "role_of"]


class Role(Enum):
    """The role of a GGUF."""

    MODEL = "model"
    PROJECTOR = "projector"
    """A projector of images or sound to embeddings of a model: an ``mmproj`` file."""
    ADAPTER = "adapter"
    """A modification of a model's weights: a LoRA adapter, or a control vector."""
    IMATRIX = "imatrix"
    """An importance matrix for ``llama-quantize``."""
    VOCABULARY = "vocabulary"
    """A tokenizer without weights."""
    DRAFT = "draft"
    """What only predicts tokens for another model to check: its MTP layers, a DFlash or an EAGLE-3 head."""


_BY_TYPE = {
    "mmproj": Role.PROJECTOR,
    "adapter": Role.ADAPTER,
    "imatrix": Role.IMATRIX,
    "vocab": Role.VOCABULARY,
}
_BY_ARCHITECTURE = {
    "clip": Role.PROJECTOR,
    "controlvector": Role.ADAPTER,
    **dict.fromkeys(("dflash", "eagle3", "gemma4-assistant"), Role.DRAFT),
}


def role_of(gguf: GgufFile) -> Role:
    """Return the role of a file; for a set of shards, of the first.

    It follows from ``general.type`` (``GGUFType`` of the ``gguf`` package), for older files from
    ``general.architecture``; a complete file with a tokenizer and no tensor is a vocabulary, and one with
    layers for multi-token prediction and no other layers is a draft.
    """
    role = _BY_TYPE.get(str(gguf.metadata.get("general.type")))
    role = role or _BY_ARCHITECTURE.get(str(gguf.metadata.get("general.architecture")))
    if role is None and any(key.startswith("imatrix.") for key in gguf.metadata):
        role = Role.IMATRIX
    if role is None and not gguf.tensors and gguf.split is None:
        role = Role.VOCABULARY
    if role is None and gguf.split is None and _has_draft_layers_alone(gguf):
        role = Role.DRAFT
    return role or Role.MODEL


def _has_draft_layers_alone(gguf: GgufFile) -> bool:
    """Return whether a file has MTP layers and not the layers before them (``mtp_only`` in llama.cpp)."""
    if not gguf.metadata.get(f"{gguf.metadata.get('general.architecture')}.nextn_predict_layers"):
        return False
    names = [tensor.name for tensor in gguf.tensors]
    return any(".nextn." in name for name in names) and not any(name.startswith("blk.0.") for name in names)
