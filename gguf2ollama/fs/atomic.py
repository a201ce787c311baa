"""Write a file atomically: complete, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.space import check_free_space, reserve

__all__ = [
    "already_exists",
    "atomic_file",
    "clear_abandoned",
    "publish",
    "publish_new",
    "require_writable",
    "sync_folder",
    "temporary_path",
]

_ABANDONED_AFTER = 3600.0  # seconds without a write, as Ollama clears what it left itself


@contextlib.contextmanager
def atomic_file(
    target: Path,
    *,
    replace: bool = True,
    size: int | None = None,
    folder: Path | None = None,
    is_durable: bool = True,
    kind: str = "",
) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to ``target`` when the block succeeds.

    If the block raises, or the process is interrupted, the temporary file is removed and ``target`` stays as
    it was. Temporary files of the same target that a killed process left behind an hour ago or more are
    removed as well.

    Args:
        target: The path of the file.
        replace: Whether an existing file may be replaced. If not, that is checked before the work and,
            atomically, at its end.
        size: Bytes that will be written, to reserve them at the start; ``None`` when not known.
        folder: The folder of the temporary file, on the same file system; that of ``target`` by default.
        is_durable: Whether the bytes are on disk (fsync) before the rename. If not, they are only where they
            replace a file: a power cut must not lose both.
        kind: What the file is, for error messages, such as ``"lock file"``.

    Raises:
        NotEnoughSpace: The disk filled up, or has less than ``size`` bytes free.
        NotFound: The folder of ``target`` does not exist.
        UsageProblem: ``target`` exists and ``replace`` is false, or it cannot be written.
    """
    require_writable(target, replace=replace, kind=kind)
    folder = folder or target.parent
    clear_abandoned(folder, target.name)
    if size is not None:
        check_free_space(target.parent, size)
    temporary = temporary_path(target, folder=folder)
    try:
        with disk_errors(target, action=_action(kind)):
            opened = temporary.open("x+b")
        with disk_errors(target), opened as stream:
            if size:
                reserve(stream, size)
            yield stream
            stream.flush()
            is_durable = is_durable or os.path.lexists(target)
            if is_durable:
                os.fsync(stream.fileno())
        publish(temporary, target, replace=replace)
    finally:
        temporary.unlink(missing_ok=True)
    if is_durable:
        sync_folder(target.parent)


def clear_abandoned(folder: Path, name: str | None = None, *, but: str | None = None) -> None:
    """Remove temporary files that have not been written to for an hour.

    Args:
        folder: The folder they are in.
        name: The name of their target; by default those of all targets are removed.
        but: The name of a temporary file to keep.
    """
    ours = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{12}}\.part")
    oldest = time.time() - _ABANDONED_AFTER
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not ours.fullmatch(entry.name) or entry.name == but:
                continue
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry.path).unlink(missing_ok=True)


def require_writable(target: Path, *, replace: bool = True, kind: str = "") -> None:
    """Check that a file can be written to a path, without writing anything: before the work that fills it.

    Args:
        target: The path of the file.
        replace: Whether an existing file may be replaced.
        kind: What the file is, for error messages, such as ``"lock file"``.

    Raises:
        NotFound: Its folder does not exist.
        UsageProblem: It exists and may not be replaced, or is a folder, or its folder is not writable.
    """
    if not replace and target.exists():
        raise already_exists(target)
    folder = target.parent
    if target.is_dir():
        raise UsageProblem(f"{_action(kind)} {target}: it is a directory", hint="name a file in it")
    if not folder.exists():
        import shlex  # noqa: PLC0415 - for this hint alone

        raise NotFound(
            f"{_action(kind)} {target}: directory does not exist",
            hint=f"create it first: mkdir -p {shlex.quote(str(folder))}",
        )
    if not folder.is_dir():
        raise UsageProblem(f"{_action(kind)} {target}: {folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageProblem(
            f"{_action(kind)} {target}: no permission to write to {folder}", hint="choose another path"
        )


def _action(kind: str) -> str:
    return f"cannot write {kind}" if kind else "cannot write"


def temporary_path(target: Path, *, folder: Path, mark: str | None = None) -> Path:
    """Return the path of a temporary file of ``target``: hidden, with 12 hexadecimal digits in its name."""
    return folder / f".{target.name}.{mark or os.urandom(6).hex()}.part"


def publish(temporary: Path, target: Path, *, replace: bool) -> None:
    """Rename a temporary file to its target.

    Raises:
        UsageProblem: The target exists and ``replace`` is false, or cannot be written.
    """
    with disk_errors(target):
        if replace:
            temporary.replace(target)
        else:
            publish_new(temporary, target)


def publish_new(temporary: Path, target: Path) -> None:
    """Rename a temporary file, but never over a file that has appeared in the meantime.

    Raises:
        UsageProblem: The target exists.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise already_exists(target) from None
    except OSError:
        # a file system without hard links: a check just before the rename has to do
        if os.path.lexists(target):
            raise already_exists(target) from None
        temporary.rename(target)
    else:
        temporary.unlink()


def already_exists(target: Path) -> UsageProblem:
    """Return the error of a target that may not be replaced."""
    return UsageProblem(f"{target} already exists", hint="remove it, choose another name, or pass --force")


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
