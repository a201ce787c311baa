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

from gguf2ollama._text import message_line, printable
from gguf2ollama.events import Progress, Update, ignore

__all__ = ["Output"]

_SHOWN_AFTER = 0.5  # seconds; what is done sooner needs no bar


class Output:
    """The output of one call, as its ``--json``, ``--quiet`` and ``--verbose`` want it.

    Lines for people have their control characters escaped. While progress bars are shown, lines appear above
    them.
    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self._bars: _Bars | None = None

    def data(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write a JSON value to stdout."""
        written = json.dumps(value, indent=2, ensure_ascii=False)
        self._write(printable(written, escape=lambda char: json.dumps(char)[1:-1]))

    def text(self, text: str) -> None:
        """Write text for people to stdout, its control characters escaped."""
        self._write(printable(text))

    def exact(self, text: str, *, newline: bool = True) -> None:
        """Write a result to stdout: byte for byte into a pipe or file, escaped on a terminal."""
        self._write(printable(text) if sys.stdout.isatty() else text, newline=newline)

    def note(self, text: str) -> None:
        """Write a line about what is being done to stderr, unless ``--quiet``."""
        if not self.quiet:
            self._write_above_bars(text)

    def detail(self, text: str) -> None:
        """Write a line to stderr with ``--verbose`` only."""
        if self.verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """Write a warning to stderr; ``--quiet`` does not silence it."""
        self._write_above_bars(f"warning: {text}")

    def confirms(self, question: str) -> bool:
        """Return whether a person at a terminal answers yes; nobody else is asked."""
        if self.as_json or self.quiet or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        click.echo(f"{printable(question)} [y/N] ".encode("utf-8", "backslashreplace"), nl=False, err=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show progress while the block runs, if stderr is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield ignore
            return
        self._bars = bars = _Bars()
        try:
            yield bars.update
        finally:
            self._bars = None
            bars.close()

    @contextlib.contextmanager
    def log_messages(self) -> Iterator[None]:
        """Write what is logged while the block runs: ours with ``--verbose``, of others only warnings."""
        from gguf2ollama.cli.render.log import handle_records  # noqa: PLC0415 - `logging` is not needed for help

        with handle_records(self._log, verbose=self.verbose):
            yield

    def _log(self, text: str, *, is_warning: bool) -> None:
        if is_warning:
            self.warn(text)
        else:
            self.detail(text)

    def _write(self, text: str, *, newline: bool = True) -> None:
        if self._bars is not None:  # stdout may be the same terminal
            self._bars.close()
        click.echo(text.encode("utf-8", "backslashreplace"), nl=newline)

    def _write_above_bars(self, text: str) -> None:
        line = message_line(text)
        if self._bars is None or not self._bars.print(line):
            click.echo(line.encode("utf-8", "backslashreplace"), err=True)


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

    def print(self, line: str) -> bool:
        """Print a line above the bars; return whether there are any."""
        with self._lock:
            if self._display is None:
                return False
            line = line.encode("utf-8", "backslashreplace").decode()
            self._display.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return True

    def close(self) -> None:
        """Leave the bars as they are; later updates begin new ones."""
        with self._lock:
            if self._display is not None:
                self._display.stop()
                self._display = None
                self._bars.clear()

    def _show(self) -> Any:  # noqa: ANN401 - rich's display, imported here alone
        if self._display is None:
            from gguf2ollama.cli.render.bars import make_display  # noqa: PLC0415 - 65 ms that a quick call does not need

            self._display = make_display()
            self._display.start()
        return self._display
