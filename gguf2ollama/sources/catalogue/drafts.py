"""Which draft goes with a model, as names and folders say."""

from __future__ import annotations

from collections.abc import Sequence

from gguf2ollama.sources.catalogue.gguf_files import Kind, Variant
from gguf2ollama.sources.catalogue.projectors import find_own
from gguf2ollama.sources.catalogue.quantization import fold_quant

__all__ = ["choose_draft"]

_KINDS = frozenset({Kind.DRAFT, Kind.MTP})
_ROLES = frozenset({"mtp", "draft", "dflash", "eagle3", "assistant", "speculator", "model", "ggml", "gguf"})


def choose_draft(model: Variant, variants: Sequence[Variant]) -> Variant | None:
    """Return the draft that goes with a model, by the rules for projectors; ``None`` if none is certain to.

    Of several quantizations that of the model is taken, else the smallest: a draft is there for speed.
    """
    found = [
        variant
        for variant in variants
        if variant.kind in _KINDS and len(variant.files) == 1 and not (variant.missing or variant.is_cut)
    ]
    own, _ = find_own(model, found, variants=variants, roles=_ROLES)
    wanted = fold_quant(model.quant or "")
    return min(
        own,
        key=lambda draft: (fold_quant(draft.quant or "") != wanted, draft.n_bytes, draft.name),
        default=None,
    )
