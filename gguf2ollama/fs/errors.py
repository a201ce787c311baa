"""Turn the operating system's errors into ours, with the path that the user knows."""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace, NotFound, UsageProblem

__all__ = ["FULL", "disk_errors", "open_file", "our_error"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The error numbers of a full disk, a used-up quota and a file that the file system cannot hold."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_REFUSED = {
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EISDIR: "name a file in it",
    errno.EROFS: "choose a place that can be written",
    errno.ELOOP: "remove the symbolic link that leads to itself",
    errno.ENAMETOOLONG: "choose a shorter name",
}
_PASSED = ("/dev/fd/", "/proc/")  # what shells make of <(…)
_HIDDEN = lazy_pattern(r"\..*\.part")


@contextlib.contextmanager
def disk_errors(path: Path, *, action: str = "") -> Iterator[None]:
    """Turn an ``OSError`` of the block into ours.

    The message names the file that the operating system complains of, or ``path`` where that is one of our
    hidden files, which the user does not know.

    Args:
        path: The file or folder that the block uses.
        action: What fails, such as ``"cannot write lock file"``; then the message names ``path`` in any case.

    Raises:
        NotEnoughSpace: The disk or a quota is full.
        NotFound: The path does not exist.
        UsageProblem: It cannot be accessed: permissions, a directory, a read-only file system.
    """
    try:
        yield
    except Gguf2OllamaError:
        raise
    except OSError as error:
        if (known := our_error(error, path, action=action)) is None:
            raise
        raise known from error


def our_error(error: OSError, path: Path, *, action: str = "") -> Gguf2OllamaError | None:
    """Return what an ``OSError`` is for the user, as :func:`disk_errors` has it; ``None`` for any other."""
    if error.errno in FULL:
        return NotEnoughSpace(
            f"cannot write {path}: the disk is full",
            hint="free some space there, or choose another disk; no partial file was left behind",
        )
    subject = f"{action} {path}" if action else _shown(error, path)
    if error.errno in _ABSENT:
        return _absent(subject)
    if (hint := _REFUSED.get(error.errno or 0)) is not None:
        return UsageProblem(f"{subject}: {(error.strerror or str(error)).lower()}", hint=hint)
    return None


def _absent(subject: str | Path) -> NotFound:
    with contextlib.suppress(OSError, ValueError):
        if (path := Path(subject)).is_symlink():
            return NotFound(
                f"{path}: the file that this symbolic link leads to does not exist: {path.readlink()}",
                hint="get the file again, or mount the disk that it is on",
            )
    return NotFound(f"{subject}: no such file")


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file of the user's to read it; errors of the block are those of :func:`disk_errors`.

    Raises:
        UsageProblem: It cannot be read, or is a named pipe, which would wait for whoever writes to it.
    """
    with disk_errors(path):
        if stat.S_ISFIFO(path.stat().st_mode) and not str(path).startswith(_PASSED):
            raise UsageProblem(f"{path} is a named pipe, not a file", hint="save it to a file first")
        with path.open("rb") as stream:
            yield stream


def _shown(error: OSError, path: Path) -> str | Path:
    name = error.filename
    return path if not isinstance(name, str) or _HIDDEN.fullmatch(Path(name).name) else name
