"""What a chat template may take of this machine."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass

__all__ = ["MAX_TEMPLATE_BYTES", "Limits"]

MAX_TEMPLATE_BYTES = 1 << 20
"""The longest chat template that is read; the longest of 183 real ones has 19 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much compiling a template, or rendering a batch of chats with it, may take.

    Attributes:
        seconds: Of the processor; by the clock, twice as many where it can't be told (Windows).
        wall_seconds: By the clock, whatever else the machine does.
        memory_bytes: Beyond what the interpreter itself takes.
        characters: Of all its prompts.
    """

    seconds: float = 5.0
    wall_seconds: float = 60.0
    memory_bytes: int = 512 << 20
    characters: int = 8 << 20
