"""What a GGUF is for, told by its header and never by its name."""

from __future__ import annotations

from enum import Enum

from gguf2ollama.ggufio.reader import GgufFile

__all__ = ["Role", "role_of"]


class Role(Enum):
    """What a GGUF is for."""

    MODEL = "model"
    PROJECTOR = "projector"
    """Turns images or sound into embeddings for a model: an ``mmproj`` file."""
    ADAPTER = "adapter"
    """Changes the weights of a model: LoRA, or a control vector."""
    IMATRIX = "imatrix"
    """Importances that ``llama-quantize`` works by."""
    VOCABULARY = "vocabulary"
    """A tokenizer without weights."""


_BY_TYPE = {
    "mmproj": Role.PROJECTOR,
    "adapter": Role.ADAPTER,
    "imatrix": Role.IMATRIX,
    "vocab": Role.VOCABULARY,
}
_BY_ARCHITECTURE = {"clip": Role.PROJECTOR, "controlvector": Role.ADAPTER}


def role_of(gguf: GgufFile) -> Role:
    """Return what a file is for, of a set of shards the first.

    By ``general.type`` (``GGUFType`` of the ``gguf`` package), for older files by
    ``general.architecture``; a whole file with a tokenizer and no tensor is a vocabulary.
    """
    role = _BY_TYPE.get(str(gguf.metadata.get("general.type")))
    role = role or _BY_ARCHITECTURE.get(str(gguf.metadata.get("general.architecture")))
    if role is None and not gguf.tensors and gguf.split is None:
        role = Role.VOCABULARY
    return role or Role.MODEL
