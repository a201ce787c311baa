"""Turn the operating system's errors into ours, with the path that the user knows."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace, NotFound, UsageProblem

__all__ = ["FULL", "disk_errors"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The error numbers of a full disk, a used-up quota and a file that the file system cannot hold."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR}
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
        if error.errno in FULL:
            raise NotEnoughSpace(
                f"cannot write {path}: the disk is full",
                hint="free some space there, or choose another disk; no partial file was left behind",
            ) from error
        subject = f"{action} {path}" if action else _shown(error, path)
        if error.errno in _ABSENT:
            raise NotFound(f"{subject}: no such file") from error
        if error.errno in _REFUSED:
            problem = (error.strerror or str(error)).lower()
            raise UsageProblem(f"{subject}: {problem}", hint="check its permissions") from error
        raise


def _shown(error: OSError, path: Path) -> str | Path:
    name = error.filename
    return path if not isinstance(name, str) or _HIDDEN.fullmatch(Path(name).name) else name
