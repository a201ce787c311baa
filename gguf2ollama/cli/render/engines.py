"""Show which engines read a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gguf2ollama.engines.fit import loaded_bytes
from gguf2ollama.engines.support import engine_support

if TYPE_CHECKING:
    from gguf2ollama.ggufio import ShardSet

__all__ = ["engines_json", "engines_lines"]


def engines_lines(model: ShardSet) -> str:
    """Return a line about the engines that read a file, and what there is to say of each."""
    found = engine_support(model.metadata)
    known = ", ".join(support.engine for support in found if support.is_known) or "none that is known"
    notes = dict.fromkeys(support.note for support in found if support.note)
    return "\n".join([f"Engines: {known}", *(f"  {note}" for note in notes)])


def engines_json(model: ShardSet) -> list[dict[str, Any]]:
    """Return the same as JSON values."""
    return [
        {
            "engine": support.engine,
            "is_known": support.is_known,
            "weights": support.form,
            "weight_bytes": loaded_bytes(model, form=support.form),
            "note": support.note,
        }
        for support in engine_support(model.metadata)
    ]
