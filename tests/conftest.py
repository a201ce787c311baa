"""Settings of all tests."""

import gc
import os
import signal
import sys

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
