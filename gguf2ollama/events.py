"""Progress of long work, reported to a callable; nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Progress", "Update", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How far one piece of work has come.

    Attributes:
        task: What is being done, for a person: ``"hashing model-00001-of-00003.gguf"``. Updates of one
            piece of work carry the same ``task``; two pieces that run side by side carry different ones.
        done: How much is done so far; never falls within one task, except when a transfer starts over.
        total: How much there is in all, or ``None`` while that is not known.
        unit: What both count: bytes, or items such as prompts.
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
    """Report to nobody."""
