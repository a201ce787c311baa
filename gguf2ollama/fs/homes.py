"""Paths below a user's home."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama.errors import UsageProblem

__all__ = ["expand_home", "in_home"]


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with the ``~`` or ``~user`` that it begins with replaced, where that is a user's home."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, UnicodeError):
        return Path(path)  # the "~" may be part of a name


def in_home(*parts: str, variable: str) -> Path:
    """Return a path in the home of this user.

    Args:
        parts: The folders, and the name.
        variable: What names another place, for the error.

    Raises:
        UsageProblem: This user has no home.
    """
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError as error:
        raise UsageProblem(
            "this user has no home directory", hint=f"set HOME, or set {variable} to a directory"
        ) from error
