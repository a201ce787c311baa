"""Lock files between processes, by what the system has."""

from __future__ import annotations

import errno
import importlib
from typing import Any, BinaryIO

__all__ = ["lock_file"]

_BEYOND = 1 << 10  # bytes: behind the content of a lock's file, which others read


def lock_file(file: BinaryIO, *, wait: bool) -> None:
    """Lock a small file for this process until it is closed, or the process ends.

    Args:
        file: The file; on Windows one byte behind its content is locked, and it is left at its start.
        wait: Whether to wait until nobody else holds it. If not, two processes that only check do not see
            each other, where the system has shared locks.

    Raises:
        OSError: Another process holds it (``BlockingIOError``, ``PermissionError``), or it cannot be locked.
    """
    # not filelock's: it has no shared locks; 3.16 empties the file, which says whose lock it is; where flock
    # fails, its SoftFileLock outlives a kill; and its import takes 40 ms of CPU, in every build
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:
        _lock_byte(file, wait=wait)
    else:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)


def _lock_byte(file: BinaryIO, *, wait: bool) -> None:
    msvcrt: Any = importlib.import_module("msvcrt")
    file.seek(_BEYOND)
    while True:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            break
        except OSError as error:
            if not wait or error.errno != errno.EDEADLK:  # which LK_LOCK raises after ten seconds
                raise
    file.seek(0)
