"""Write several files: all of them, or none."""

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
    """Create a hidden folder within ``folder``, on the same file system; it is removed with its contents.

    Raises:
        NotFound: The folder does not exist.
        UsageProblem: It is not writable.
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
    """Rename staged files to their targets; if one cannot be renamed, all are restored.

    Raises:
        UsageProblem: A target exists and ``replace`` is false.
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
