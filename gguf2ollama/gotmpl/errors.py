"""The errors of templates: with a position, a reason and a hint."""

from __future__ import annotations

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl.nodes import Position

__all__ = ["EvaluationError", "InvalidTemplate", "ParsingError", "invalid_template"]


class InvalidTemplate(InvalidModelfile):
    """A Go template that cannot be parsed, or fails.

    Attributes:
        reason: Why, without the position.
        position: Where; ``None`` if that is unknown.
        is_limit: Whether it only exceeds a limit of ours, so that Ollama may accept it.
    """

    reason: str
    position: Position | None
    is_limit: bool


class ParsingError(Exception):
    """A template cannot be parsed; only :mod:`gguf2ollama.gotmpl.parse` sees it."""

    def __init__(
        self, reason: str, *, position: Position, hint: str | None = None, is_limit: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position
        self.hint = hint
        self.is_limit = is_limit


class EvaluationError(Exception):
    """A template failed while it ran; only ``ollama_template.execute`` sees it.

    ``position`` is ``None`` until the command that failed sets it.
    """

    def __init__(
        self,
        reason: str,
        *,
        position: Position | None = None,
        hint: str | None = None,
        is_limit: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position
        self.hint = hint
        self.is_limit = is_limit


def invalid_template(
    what: str, reason: str, *, position: Position | None, hint: str | None, is_limit: bool = False
) -> InvalidTemplate:
    """Return the error that callers see."""
    where = f" at {position}" if position is not None else ""
    error = InvalidTemplate(f"the Go template {what}{where}: {reason}", hint=hint)
    error.reason, error.position, error.is_limit = reason, position, is_limit
    return error
