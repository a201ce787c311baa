"""Run several tasks in parallel, and stop all when one fails or the user interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["run_parallel"]

_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits
_T = TypeVar("_T")
_R = TypeVar("_R")


class _StoppedError(Exception):
    """Another task failed, so this one is no longer needed."""


def run_parallel(work: Callable[[_T, Callable[[], None]], _R], items: Sequence[_T], *, most: int) -> list[_R]:
    """Return the result of ``work`` for each item, in their order.

    Args:
        work: Gets an item, and a function to call now and then, which raises when the work should stop.
        items: The items.
        most: How many run in parallel.

    Raises:
        Exception: The first that ``work`` raised; by then nothing runs.
    """
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise _StoppedError

    with ThreadPoolExecutor(max_workers=most) as pool:
        futures: list[Future[_R]] = []
        try:
            futures += (pool.submit(work, item, check) for item in items)
            while wait(futures, timeout=_WAIT, return_when=FIRST_EXCEPTION).not_done:
                for future in futures:
                    if future.done():
                        future.result()
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
