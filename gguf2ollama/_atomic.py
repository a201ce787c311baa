"""Write a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import NotEnoughSpace, NotFound, UsageProblem

__all__ = [
    "already_there",
    "atomic_file",
    "check_free_space",
    "clear_abandoned",
    "disk_errors",
    "publish_new",
    "sync_folder",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ABANDONED_AFTER = 3600.0  # seconds without a write, as Ollama clears what it left itself


@contextlib.contextmanager
def atomic_file(
    target: Path, *, replace: bool = True, size: int | None = None, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``target`` that takes its name when the block ends well.

    The bytes are on disk (fsync) before the name is. When the block raises, or the process is
    interrupted, the temporary file is removed and what was at ``target`` stays as it was. What a process
    that was killed left of the same file an hour ago or more is removed as well.

    Args:
        target: Where the file is to be.
        replace: Whether a file that is there already may be replaced. When it may not, the check is made
            both before the work and, atomically, at its end.
        size: Bytes that will be written, to reserve them at the start; ``None`` when not known.
        folder: Where the temporary file is made, on the same file system; beside ``target`` by default.

    Raises:
        NotEnoughSpace: The disk filled up, or has less than ``size`` bytes free.
        NotFound: The folder of ``target`` is not there.
        UsageProblem: ``target`` is there and ``replace`` is false, or it cannot be written.
    """
    if not replace and target.exists():
        raise already_there(target)
    if target.is_dir():
        raise UsageProblem(f"{target} is a folder, a file was to be written there", hint="name a file in it")
    if size is not None:
        check_free_space(target.parent, size)
    folder = folder or target.parent
    clear_abandoned(folder, target.name)
    temporary = folder / f".{target.name}.{secrets.token_hex(6)}.part"
    try:
        with disk_errors(target), temporary.open("x+b") as stream:
            if size:
                _reserve(stream, size)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with disk_errors(target):
            if replace:
                temporary.replace(target)
            else:
                publish_new(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def check_free_space(folder: Path, needed: int) -> None:
    """Raise when the file system of ``folder`` has fewer than ``needed`` bytes free.

    Raises:
        NotEnoughSpace: Fewer bytes are free than needed.
        NotFound: The folder is not there.
    """
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughSpace(
            f"{folder} has {free:,} bytes free, {needed:,} are needed",
            hint="free some space there, or choose another disk",
        )


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into ours, naming ``path``.

    Raises:
        NotEnoughSpace: The disk or a quota is full.
        NotFound: The path is not there.
        UsageProblem: It may not be written, or is a folder, or is on a read-only file system.
    """
    try:
        yield
    except NotEnoughSpace:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise NotEnoughSpace(
                f"the disk is full while writing {path}",
                hint="free some space there, or choose another disk; nothing half written was left",
            ) from error
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise NotFound(f"{error.filename or path} is not there") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR}:
            raise UsageProblem(
                f"{error.filename or path} cannot be used: {error.strerror}", hint="check its permissions"
            ) from error
        raise


def clear_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of ``atomic_file`` to which nobody has written for an hour.

    Args:
        folder: Where they are.
        name: Of which file; of all when it is not given.
    """
    ours = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{12}}\.part")
    oldest = time.time() - _ABANDONED_AFTER
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry.path).unlink(missing_ok=True)


def _reserve(stream: BinaryIO, size: int) -> None:
    """Reserve the bytes where the system can, so that a full disk is found before the work."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            if error.errno in _FULL:
                raise


def publish_new(temporary: Path, target: Path) -> None:
    """Rename, and never over a file that came to be there meanwhile.

    Raises:
        UsageProblem: The target is there.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise already_there(target) from None
    except OSError:
        # a file system without hard links: a look just before has to do
        if os.path.lexists(target):
            raise already_there(target) from None
        temporary.rename(target)
    else:
        temporary.unlink()


def already_there(target: Path) -> UsageProblem:
    """Make the error of a target that may not be replaced."""
    return UsageProblem(f"{target} is there already", hint="remove it, choose another name, or pass --force")


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable, where folders can be synchronised."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
