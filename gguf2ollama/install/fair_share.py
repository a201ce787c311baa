"""Decide which of several threads may proceed through their bytes, so that all finish together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from itertools import islice

__all__ = ["FairShare", "may_proceed"]

_LEAD = 16 << 20  # bytes; switching threads for less is not worth it
_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits


def may_proceed(key: Hashable, left: Mapping[Hashable, int], *, cores: int, in_order: bool) -> bool:
    """Return whether a task may proceed.

    The first tasks may, as many as there are cores, until so few are left that all have started; then those
    with the most bytes left, so that all finish together, and those with hardly fewer.

    Args:
        key: The task.
        left: The bytes left of each unfinished task, in the order in which they started.
        cores: The number of CPU cores.
        in_order: Whether the first tasks take precedence to the end.
    """
    if in_order or len(left) > 2 * cores:
        return key in islice(left, cores)
    mine = left[key]
    return sum(other > mine + _LEAD for other in left.values()) < cores


class FairShare:
    """Shares CPU cores among threads, each of which works on one task.

    Args:
        cores: How many tasks proceed at least, if there are as many.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._in_order = False
        self._left: dict[Hashable, int] = {}
        self._changed = threading.Condition()

    def begin(self, key: Hashable, *, size: int) -> None:
        """Add a task of so many bytes."""
        with self._changed:
            self._left[key] = size

    def end(self, key: Hashable) -> None:
        """Remove a task that is done or cancelled."""
        with self._changed:
            del self._left[key]
            self._changed.notify_all()

    def keep_order(self) -> None:
        """Let the first tasks take precedence, so that they finish early."""
        with self._changed:
            self._in_order = True

    def advance(self, key: Hashable, count: int, *, is_stopped: Callable[[], bool]) -> None:
        """Record that so many bytes are done, and wait until the task may proceed or is stopped."""
        with self._changed:
            left = self._left[key]
            self._left[key] = left - count
            if left // _LEAD != (left - count) // _LEAD:
                self._changed.notify_all()
            while not (is_stopped() or self._may_proceed(key)):
                self._changed.wait(_WAIT)

    def _may_proceed(self, key: Hashable) -> bool:
        return may_proceed(key, self._left, cores=self._cores, in_order=self._in_order)
