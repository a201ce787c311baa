"""Progress bars on a terminal: of bytes with their speed, of things with their number."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

__all__ = ["make_display"]


def make_display() -> Progress:
    """Make the display on stderr; a task tells its ``unit``, ``bytes`` or ``things``."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Amount(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class _Amount(DownloadColumn):
    def render(self, task: Task) -> Text:
        if task.fields.get("unit") != "things":
            return super().render(task)
        total = "?" if task.total is None else int(task.total)
        return Text(f"{int(task.completed)}/{total}", style="progress.download")


class _Speed(TransferSpeedColumn):
    def render(self, task: Task) -> Text:
        return Text() if task.fields.get("unit") == "things" else super().render(task)
