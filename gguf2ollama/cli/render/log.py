"""Show log records: of this package with ``--verbose``, of libraries their warnings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Protocol

__all__ = ["handle_records"]

_PACKAGE = "gguf2ollama"


class Write(Protocol):
    """Write one line to the user."""

    def __call__(self, text: str, *, is_warning: bool) -> None: ...


class _Handler(logging.Handler):
    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self._line(record), is_warning=record.levelno >= logging.WARNING)
        except Exception:  # noqa: BLE001 - what is logged must not end what is done
            self.handleError(record)

    @staticmethod
    def _line(record: logging.LogRecord) -> str:
        room = record.name.removeprefix(f"{_PACKAGE}.")
        return f"{room}: {record.getMessage()}"


@contextlib.contextmanager
def handle_records(write: Write, *, verbose: bool) -> Iterator[None]:
    """Hand what is logged while the block runs to ``write``, from all threads.

    With ``verbose`` all records of this package, else its warnings; of other packages always their warnings,
    which Python would otherwise write to stderr as bare lines.
    """
    handler = _Handler(write)
    root, ours = logging.getLogger(), logging.getLogger(_PACKAGE)
    before = ours.level
    root.addHandler(handler)
    if verbose:
        ours.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)
