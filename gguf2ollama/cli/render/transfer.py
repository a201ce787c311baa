"""Show the progress of a pull or a push as the server reports it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gguf2ollama.cli.render.output import Output
from gguf2ollama.events import Update

if TYPE_CHECKING:
    from gguf2ollama.ollama import Status

__all__ = ["follow"]


def follow(statuses: Iterable[Status], *, verb: str, output: Output) -> None:
    """Follow a stream to its end: a bar for each blob, a line for each step that is new."""
    shown = ""
    with output.progress() as progress:
        for status in statuses:
            if status.digest and status.total:
                task = f"{verb} {status.digest.removeprefix('sha256:')[:12]}"
                progress(Update(task=task, done=status.completed, total=status.total))
            elif status.text != shown:
                shown = status.text
                output.detail(shown)
