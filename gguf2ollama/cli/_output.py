"""Where a verb's words go: data to stdout, everything else to stderr, progress to a terminal only."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import click

from gguf2ollama.events import Progress, Update, ignore

__all__ = ["Output"]

_SHOWN_AFTER = 0.5  # seconds; what is done sooner needs no bar


class Output:
    """What one call was told of its output: ``--json``, ``--quiet``, ``--verbose``."""

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    def data(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a JSON value to stdout."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace"))

    def text(self, text: str, *, newline: bool = True) -> None:
        """Write text to stdout; bytes of a file that are no UTF-8 are shown escaped."""
        click.echo(text.encode("utf-8", "backslashreplace"), nl=newline)

    def note(self, text: str) -> None:
        """Return what is being done, unless ``--quiet``."""
        if not self.quiet:
            click.echo(text.encode("utf-8", "backslashreplace"), err=True)

    def detail(self, text: str) -> None:
        """Return what only ``--verbose`` wants to know."""
        if self.verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """Return what may surprise; ``--quiet`` does not silence it."""
        click.echo(f"warning: {text}".encode("utf-8", "backslashreplace"), err=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show progress while the block runs, where there is a terminal to show it on."""
        if self.quiet or not sys.stderr.isatty():
            yield ignore
            return
        bars = _Bars()
        try:
            yield bars.update
        finally:
            bars.close()


class _Bars:
    """Progress bars that appear only for work that takes a while; updates may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._bars: dict[str, Any] = {}
        self._display: Any = None

    def update(self, update: Update) -> None:
        with self._lock:
            if update.task not in self._bars:
                started = self._since.setdefault(update.task, time.monotonic())
                if update.is_complete or time.monotonic() - started < _SHOWN_AFTER:
                    return
                self._bars[update.task] = self._show().add_task(
                    update.task, total=update.total, unit=update.unit
                )
            bar = self._bars[update.task]
            self._display.update(bar, completed=update.done, total=update.total)

    def close(self) -> None:
        with self._lock:
            if self._display is not None:
                self._display.stop()

    def _show(self) -> Any:  # noqa: ANN401 - rich's display, imported here alone
        if self._display is None:
            from gguf2ollama.cli._bars import make_display  # noqa: PLC0415 - 65 ms that a quick call does not need

            self._display = make_display()
            self._display.start()
        return self._display
