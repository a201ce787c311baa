"""What can become of a template that llama.cpp runs, besides text."""

from __future__ import annotations

__all__ = ["NotForeseen", "TemplateFault"]


class TemplateFault(Exception):
    """llama.cpp ends with an error here: it does not take the template, or the template raises.

    Attributes:
        raised: Whether the template says so itself.
    """

    def __init__(self, reason: str, *, raised: bool = False) -> None:
        super().__init__(reason)
        self.raised = raised


class NotForeseen(Exception):
    """What llama.cpp does here is not modelled, or costs more than a prediction may."""
