"""Retry what failed temporarily: the only retry loop.

An error says itself whether a retry may succeed (``ServerProblem.retry_after``): set by
:class:`~gguf2ollama.net.client.HttpClient` for a request that may be repeated (GET and HEAD; any other only
where it surely was not sent), when a connection was lost or stalled, and for HTTP 429, 500, 502, 503
and 504.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gguf2ollama.errors import ServerProblem

__all__ = ["LONGEST_PAUSE", "RETRY_PAUSES", "Budget", "parse_retry_after", "retry"]

RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each retry."""

LONGEST_PAUSE = 60.0
"""Seconds that a server may ask us to wait (``Retry-After``); where it asks for more, its error is final."""

_NOTE_FROM = 5.0  # seconds of pause that a user should know of
_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)


class Budget:
    """The attempts that are left; all are there again after each progress.

    Args:
        pauses: Seconds before each new attempt.
    """

    def __init__(self, pauses: Sequence[float]) -> None:
        self._pauses = tuple(pauses)
        self._used = 0

    def progress(self) -> None:
        """Note that bytes arrived which will not be requested again."""
        self._used = 0

    def next_pause(self) -> float | None:
        """Take one attempt; return the seconds before it, or ``None`` when none is left."""
        if self._used == len(self._pauses):
            return None
        self._used += 1
        return self._pauses[self._used - 1]


def retry(
    attempt: Callable[[], _T],
    *,
    budget: Budget,
    when: Callable[[ServerProblem], bool],
    closed: threading.Event,
    notify: Callable[[str], None],
) -> _T:
    """Return what an attempt returns; try again while its error allows and the budget lasts.

    Args:
        attempt: Sends the request and reads the answer; reports progress to the budget.
        budget: The attempts that are left.
        when: What has to hold of an error that another attempt may follow.
        closed: Ends a pause at once, with the error that led to it.
        notify: Called with a sentence where a pause is long enough to be noticed.

    Raises:
        Gguf2OllamaError: What the last attempt raised.
    """
    while True:
        try:
            return attempt()
        except ServerProblem as problem:
            after = problem.retry_after
            if after is None or after > LONGEST_PAUSE or not when(problem):
                raise
            pause = budget.next_pause()
            if pause is None:
                raise
            pause = max(pause, after)
            _LOG.warning("%s; retrying in %g s", problem, round(pause, 1))
            if pause >= _NOTE_FROM:
                notify(f"{problem}; retrying in {pause:.0f} s")
            if closed.wait(pause):
                raise


def parse_retry_after(text: str) -> float:
    """Read ``Retry-After`` (RFC 9110, 10.2.3): seconds, or a date; return 0 for anything else."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - seldom needed

    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return 0.0
