"""What comes of a conversation: a prompt or a refusal, and what is read in an answer."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Call", "Cause", "Heard", "Misread", "Outcome", "Refused", "Rendered"]

Misread: TypeAlias = Literal["contents", "thoughts", "braces", "several calls"]
Call: TypeAlias = tuple[str, dict[str, Any]]
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


@dataclass(slots=True)
class Heard:
    """What a server reads in an answer.

    Attributes:
        said: The content.
        thought: The thinking.
        calls: Each call of a tool: its name and its arguments.
    """

    said: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
