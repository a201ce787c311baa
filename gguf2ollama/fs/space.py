"""The free space of a file system: asked for before work begins, and reserved for a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import NotEnoughSpace
from gguf2ollama.fs.errors import FULL, disk_errors
from gguf2ollama.fs.sharing import can_share

__all__ = ["check_free_space", "free_bytes", "reserve"]

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h


def free_bytes(folder: Path) -> int:
    """Return the bytes that a user other than root may still write to the file system of a folder.

    Raises:
        NotFound: The folder does not exist.
    """
    with disk_errors(folder):
        if hasattr(os, "statvfs"):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
        import shutil  # noqa: PLC0415 - slow to import, and needed on Windows only

        return shutil.disk_usage(folder).free


def check_free_space(folder: Path, needed: int) -> None:
    """Check that the file system of ``folder`` has at least ``needed`` bytes free.

    Raises:
        NotEnoughSpace: Fewer bytes are free than needed.
        NotFound: The folder does not exist.
    """
    free = free_bytes(folder)
    if free < needed:
        raise NotEnoughSpace(
            f"not enough space in {folder}: {needed:,} bytes needed, {free:,} free",
            hint="free some space there, or choose another disk",
        )


def reserve(stream: BinaryIO, size: int) -> None:
    """Reserve bytes beyond the end of a file where the system can, to detect a full disk before the work.

    The length of the file stays what was written. ``posix_fallocate`` would extend it, and write to every
    block where the file system cannot reserve. Nothing is reserved where bytes can be shared instead, since
    Btrfs would not free the reservation.
    """
    if sys.platform != "linux" or can_share(stream.fileno(), stream.fileno()):
        return
    import ctypes  # noqa: PLC0415 - for files whose size is known

    libc = ctypes.CDLL(None, use_errno=True)
    allocate = getattr(libc, "fallocate64", None) or libc.fallocate
    allocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if allocate(stream.fileno(), _KEEP_SIZE, 0, size) and (code := ctypes.get_errno()) in FULL:
        raise OSError(code, os.strerror(code))
