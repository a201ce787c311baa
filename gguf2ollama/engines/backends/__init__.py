"""What runs within the process of an engine: one module for each library, imported there alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

__all__ = ["Backend", "BackendError", "Emit", "ErrorKind"]

Emit: TypeAlias = Callable[[str, str], bool]
"""Takes a piece of an answer, and of reasoning; returns whether the answer is to end."""

ErrorKind: TypeAlias = Literal["load", "memory", "context", "generate"]


class BackendError(Exception):
    """Something that a library refuses, in one sentence."""

    def __init__(self, message: str, *, kind: ErrorKind) -> None:
        super().__init__(message)
        self.kind = kind


class Backend(Protocol):
    """A library that loads one model; made by importing it.

    Attributes:
        library: Its name and version.
        devices: The GPUs that it sees, by their names.
    """

    library: str
    devices: Sequence[str]

    def load(self, message: Mapping[str, Any]) -> dict[str, object]:
        """Load a model; return ``context`` and ``gpu_layers``."""

    def prompt(self, message: Mapping[str, Any]) -> str:
        """Render a chat by the library's own means."""

    def answer(self, message: Mapping[str, Any], emit: Emit) -> dict[str, object]:
        """Answer a chat, or continue a text; return what the answer took."""
