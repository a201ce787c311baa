"""Copy bytes between files by the quickest way the file system has: by sharing them, where it can."""

from __future__ import annotations

import errno
import importlib
import io
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gguf2ollama.errors import FileChanged

__all__ = ["CHANGED", "can_share", "copy_range", "shares_bytes", "write_all"]

CHANGED = "wait until the file is complete, then try again"
"""The hint where a file changes while it is being read."""

_FICLONERANGE = 0x4020940D  # linux/fs.h
_STEP_BYTES = 32 << 20  # between two reports of progress
_BLOCK_BYTES = 4096  # what file systems share is made of
_BUFFER_BYTES = 1 << 20  # larger ones are slower: they fit no cache of a core
_UNABLE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}


def can_share(source: int, target: int) -> bool:
    """Return whether two open files can share bytes (reflinks): on Btrfs, XFS and NFS.

    The request is one that must fail: with ``EINVAL`` where reflinks are supported, with another error where
    they are not, or where the files are on different file systems (ioctl_ficlonerange(2)).
    """
    if sys.platform != "linux":
        return False
    fcntl: Any = importlib.import_module("fcntl")
    try:
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("=qQQQ", source, 1, 1, 1))
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def shares_bytes(folder: Path) -> bool:
    """Return whether files in a folder can share bytes; ``False`` where none can be made there.

    A file without a name is made in it, or in the nearest folder above it that exists.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            return can_share(probe.fileno(), probe.fileno())
    except OSError:
        return False


def copy_range(
    source: io.FileIO, target: BinaryIO, *, offset: int, length: int, report: Callable[[int], None]
) -> None:
    """Append a range of one file to another at its descriptor's position, bypassing any buffer.

    Where files can share bytes, ``copy_file_range`` shares the blocks that lie equally in both files.
    Elsewhere that call is slower than reading and writing (by a third on ext4, Linux 6.18).

    Args:
        source: An unbuffered file.
        target: A file whose buffer is empty.
        offset: The start of the range, in bytes.
        length: Bytes of the range.
        report: Called with the number of bytes of each step when it is done.

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
    """Write to the descriptor's position, bypassing any buffer."""
    left = memoryview(content)
    while left:
        left = left[os.write(target.fileno(), left) :]


def _step(offset: int, end: int) -> int:
    """Return the bytes of the next step: whole blocks, which can be shared, or the rest of the first one."""
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
            raise FileChanged(
                f"{source.name} was truncated at byte {offset:,} while being read", hint=CHANGED
            )
        write_all(target, buffer[:count])
        offset += count
        report(count)
