"""Write a file from ranges of GGUF files, which must not change meanwhile, and given bytes."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.sharing import CHANGED, copy_range, write_all
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Range
from gguf2ollama.ggufio.reader import GgufFile

__all__ = ["Meter", "open_unchanged", "refuse_inputs", "write_ranges"]

_BUFFER_BYTES = 1 << 20  # larger ones are slower: they fit no cache of a core


@contextlib.contextmanager
def open_unchanged(path: Path, gguf: GgufFile) -> Iterator[io.FileIO]:
    """Open a file whose header was read before, and check before and after the block that it did not change.

    Raises:
        FileChanged: Its size or modification time has changed.
        NotFound: It no longer exists.
    """
    with disk_errors(path):
        stream = path.open("rb", buffering=0)
    with stream:
        _require_unchanged(stream, path, gguf)
        yield stream
        _require_unchanged(stream, path, gguf)


def write_ranges(
    target: BinaryIO,
    ranges: Iterable[Range],
    sources: Mapping[Path, GgufFile],
    *,
    report: Callable[[int], None],
) -> None:
    """Append ranges to a file.

    Args:
        target: A file whose buffer is empty.
        ranges: The ranges, in order.
        sources: The headers, read before, of the files of the ranges.
        report: Called with the number of bytes of each step when it is done.

    Raises:
        FileChanged: A source has changed since its header was read.
        NotFound: A source no longer exists.
    """
    path, source = None, None
    with contextlib.ExitStack() as opened:
        for part in ranges:
            if isinstance(part, FileRange):
                if source is None or part.path != path:
                    opened.close()
                    path = part.path
                    source = opened.enter_context(open_unchanged(path, sources[path]))
                copy_range(source, target, offset=part.offset, length=part.length, report=report)
                continue
            content = memoryview(part.content) if isinstance(part, GivenBytes) else None
            for start in range(0, part.length, _BUFFER_BYTES):
                end = min(start + _BUFFER_BYTES, part.length)
                write_all(target, bytes(end - start) if content is None else content[start:end])
            report(part.length)


def refuse_inputs(target: Path, inputs: Iterable[Path]) -> None:
    """Check that a file to write is not one of the input files, by any name or link.

    Raises:
        UsageProblem: It is one of them.
    """
    for path in inputs:
        with contextlib.suppress(FileNotFoundError):
            if target.samefile(path):
                raise UsageProblem(
                    f"cannot write {target}: it is the input file {path}",
                    hint="choose another name",
                )


class Meter:
    """A counter of bytes that reports progress."""

    def __init__(self, task: str, total: int, progress: Progress) -> None:
        self._task = task
        self._total = total
        self._progress = progress
        self._done = 0

    def __call__(self, count: int) -> None:
        """Report a number of additional bytes."""
        self._done += count
        self._progress(Update(task=self._task, done=self._done, total=self._total))


def _require_unchanged(stream: BinaryIO, path: Path, gguf: GgufFile) -> None:
    status = os.fstat(stream.fileno())
    if (status.st_size, status.st_mtime_ns) != (gguf.size, gguf.modified_ns):
        changed = FileChanged(f"{path} changed while it was being read", hint=CHANGED)
        # a write sets both times to the same nanosecond
        changed.is_touched = status.st_size == gguf.size and status.st_mtime_ns != status.st_ctime_ns
        raise changed
