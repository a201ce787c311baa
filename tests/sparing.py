"""What thousands of tests share or leave out: a process that renders chat templates, waits for the disk."""

import os
import threading

import pytest

from gguf2ollama.chat.reference.limits import Limits
from gguf2ollama.chat.reference.process import WorkerProcess


class _Lent:
    """A worker process whose end is not its end: the next renderer goes on with it."""

    def __init__(self, worker, lock):
        self._worker = worker
        self._lock = lock

    def ask(self, message, *, answers=1):
        with self._lock:
            return self._worker.ask(message, answers=answers)

    def close(self):
        """Leave it to the next."""


@pytest.fixture(scope="session", autouse=True)
def _one_worker():
    """Lend all renderers of the usual limits one process: to start one takes a tenth of a second.

    A renderer with limits of its own gets a process of its own.
    """
    worker, lock = WorkerProcess(Limits()), threading.Lock()

    def start(limits):
        return _Lent(worker, lock) if limits == Limits() else WorkerProcess(limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gguf2ollama.chat.reference.renderer.WorkerProcess", start)
        yield
    worker.close()


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk():
    """Let the system write when it likes: no test takes the power away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def own_worker(monkeypatch):
    """Have each renderer of the test start a process of its own, as they do in earnest."""
    monkeypatch.setattr("gguf2ollama.chat.reference.renderer.WorkerProcess", WorkerProcess)
