"""What thousands of tests share or leave out.

They share a process that renders chat templates and what was chosen and learnt for a chat template, and leave
out waits for the disk and before a retry, and most of the conversations that a build tries on the server.
"""

import itertools
import os
import threading
from datetime import date

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.reference.limits import Limits
from gguf2ollama.chat.reference.process import WorkerProcess
from gguf2ollama.chat.synthesis import synthesise
from gguf2ollama.net.retry import RETRY_PAUSES, Budget
from gguf2ollama.ollama import client as ollama_client
from gguf2ollama.verification import prompt_check


class _Lent:
    """A worker process whose end is not its end: the next renderer goes on with it."""

    def __init__(self, worker, lock):
        self._worker = worker
        self._lock = lock

    def ask(self, message):
        with self._lock:
            return self._worker.ask(message)

    def begin(self):
        """It runs, or starts when it is asked."""

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
def _same_choice():
    """Choose for one and the same question once a day, and learn a chat template once.

    Both are told all in the question and the day, and give values that cannot be changed. Tests of learning
    itself call it by its own name, and learn anew.
    """
    chosen, learnt = {}, {}

    def choose(question, *, renderer):
        key = repr(question), date.today()  # noqa: DTZ011 - as the choice has it
        if key not in chosen:
            chosen[key] = choose_template(question, renderer=renderer)
        return chosen[key]

    def learn(renderer, authors, *, with_tools):
        key = repr(authors), with_tools
        if key not in learnt:
            learnt[key] = synthesise(renderer, authors, with_tools=with_tools)
        return learnt[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gguf2ollama.planning.templates.template_selection.choose_template", choose)
        patch.setattr("gguf2ollama.chat.synthesis.synthesise", learn)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk():
    """Let the system write when it likes: no test takes the power away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_wait_before_a_retry():
    """Retry at once where the usual pauses are meant, and as often as with them."""
    usual = RETRY_PAUSES, ollama_client._RETRY_PAUSES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gguf2ollama.net.client.Budget",
            lambda pauses: Budget([0.0] * len(pauses) if pauses in usual else pauses),
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def _few_conversations():
    """Try a few conversations of each feature on a server, as each is a request.

    A choice is made by all of them as ever. Tests of the comparison itself use ``all_conversations``.
    """
    few = [
        conversation
        for _, alike in itertools.groupby(battery(), key=lambda conversation: conversation.feature)
        for conversation in itertools.islice(alike, 2)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompt_check, "battery", lambda: few)
        yield


@pytest.fixture
def all_conversations(monkeypatch):
    """Have a server tried with all conversations, as in earnest."""
    monkeypatch.setattr(prompt_check, "battery", battery)


@pytest.fixture
def own_worker(monkeypatch):
    """Have each renderer of the test start a process of its own, and choose anew, as in earnest."""
    monkeypatch.setattr("gguf2ollama.chat.reference.renderer.WorkerProcess", WorkerProcess)
    monkeypatch.setattr("gguf2ollama.planning.templates.template_selection.choose_template", choose_template)
    monkeypatch.setattr("gguf2ollama.chat.synthesis.synthesise", synthesise)
