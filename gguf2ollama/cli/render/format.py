"""Write sizes, ages and columns for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gguf2ollama._text import one_line
from gguf2ollama.names import size

__all__ = ["age", "columns", "size"]

_AGES = ((31_536_000, "year"), (2_592_000, "month"), (604_800, "week"), (86_400, "day"), (3_600, "hour"))


def age(moment: datetime, *, now: datetime | None = None) -> str:
    """Write how long ago a moment was, or how far ahead it lies: ``3 days ago``, ``in 4 minutes``."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    ahead, seconds = seconds < 0, abs(seconds)
    for length, name in (*_AGES, (60, "minute"), (1, "second")):
        count = int(seconds // length)
        if count:
            text = f"{count} {name}{'s' if count > 1 else ''}"
            return f"in {text}" if ahead else f"{text} ago"
    return "now"


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write rows under a header in columns that line up, two spaces apart."""
    table = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)
