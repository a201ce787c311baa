"""Write several files so that all of them are there, or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gguf2ollama.fs.atomic import publish_new, sync_folder
from gguf2ollama.fs.errors import disk_errors

__all__ = ["publish", "staging_folder"]


@contextlib.contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder within ``folder``, on the same file system; it is removed with what is left in it.

    Raises:
        NotFound: The folder is not there.
        UsageProblem: It cannot be written to.
    """
    place = folder / f".gguf2ollama-{os.urandom(6).hex()}.part"
    with disk_errors(folder):
        place.mkdir()
    try:
        yield place
    finally:
        import shutil  # noqa: PLC0415 - slow to import, and all else of this package needs none

        shutil.rmtree(place, ignore_errors=True)


def publish(staged: Sequence[Path], targets: Sequence[Path], *, replace: bool) -> None:
    """Return staged files their names. When one cannot have its name, all is as it was before.

    Raises:
        UsageProblem: A target is there and ``replace`` is false.
    """
    with contextlib.ExitStack() as undo:
        for number, (path, target) in enumerate(zip(staged, targets, strict=True)):
            if replace and os.path.lexists(target):
                backup = path.with_name(f"replaced-{number}")
                target.rename(backup)
                undo.callback(backup.replace, target)
            publish_new(path, target)
            undo.callback(target.rename, path)
        undo.pop_all()
    sync_folder(targets[0].parent)
