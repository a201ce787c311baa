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


_BY_TYPE = {
    "mmproj": Role.PROJECTOR,
    "adapter": Role.ADAPTER,
    "imatrix": Role.IMATRIX,
    "vocab": Role.VOCABULARY,
}
_BY_ARCHITECTURE = {"clip": Role.PROJECTOR, "controlvector": Role.ADAPTER}


def role_of(gguf: GgufFile) -> Role:
    """Return the role of a file; for a set of shards, of the first.

    It follows from ``general.type`` (``GGUFType`` of the ``gguf`` package), for older files from
    ``general.architecture``; a complete file with a tokenizer and no tensor is a vocabulary.
    """
    role = _BY_TYPE.get(str(gguf.metadata.get("general.type")))
    role = role or _BY_ARCHITECTURE.get(str(gguf.metadata.get("general.architecture")))
    if role is None and any(key.startswith("imatrix.") for key in gguf.metadata):
        role = Role.IMATRIX
    if role is None and not gguf.tensors and gguf.split is None:
        role = Role.VOCABULARY
    return role or Role.MODEL
