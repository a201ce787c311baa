"""How a template fails: with a place in it, a reason, and a hint."""

from __future__ import annotations

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl.nodes import Place

__all__ = ["EvaluationError", "ParsingError", "invalid_template"]


class ParsingError(Exception):
    """A template that cannot be parsed; only :func:`gguf2ollama.gotmpl.parse` sees it."""

    def __init__(self, reason: str, *, place: Place, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.hint = hint


class EvaluationError(Exception):
    """A template that failed while it ran; only :func:`gguf2ollama.gotmpl.execute` sees it.

    ``place`` is ``None`` until the command that failed puts its own there.
    """

    def __init__(self, reason: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.hint = hint


def invalid_template(what: str, reason: str, *, place: Place | None, hint: str | None) -> InvalidModelfile:
    """Make the error that callers see."""
    where = f" at {place}" if place is not None else ""
    return InvalidModelfile(f"the Go template {what}{where}: {reason}", hint=hint)
