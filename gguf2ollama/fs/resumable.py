"""Write a large file so that a call after a kill continues where the last one stopped."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gguf2ollama.environment import boot_id
from gguf2ollama.fs.atomic import (
    atomic_file,
    clear_abandoned,
    publish,
    require_writable,
    sync_folder,
    temporary_path,
)
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.space import check_free_space, reserve

__all__ = ["resumable_file"]


@contextlib.contextmanager
def resumable_file(
    target: Path, *, identity: bytes, size: int, replace: bool = True
) -> Iterator[tuple[BinaryIO, int]]:
    """Open a temporary file as :func:`atomic_file` does; after a kill, the next call resumes it.

    The name of the temporary file identifies the bytes that it will hold, so that only a call for the same
    bytes finds it. What was written before a kill is certain to be there, since it is in the system's cache;
    after a crash of the system it is not. So the name also identifies the boot of the system. Where that is
    unknown, or files cannot be locked (outside Linux), each call starts over.

    A new file reaches the disk when the system writes it back, some seconds later, as with ``cp``. One that
    replaces another is on disk (fsync) before the rename.

    Args:
        target: The path of the file.
        identity: Bytes that differ for each content.
        size: Bytes of the file.
        replace: Whether an existing file may be replaced; see :func:`atomic_file`.

    Yields:
        The file, unbuffered if it can be resumed, positioned behind the bytes that it has already; and their
        number. They must stay as they are, and the rest must be written in order.

    Raises:
        NotEnoughSpace: The disk filled up, or has too few bytes free for the rest.
        NotFound: The folder of ``target`` does not exist.
        UsageProblem: ``target`` exists and ``replace`` is false, or it cannot be written.
    """
    require_writable(target, replace=replace)
    path = _resumable_path(target, identity)
    part = None if path is None else _open_locked(path)
    if path is None or part is None:
        with atomic_file(target, replace=replace, size=size, is_durable=False) as stream:
            yield stream, 0
        return
    with disk_errors(target), part:
        try:
            clear_abandoned(path.parent, target.name, but=path.name)
            found = os.fstat(part.fileno())
            check_free_space(path.parent, size - getattr(found, "st_blocks", 0) * 512)
            reserve(part, size)
            done = part.seek(0, os.SEEK_END)
            yield part, done
            is_durable = os.path.lexists(target)
            if is_durable:
                os.fsync(part.fileno())
            # while it is locked: after that, another call may begin a file of this name
            publish(path, target, replace=replace)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    if is_durable:
        sync_folder(target.parent)


def _resumable_path(target: Path, identity: bytes) -> Path | None:
    """Return the temporary file of these bytes until the next boot; ``None`` where the boot is unknown.

    Checksums suffice to distinguish what one user writes under one name; hashlib takes longer to import.
    """
    import zlib  # noqa: PLC0415 - for large files alone

    if (start := boot_id()) is None:
        return None
    sums = zlib.crc32(identity, zlib.crc32(start)), zlib.adler32(identity, zlib.adler32(start))
    return temporary_path(target, folder=target.parent, mark=f"{sums[0]:08x}{sums[1] & 0xFFFF:04x}")


def _open_locked(path: Path) -> Any:  # noqa: ANN401 - a raw file, which is a BinaryIO to all who use it
    """Open a temporary file that may exist; ``None`` when it is in use, or others may have access to it."""
    # not filelock's lock: it opens a file of its own, and it is this very inode that must be ours alone
    try:
        fcntl: Any = importlib.import_module("fcntl")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (ImportError, OSError):  # atomic_file reports it
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, named = os.fstat(handle), path.stat(follow_symlinks=False)
        # one with a second name is a model already, and one of another user may hold anything
        is_ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
        if is_ours and (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino):
            return os.fdopen(handle, "r+b", buffering=0)
    except OSError:
        pass
    os.close(handle)
    return None
