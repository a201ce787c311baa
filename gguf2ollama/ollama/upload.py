"""The body of a blob on its way to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import InvalidInput
from gguf2ollama.progress import Progress, Update

__all__ = ["body", "opener"]

_CHUNK = 256 << 10


def opener(source: Path | Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
    """Give what opens the source anew, from its start, each time it is called."""
    if not isinstance(source, Path):
        return source

    def open_file() -> BinaryIO:
        with disk_errors(source):
            return source.open("rb")

    return open_file


def body(open_source: Callable[[], BinaryIO], *, size: int, task: str, progress: Progress) -> Iterator[bytes]:
    """Read the source in pieces and report what has been taken up.

    Raises:
        InvalidInput: It has more or fewer bytes than ``size``.
    """
    done = 0
    progress(Update(task=task, done=0, total=size))
    with open_source() as stream:
        while piece := stream.read(_CHUNK):
            if done + len(piece) > size:
                raise _changed(task, size)
            yield piece
            done += len(piece)
            progress(Update(task=task, done=done, total=size))
    if done < size:
        raise _changed(task, size)


def _changed(task: str, size: int) -> InvalidInput:
    return InvalidInput(
        f"{task} failed: the file no longer has the {size:,} bytes that it had",
        hint="something writes to it: wait until that is done, then run the same command again",
    )
