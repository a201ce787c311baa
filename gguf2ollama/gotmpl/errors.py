"""The errors of templates: with a position, a reason and a hint."""

from __future__ import annotations

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl.nodes import Position

__all__ = ["EvaluationError", "ParsingError", "invalid_template"]


class ParsingError(Exception):
    """A template cannot be parsed; only :mod:`gguf2ollama.gotmpl.parse` sees it."""

    def __init__(self, reason: str, *, position: Position, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position
        self.hint = hint


class EvaluationError(Exception):
    """A template failed while it ran; only ``ollama_template.execute`` sees it.

    ``position`` is ``None`` until the command that failed sets it.
    """

    def __init__(self, reason: str, *, position: Position | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position
        self.hint = hint


def invalid_template(
    what: str, reason: str, *, position: Position | None, hint: str | None
) -> InvalidModelfile:
    """Return the error that callers see."""
    where = f" at {position}" if position is not None else ""
    return InvalidModelfile(f"the Go template {what}{where}: {reason}", hint=hint)
