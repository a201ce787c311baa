"""Write several files so that all of them are there, or none."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import UsageProblem

__all__ = ["already_there", "publish", "staging_folder"]


@contextlib.contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder within ``folder``, on the same file system; it is removed with what is left in it.

    Raises:
        NotFound: The folder is not there.
        UsageProblem: It cannot be written to.
    """
    place = folder / f".gguf2ollama-{secrets.token_hex(6)}.part"
    with disk_errors(folder):
        place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(staged: Sequence[Path], targets: Sequence[Path], *, replace: bool) -> None:
    """Give staged files their names. When one cannot have its name, all is as it was before.

    Raises:
        UsageProblem: A target is there and ``replace`` is false.
    """
    with contextlib.ExitStack() as undo:
        for number, (path, target) in enumerate(zip(staged, targets, strict=True)):
            if replace and os.path.lexists(target):
                backup = path.with_name(f"replaced-{number}")
                target.rename(backup)
                undo.callback(backup.replace, target)
            _move(path, target)
            undo.callback(target.rename, path)
        undo.pop_all()
    _sync(targets[0].parent)


def already_there(target: Path) -> UsageProblem:
    """Make the error of a target that may not be replaced."""
    return UsageProblem(f"{target} is there already", hint="remove it, choose another name, or pass --force")


def _move(path: Path, target: Path) -> None:
    """Rename, and never over a file that came to be there meanwhile."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise already_there(target) from None
    except OSError:
        # a file system without hard links
        if os.path.lexists(target):
            raise already_there(target) from None
        path.rename(target)
    else:
        path.unlink()


def _sync(folder: Path) -> None:
    """Make the names durable, where folders can be synchronised."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
