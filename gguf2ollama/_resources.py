"""Find the templates: in the installed package, or in the checkout of an editable install."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["templates_root"]


@cache
def templates_root() -> Path:
    """Return the folder with ``modelfile/``, ``chat/`` and ``profiles/``.

    Raises:
        FileNotFoundError: The installation is broken: neither the wheel's copy nor a checkout is there.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_templates"
    if packaged.is_dir():
        return packaged
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "templates").is_dir():
        return checkout / "templates"
    raise FileNotFoundError(f"gguf2ollama's templates are missing in {package}; install it again")
