"""Write reports: pages for a browser."""

from __future__ import annotations

from pathlib import Path

from gguf2ollama import __version__
from gguf2ollama.cli._verbs import PROGRAM
from gguf2ollama.cli.render.output import Output
from gguf2ollama.fs.atomic import atomic_file

__all__ = ["WRITTEN_BY", "write_report"]

WRITTEN_BY = f"{PROGRAM} {__version__}"


def write_report(page: str, path: str, *, kind: str = "report", output: Output) -> None:
    """Write a page to a file; an existing one is replaced."""
    with atomic_file(Path(path), kind=kind) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    output.note(f"Wrote {path}")
