"""Settings of all tests."""

import functools
import gc
import os
import signal
import sys

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

# a loaded machine is no fault of ours: no deadlines. While one works, few examples; CI looks further, and
# `HYPOTHESIS_PROFILE=thorough` further still.
settings.register_profile("quick", deadline=None, max_examples=10)
settings.register_profile("ci", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=2000)
_USUAL = "ci" if os.environ.get("CI") == "true" else "quick"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", _USUAL))

# a shell has what it starts in the background ignore Ctrl-C, nohup the end of a terminal, and so does all
# that is started by these
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


_SERVERS = {"fake", "hub", "server"}  # fixtures of several files that start one


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what talks to a server of ours with ``loopback``: what uses such a fixture or a file of fakes."""
    for item in items:
        if _SERVERS.intersection(item.fixturenames) or _uses_fakes(item.module):
            item.add_marker(pytest.mark.loopback)


@functools.cache
def _uses_fakes(module):
    """Return whether anything in a module was imported from ``tests.fakes``."""
    origins = (
        f"{getattr(value, '__module__', '')} {getattr(value, '__name__', '')}"
        for value in vars(module).values()
    )
    return any("tests.fakes." in origin for origin in origins)


def pytest_collection_finish():
    """Spare the garbage collector what thousands of collected tests hold, as it stays until the end anyway.

    What they share later stays, too: it need not be walked through every few hundred new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_runtest_protocol(item, nextitem):
    """In a worker process, report the outcome of a test alone, and of its set-up and end only what failed.

    Each report costs the two processes half a millisecond, and thousands of tests make five each.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True
