"""Whether a file could be written where the user wants it, asked before any work is done for it."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama.errors import UsageProblem

__all__ = ["require_writable"]


def require_writable(path: Path, *, what: str) -> None:
    """Check that a file can be written, without writing anything.

    Args:
        path: Where the file is to be.
        what: What the file is, for messages: ``lock file``.

    Raises:
        UsageProblem: Its folder is not there or can't be written, or a folder has that name.
    """
    folder = path.parent
    if path.is_dir():
        why = "a directory has that name"
    elif not folder.exists():
        why = "directory does not exist"
    elif not folder.is_dir():
        why = f"{folder} is not a directory"
    elif not os.access(folder, os.W_OK | os.X_OK):
        why = f"no permission to write to {folder}"
    else:
        return
    raise UsageProblem(f"cannot write {what} {path}: {why}", hint="choose another path")
