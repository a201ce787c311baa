"""Write a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gguf2ollama.errors import NotEnoughSpace, NotFound, UsageProblem

__all__ = [
    "already_there",
    "atomic_file",
    "can_share",
    "check_free_space",
    "clear_abandoned",
    "disk_errors",
    "free_bytes",
    "publish_new",
    "resumable_file",
    "sync_folder",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ABANDONED_AFTER = 3600.0  # seconds without a write, as Ollama clears what it left itself
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_FICLONERANGE = 0x4020940D  # linux/fs.h
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h


@contextlib.contextmanager
def atomic_file(
    target: Path,
    *,
    replace: bool = True,
    size: int | None = None,
    folder: Path | None = None,
    is_durable: bool = True,
) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``target`` that takes its name when the block ends well.

    When the block raises, or the process is interrupted, the temporary file is removed and what was at
    ``target`` stays as it was. What a process that was killed left of the same file an hour ago or more is
    removed as well.

    Args:
        target: Where the file is to be.
        replace: Whether a file that is there already may be replaced. When it may not, the check is made
            both before the work and, atomically, at its end.
        size: Bytes that will be written, to reserve them at the start; ``None`` when not known.
        folder: Where the temporary file is made, on the same file system; beside ``target`` by default.
        is_durable: Whether the bytes are on disk (fsync) before the name is. If not, they are that only
            where they replace a file, which a power cut must not take along with the new one.

    Raises:
        NotEnoughSpace: The disk filled up, or has less than ``size`` bytes free.
        NotFound: The folder of ``target`` is not there.
        UsageProblem: ``target`` is there and ``replace`` is false, or it cannot be written.
    """
    _refuse(target, replace=replace)
    folder = folder or target.parent
    clear_abandoned(folder, target.name)
    if size is not None:
        check_free_space(target.parent, size)
    temporary = _temporary(target, folder=folder)
    try:
        with disk_errors(target), temporary.open("x+b") as stream:
            if size:
                _reserve(stream, size)
            yield stream
            stream.flush()
            is_durable = is_durable or os.path.lexists(target)
            if is_durable:
                os.fsync(stream.fileno())
        _publish(temporary, target, replace=replace)
    finally:
        temporary.unlink(missing_ok=True)
    if is_durable:
        sync_folder(target.parent)


@contextlib.contextmanager
def resumable_file(
    target: Path, *, identity: bytes, size: int, replace: bool = True
) -> Iterator[tuple[BinaryIO, int]]:
    """Open a temporary file as :func:`atomic_file` does; after a kill, the next call goes on with it.

    The name of the temporary file tells what it is to become, so that only a call for the same bytes finds
    it. What was written before a kill is surely there, since the system holds it; after the system itself
    went down it is not. So the name also tells since when the system runs, and where that cannot be told
    (or files cannot be locked: outside Linux) each call begins anew.

    A new file is on disk when the system writes it back, some seconds later, as with ``cp``. One that
    replaces another is there (fsync) before it takes the name.

    Args:
        target: Where the file is to be.
        identity: What tells the bytes to be written from any others.
        size: How many they are.
        replace: As :func:`atomic_file` takes it.

    Yields:
        The file, unbuffered where it can be gone on with; and how many of its bytes are there, which are to
        be left as they are. It stands behind them, and has to be written in order.

    Raises:
        NotEnoughSpace: The disk filled up, or has too few bytes free for what is left.
        NotFound: The folder of ``target`` is not there.
        UsageProblem: ``target`` is there and ``replace`` is false, or it cannot be written.
    """
    _refuse(target, replace=replace)
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
            _reserve(part, size)
            done = part.seek(0, os.SEEK_END)
            yield part, done
            is_durable = os.path.lexists(target)
            if is_durable:
                os.fsync(part.fileno())
            # while it is locked: after that, another call may begin a file of this name
            _publish(path, target, replace=replace)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    if is_durable:
        sync_folder(target.parent)


def can_share(source: int, target: int) -> bool:
    """Return whether a file system can let two open files share bytes.

    It is asked for it in a way that it must refuse: one that can (Btrfs, XFS, NFS) says that the numbers are
    wrong, others that they do not know the call, or that the files are apart (ioctl_ficlonerange(2)).
    """
    if sys.platform != "linux":
        return False
    fcntl: Any = importlib.import_module("fcntl")
    try:
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("=qQQQ", source, 1, 1, 1))
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def free_bytes(folder: Path) -> int:
    """Return the bytes that a user other than root may still write to the file system of a folder.

    Raises:
        NotFound: The folder is not there.
    """
    with disk_errors(folder):
        if hasattr(os, "statvfs"):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
        import shutil  # noqa: PLC0415 - slow to import, and what it does elsewhere stands above

        return shutil.disk_usage(folder).free


def check_free_space(folder: Path, needed: int) -> None:
    """Raise when the file system of ``folder`` has fewer than ``needed`` bytes free.

    Raises:
        NotEnoughSpace: Fewer bytes are free than needed.
        NotFound: The folder is not there.
    """
    free = free_bytes(folder)
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


def clear_abandoned(folder: Path, name: str | None = None, *, but: str | None = None) -> None:
    """Remove the temporary files to which nobody has written for an hour.

    Args:
        folder: Where they are.
        name: Of which file; of all when it is not given.
        but: The name of one that stays.
    """
    ours = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{12}}\.part")
    oldest = time.time() - _ABANDONED_AFTER
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not ours.fullmatch(entry.name) or entry.name == but:
                continue
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry.path).unlink(missing_ok=True)


def _refuse(target: Path, *, replace: bool) -> None:
    if not replace and target.exists():
        raise already_there(target)
    if target.is_dir():
        raise UsageProblem(f"{target} is a folder, a file was to be written there", hint="name a file in it")


def _temporary(target: Path, *, folder: Path, mark: str | None = None) -> Path:
    return folder / f".{target.name}.{mark or os.urandom(6).hex()}.part"


def _publish(temporary: Path, target: Path, *, replace: bool) -> None:
    with disk_errors(target):
        if replace:
            temporary.replace(target)
        else:
            publish_new(temporary, target)


def _resumable_path(target: Path, identity: bytes) -> Path | None:
    """Name the temporary file of these bytes as long as this system runs; ``None`` where that is not told.

    A checksum tells apart what one user writes under one name; hashlib takes longer to import than that.
    """
    import zlib  # noqa: PLC0415 - for large files alone

    try:
        start = _BOOT.read_bytes()
    except OSError:
        return None
    sums = zlib.crc32(identity, zlib.crc32(start)), zlib.adler32(identity, zlib.adler32(start))
    return _temporary(target, folder=target.parent, mark=f"{sums[0]:08x}{sums[1] & 0xFFFF:04x}")


def _open_locked(path: Path) -> Any:  # noqa: ANN401 - a raw file, which is a BinaryIO to all who use it
    """Open a temporary file that may be there; ``None`` when it is in use, or may not be ours alone."""
    try:
        fcntl: Any = importlib.import_module("fcntl")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except (ImportError, OSError):  # whatever it is, the usual way tells
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


def _reserve(stream: BinaryIO, size: int) -> None:
    """Reserve bytes beyond the end where the system can, so that a full disk is found before the work.

    The file does not seem longer for it, so that its length is what was written. Not by
    ``posix_fallocate``, which makes it longer, and writes to every block where the file system cannot; and
    not where bytes may be shared instead, since Btrfs would keep what was reserved for them.
    """
    if sys.platform != "linux" or can_share(stream.fileno(), stream.fileno()):
        return
    import ctypes  # noqa: PLC0415 - for files whose size is known

    libc = ctypes.CDLL(None, use_errno=True)
    reserve = getattr(libc, "fallocate64", None) or libc.fallocate
    reserve.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if reserve(stream.fileno(), _KEEP_SIZE, 0, size) and (code := ctypes.get_errno()) in _FULL:
        raise OSError(code, os.strerror(code))


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
