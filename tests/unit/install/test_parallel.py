import threading

import pytest

from gguf2ollama.errors import InvalidInput
from gguf2ollama.install.parallel import run_parallel


def test_results_come_in_the_order_of_the_items():
    later = threading.Event()

    def work(item, check):
        if item == "first":
            assert later.wait(10)
        else:
            later.set()
        check()
        return item.upper()

    assert run_parallel(work, ["first", "second"], most=2) == ["FIRST", "SECOND"]


def test_nothing_to_do_gives_nothing():
    assert run_parallel(lambda item, _check: item, [], most=4) == []


def test_a_failure_stops_what_runs_and_is_what_is_raised():
    began, stopped = threading.Event(), threading.Event()

    def work(item, check):
        if item == "failing":
            assert began.wait(10)
            raise InvalidInput("it failed")
        began.set()
        try:
            while not stopped.wait(0.001):
                check()
        finally:
            stopped.set()

    with pytest.raises(InvalidInput, match="it failed"):
        run_parallel(work, ["running", "failing"], most=2)
    assert stopped.is_set()


def test_what_has_not_begun_when_something_fails_is_never_begun():
    begun = []

    def work(item, _check):
        begun.append(item)
        if item == 0:
            raise InvalidInput("it failed")
        threading.Event().wait(0.05)

    with pytest.raises(InvalidInput):
        run_parallel(work, range(100), most=1)
    assert len(begun) < 100


def test_an_interrupt_of_the_waiting_thread_stops_what_runs(monkeypatch):
    stopped = threading.Event()

    def work(_item, check):
        try:
            while not stopped.wait(0.001):
                check()
        finally:
            stopped.set()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gguf2ollama.install.parallel.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_parallel(work, ["running"], most=1)
    assert stopped.is_set()
