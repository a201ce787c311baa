"""Copy bytes from file to file by the quickest way the system has."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.ggufio.ranges import FileRange, Zeros
from gguf2ollama.ggufio.reader import GgufFile
from gguf2ollama.progress import Progress, Update

__all__ = ["CHANGED", "Meter", "copy_range", "copy_ranges", "open_unchanged", "refuse_inputs", "write_all"]

_STEP_BYTES = 32 << 20  # between two reports of progress
_BUFFER_BYTES = 1 << 20
CHANGED = "wait until it is written, then try again"
_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}


@contextlib.contextmanager
def open_unchanged(path: Path, gguf: GgufFile) -> Iterator[io.FileIO]:
    """Open a file whose header was read before, and make sure that it is the same until the block ends.

    Raises:
        InvalidGguf: Its size or time of change is not what it was.
        NotFound: It is gone.
    """
    with disk_errors(path):
        stream = path.open("rb", buffering=0)
    with stream:
        _require_unchanged(stream, path, gguf)
        yield stream
        _require_unchanged(stream, path, gguf)


def copy_range(
    source: io.FileIO, target: BinaryIO, *, offset: int, length: int, report: Callable[[int], None]
) -> None:
    """Append a range of one file to another at its descriptor's position, past any buffer.

    Uses ``copy_file_range`` where the system and the file systems have it, which shares the bytes instead of
    copying them where it can; else reads and writes.

    Args:
        source: An unbuffered file.
        target: A file; nothing may be left in its buffer.
        offset: Where the range begins.
        length: Bytes of the range.
        report: Told the bytes of each step when it is done.

    Raises:
        InvalidGguf: The source ends within the range.
    """
    end = offset + length
    if hasattr(os, "copy_file_range"):
        while offset < end:
            try:
                count = os.copy_file_range(
                    source.fileno(), target.fileno(), min(end - offset, _STEP_BYTES), offset
                )
            except OSError as error:
                if error.errno not in _UNABLE:
                    raise
                break
            if count == 0:
                break
            offset += count
            report(count)
    _read_and_write(source, target, offset=offset, end=end, report=report)


def write_all(target: BinaryIO, content: bytes | memoryview) -> None:
    """Write to the descriptor's position, past any buffer."""
    left = memoryview(content)
    while left:
        left = left[os.write(target.fileno(), left) :]


def copy_ranges(
    source: io.FileIO, ranges: Iterable[FileRange | Zeros], target: BinaryIO, report: Callable[[int], None]
) -> None:
    """Append ranges of one file, and the zeros between them, to another."""
    for each in ranges:
        if isinstance(each, FileRange):
            copy_range(source, target, offset=each.offset, length=each.length, report=report)
        else:
            for start in range(0, each.length, _BUFFER_BYTES):
                write_all(target, bytes(min(_BUFFER_BYTES, each.length - start)))
            report(each.length)


def refuse_inputs(target: Path, inputs: Iterable[Path]) -> None:
    """Check that a file to be written is none of those to be read, by whatever name or link.

    Raises:
        UsageProblem: It is one of them.
    """
    for path in inputs:
        with contextlib.suppress(FileNotFoundError):
            if target.samefile(path):
                raise UsageProblem(
                    f"{target} cannot be written: it is {path}, which is read", hint="choose another name"
                )


class Meter:
    """Add up the bytes done and report them."""

    def __init__(self, task: str, total: int, progress: Progress) -> None:
        self._task = task
        self._total = total
        self._progress = progress
        self._done = 0

    def __call__(self, count: int) -> None:
        """Report that so many bytes more are done."""
        self._done += count
        self._progress(Update(task=self._task, done=self._done, total=self._total))


def _read_and_write(
    source: io.FileIO, target: BinaryIO, *, offset: int, end: int, report: Callable[[int], None]
) -> None:
    if offset == end:
        return
    source.seek(offset)
    while offset < end:
        chunk = source.read(min(end - offset, _BUFFER_BYTES))
        if not chunk:
            raise InvalidGguf(f"{source.name} ended at byte {offset:,} while it was read", hint=CHANGED)
        write_all(target, chunk)
        offset += len(chunk)
        report(len(chunk))


def _require_unchanged(stream: BinaryIO, path: Path, gguf: GgufFile) -> None:
    status = os.fstat(stream.fileno())
    if (status.st_size, status.st_mtime_ns) != (gguf.size, gguf.modified_ns):
        raise InvalidGguf(f"{path} was changed while it was read", hint=CHANGED)
