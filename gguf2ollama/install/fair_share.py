"""Which of several threads that each work through some bytes may go on, so that all end together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from itertools import islice

__all__ = ["FairShare", "may_proceed"]

_LEAD = 16 << 20  # bytes; a switch from one thread to another is not worth less
_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits


def may_proceed(key: Hashable, left: Mapping[Hashable, int], *, cores: int, in_order: bool) -> bool:
    """Return whether a piece of work may go on.

    The first may, as many as there are cores, until so few are left that all are under way; from then on
    those with the most left, so that all end together. What has hardly less left goes on beside them.

    Args:
        key: The piece of work.
        left: What is unfinished and how many bytes each has left, in the order in which it was begun.
        cores: How many there are of the processor.
        in_order: Whether the first go first until the end.
    """
    if in_order or len(left) > 2 * cores:
        return key in islice(left, cores)
    mine = left[key]
    return sum(other > mine + _LEAD for other in left.values()) < cores


class FairShare:
    """The turns of threads, each of which works on what has a key of its own.

    Args:
        cores: How many go on at least, where there are as many.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._in_order = False
        self._left: dict[Hashable, int] = {}
        self._changed = threading.Condition()

    def begin(self, key: Hashable, *, size: int) -> None:
        """Add what has so many bytes to work through."""
        with self._changed:
            self._left[key] = size

    def end(self, key: Hashable) -> None:
        """Take away what is done, or given up."""
        with self._changed:
            del self._left[key]
            self._changed.notify_all()

    def keep_order(self) -> None:
        """Let the first go first, so that they are ready early."""
        with self._changed:
            self._in_order = True

    def advance(self, key: Hashable, count: int, *, is_stopped: Callable[[], bool]) -> None:
        """Note that so many bytes are done, and wait for the turn to go on, or for the end of all."""
        with self._changed:
            left = self._left[key]
            self._left[key] = left - count
            if left // _LEAD != (left - count) // _LEAD:
                self._changed.notify_all()
            while not (is_stopped() or self._is_turn(key)):
                self._changed.wait(_WAIT)

    def _is_turn(self, key: Hashable) -> bool:
        return may_proceed(key, self._left, cores=self._cores, in_order=self._in_order)
