"""What comes of rendering a conversation: a prompt, or a refusal."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Cause", "Outcome", "Refused", "Rendered"]

Cause: TypeAlias = Literal["raised", "failed", "forbidden", "doubtful"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt that a template made."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a template made no prompt of a conversation: one sentence.

    Attributes:
        reason: What the template, or whatever it stumbled over, says.
        cause: ``raised``: the authors do not take such a conversation. ``failed``: the template does
            something that cannot be done with it, such as adding a number to a text. ``forbidden``: it
            reaches for what no chat template may have. ``doubtful``: what it prints cannot be meant.
    """

    reason: str
    cause: Cause = "raised"


Outcome: TypeAlias = Rendered | Refused
