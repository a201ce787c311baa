"""What a search for a form comes to when there is none."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass

__all__ = ["Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no form was found: one sentence."""

    reason: str
