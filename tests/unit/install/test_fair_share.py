from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.install.fair_share import FairShare, may_proceed

MB = 1 << 20


def going_on(left, *, cores=2, in_order=False):
    return {key for key in left if may_proceed(key, left, cores=cores, in_order=in_order)}


def test_the_first_go_on_where_many_are_left():
    assert going_on(dict.fromkeys("abcde", 700 * MB)) == {"a", "b"}
    assert going_on({"a": 1 * MB, "b": 2 * MB, "c": 3 * MB, "d": 4 * MB, "e": 999 * MB}) == {"a", "b"}


def test_of_the_last_those_go_on_that_have_most_left():
    assert going_on({"a": 100 * MB, "b": 300 * MB, "c": 400 * MB, "d": 200 * MB}) == {"b", "c"}


def test_what_has_hardly_less_left_goes_on_too():
    assert going_on({"a": 700 * MB, "b": 695 * MB, "c": 690 * MB}) == {"a", "b", "c"}
    assert going_on({"a": 5 * MB, "b": 0, "c": 0, "d": -1}) == {"a", "b", "c", "d"}


def test_the_first_go_on_until_the_end_where_they_are_wanted_early():
    assert going_on({"a": 1 * MB, "b": 100 * MB, "c": 700 * MB}, in_order=True) == {"a", "b"}


@given(
    st.dictionaries(st.integers(), st.integers(0, 1 << 40), min_size=1, max_size=20),
    st.integers(1, 8),
    st.booleans(),
)
def test_there_are_always_as_many_that_go_on_as_cores(left, cores, in_order):
    assert len(going_on(left, cores=cores, in_order=in_order)) >= min(cores, len(left))


def test_whoever_is_ahead_waits_for_the_others():
    turns, order = FairShare(1), []
    turns.begin("short", size=100 * MB)
    turns.begin("long", size=200 * MB)

    def work(key, pieces):
        for _ in range(pieces):
            order.append(key)
            turns.advance(key, MB, is_stopped=lambda: False)
        turns.end(key)

    threads = [threading.Thread(target=work, args=one) for one in (("short", 100), ("long", 200))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert order.count("long") == 200
    assert order[:80].count("short") <= 2
    assert order[-40:].count("short") > 0


def test_what_is_stopped_waits_no_more(monkeypatch):
    monkeypatch.setattr("gguf2ollama.install.fair_share._WAIT", 0.01)
    turns = FairShare(1)
    turns.begin("first", size=100 * MB)
    turns.begin("second", size=10 * MB)
    stopped = threading.Event()
    waiting = threading.Thread(
        target=turns.advance, args=("second", MB), kwargs={"is_stopped": stopped.is_set}
    )
    waiting.start()
    stopped.set()
    waiting.join(10)
    assert not waiting.is_alive()
    turns.end("second")


def test_what_waits_goes_on_once_another_has_ended():
    turns = FairShare(1)
    turns.begin("first", size=100 * MB)
    turns.begin("second", size=10 * MB)
    waiting = threading.Thread(target=turns.advance, args=("second", MB), kwargs={"is_stopped": bool})
    waiting.start()
    turns.end("first")
    waiting.join(10)
    assert not waiting.is_alive()
