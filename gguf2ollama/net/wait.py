"""How long a request waits for bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field

from gguf2ollama._dataclass import dataclass

__all__ = ["NOTE_AFTER", "DeadlineError", "Wait"]

NOTE_AFTER = 5.0
"""Seconds of silence after which the user is notified."""


_SLICE = 1.0  # seconds


class DeadlineError(Exception):
    """The response was not complete in time."""


@dataclass(slots=True, kw_only=True)
class Wait:
    """The patience of one request; handed to its connection in place of a timeout.

    A timeout of each read cannot distinguish work from a hang (a server that hashes 100 GB is silent for
    minutes), nor a slow response from one that drips a byte at a time.

    Attributes:
        idle: Seconds of silence that are a stall.
        deadline: The moment (``time.monotonic``) by which the whole answer is due; ``None``: no limit.
        is_alive: Called after ``idle`` seconds of silence; while it returns true, the wait continues.
        notify: Called once, after ``NOTE_AFTER`` seconds of silence.
    """

    idle: float
    deadline: float | None = None
    is_alive: Callable[[], bool] | None = None
    notify: Callable[[], None] | None = None
    _silent_since: float = field(default_factory=time.monotonic)

    def restart(self) -> None:
        """Note that bytes came, or that the request was sent."""
        self._silent_since = time.monotonic()

    def read(
        self, read: Callable[[float], bytes], *, timed_out: type[Exception], require_open: Callable[[], None]
    ) -> bytes:
        """Return what ``read`` returns, called as often as it takes.

        The wait is cut into slices, as on Windows Ctrl-C is noticed only between two.

        Args:
            read: Reads from a connection; gets the seconds that it may wait.
            timed_out: What it raises when nothing came.
            require_open: Raises if the connection was closed by us.

        Raises:
            DeadlineError: The deadline has passed.
        """
        while not self.is_past_deadline:
            try:
                content = read(max(0.001, min(_SLICE, self.seconds_left())))
            except timed_out:
                require_open()
                if not self.goes_on() and not self.is_past_deadline:
                    raise
            else:
                if not content:
                    require_open()
                self.restart()
                return content
        raise DeadlineError

    def seconds_left(self) -> float:
        """Return the seconds until the next stall, deadline or note: what one read may wait at most."""
        now = time.monotonic()
        left = self._silent_since + self.idle - now
        if self.deadline is not None:
            left = min(left, self.deadline - now)
        if self.notify is not None:
            left = min(left, self._silent_since + NOTE_AFTER - now)
        return left

    @property
    def is_past_deadline(self) -> bool:
        """Whether the answer should have been complete by now."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def goes_on(self) -> bool:
        """Return whether to keep waiting after a read that got nothing; sends the note when it is due."""
        silent = time.monotonic() - self._silent_since
        if self.notify is not None and silent >= NOTE_AFTER:
            notify, self.notify = self.notify, None
            notify()
        if self.is_past_deadline:
            return False
        if silent < self.idle:
            return True
        if self.is_alive is None or not self.is_alive():
            return False
        self.restart()
        return True
