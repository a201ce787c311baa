"""What comes of rendering a conversation: a prompt, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Outcome", "Refused", "Rendered"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt that a template made."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a template made no prompt of a conversation: one sentence."""

    reason: str


Outcome: TypeAlias = Rendered | Refused
