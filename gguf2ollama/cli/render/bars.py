"""Progress bars on a terminal: bytes with their speed, items with their count."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

__all__ = ["make_display"]

_NAME_WIDTH = 36  # with the numbers it leaves room for a bar in 80 columns


def make_display() -> Progress:
    """Return the display on stderr, a line for each task; tasks have a ``unit``, ``bytes`` or ``items``."""
    return Progress(
        _Name(table_column=Column()),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TaskProgressColumn(table_column=Column(no_wrap=True)),
        _Amount(table_column=Column(no_wrap=True)),
        _Speed(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        expand=True,
    )


class _Name(ProgressColumn):
    """What is done, shortened in the middle if it is long: shards differ at the end of their names."""

    def render(self, task: Task) -> Text:
        name = task.description
        if len(name) > _NAME_WIDTH:
            half = (_NAME_WIDTH - 1) // 2
            name = f"{name[: _NAME_WIDTH - 1 - half]}…{name[-half:]}"
        return Text(name, no_wrap=True, overflow="ellipsis")


class _Amount(DownloadColumn):
    def render(self, task: Task) -> Text:
        if task.fields.get("unit") != "items":
            return super().render(task)
        total = "?" if task.total is None else int(task.total)
        return Text(f"{int(task.completed)}/{total}", style="progress.download")


class _Speed(TransferSpeedColumn):
    def render(self, task: Task) -> Text:
        return Text() if task.fields.get("unit") == "items" else super().render(task)
