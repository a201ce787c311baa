"""Copy bytes from file to file by the quickest way the system has."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.fs.atomic import can_share, disk_errors
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Range
from gguf2ollama.ggufio.reader import GgufFile

__all__ = ["CHANGED", "Meter", "copy_range", "open_unchanged", "refuse_inputs", "write_all", "write_ranges"]

_STEP_BYTES = 32 << 20  # between two reports of progress
_BLOCK_BYTES = 4096  # what file systems share is made of
_BUFFER_BYTES = 1 << 20  # larger ones are slower: they fit no cache of a core
CHANGED = "wait until it is written, then try again"
_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}


@contextlib.contextmanager
def open_unchanged(path: Path, gguf: GgufFile) -> Iterator[io.FileIO]:
    """Open a file whose header was read before, and make sure that it is the same until the block ends.

    Raises:
        FileChanged: Its size or time of change is not what it was.
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

    A file system that can share bytes between files is asked to (``copy_file_range``): it does where the
    range lies in its blocks in the same way in both files. Elsewhere that call is slower than to read and
    write (on ext4 of Linux 6.18 by a third).

    Args:
        source: An unbuffered file.
        target: A file; nothing may be left in its buffer.
        offset: Where the range begins.
        length: Bytes of the range.
        report: Called with the bytes of each step when it is done.

    Raises:
        FileChanged: The source ends within the range.
    """
    end = offset + length
    can_ask = length >= _BUFFER_BYTES and hasattr(os, "copy_file_range")
    is_shared = can_ask and can_share(source.fileno(), target.fileno())
    while is_shared and offset < end:
        try:
            count = os.copy_file_range(source.fileno(), target.fileno(), _step(offset, end), offset)
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


def write_ranges(
    target: BinaryIO,
    ranges: Iterable[Range],
    sources: Mapping[Path, GgufFile],
    *,
    report: Callable[[int], None],
) -> None:
    """Append all that a file is made of.

    Args:
        target: A file; nothing may be left in its buffer.
        ranges: What it is made of, in order.
        sources: The headers, read before, of the files that ranges are of.
        report: Called with the bytes of each step when it is done.

    Raises:
        FileChanged: A source was changed since its header was read.
        NotFound: One is gone.
    """
    path, source = None, None
    with contextlib.ExitStack() as opened:
        for each in ranges:
            if isinstance(each, FileRange):
                if source is None or each.path != path:
                    opened.close()
                    path = each.path
                    source = opened.enter_context(open_unchanged(path, sources[path]))
                copy_range(source, target, offset=each.offset, length=each.length, report=report)
                continue
            content = memoryview(each.content) if isinstance(each, GivenBytes) else None
            for start in range(0, each.length, _BUFFER_BYTES):
                end = min(start + _BUFFER_BYTES, each.length)
                write_all(target, bytes(end - start) if content is None else content[start:end])
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


def _step(offset: int, end: int) -> int:
    """Return how far to go at once: through whole blocks, which can be shared, or to where they begin."""
    left = min(end - offset, _STEP_BYTES)
    if rest := -offset % _BLOCK_BYTES:
        return min(rest, left)
    return left - left % _BLOCK_BYTES or left


def _read_and_write(
    source: io.FileIO, target: BinaryIO, *, offset: int, end: int, report: Callable[[int], None]
) -> None:
    if offset == end:
        return
    buffer = memoryview(bytearray(min(end - offset, _BUFFER_BYTES)))
    source.seek(offset)
    while offset < end:
        count = source.readinto(buffer[: end - offset])
        if not count:
            raise FileChanged(f"{source.name} ended at byte {offset:,} while it was read", hint=CHANGED)
        write_all(target, buffer[:count])
        offset += count
        report(count)


def _require_unchanged(stream: BinaryIO, path: Path, gguf: GgufFile) -> None:
    status = os.fstat(stream.fileno())
    if (status.st_size, status.st_mtime_ns) != (gguf.size, gguf.modified_ns):
        raise FileChanged(f"{path} was changed while it was read", hint=CHANGED)
