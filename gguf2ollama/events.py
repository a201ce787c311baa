"""Progress of long operations, reported to a callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Progress", "Update", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The progress of one task.

    Attributes:
        task: The name of the task, for a person: ``"hashing model-00001-of-00003.gguf"``. Updates of one
            task have the same name; concurrent tasks have different ones.
        done: The amount done so far; it never decreases within a task, unless a transfer starts over.
        total: The total amount, or ``None`` while unknown.
        unit: The unit of both: bytes, or items such as prompts.
    """

    task: str
    done: int
    total: int | None
    unit: Literal["bytes", "items"] = "bytes"

    @property
    def is_complete(self) -> bool:
        """Whether all of it is done."""
        return self.total is not None and self.done >= self.total


Progress: TypeAlias = Callable[[Update], None]


def ignore(_: object) -> None:
    """Ignore the progress."""
