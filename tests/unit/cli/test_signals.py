"""SIGTERM and SIGHUP end the program as Ctrl-C does, with all that is under way cleaned up."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama, Pause, Stall

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there, a program is not ended by a signal"),
]


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def start(server, tmp_path):
    """Return a function that starts a build, and waits until the server was asked for something."""
    path = tiny_llama(tmp_path / "tiny.gguf")
    environment = {name: value for name, value in os.environ.items() if name != "OLLAMA_MODELS"}
    environment |= {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OLLAMA_HOST": server.url,
    }
    with contextlib.ExitStack() as processes:

        def one(*options, until, program=(sys.executable, "-m", "gguf2ollama")):
            process = subprocess.Popen(
                [*program, "build", path, "--name", "tiny", "--no-verify", *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            wait_for(server, until, process)
            return process

        yield one


def wait_for(server, endpoint, process=None, *, times=1):
    end = time.monotonic() + 60
    while server.endpoints().count(endpoint) < times:
        assert time.monotonic() < end, "it did not come to that"
        assert process is None or process.poll() is None
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("via", ["pull", "upload"])
def test_unfinished_work_is_cleaned_up(server, start, via, number):
    server.inject("POST /api/generate", Stall())
    process = start("--via", via, until="POST /api/generate")
    assert any(TEMPORARY_NAMESPACE in name for name in server.store.models)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (128 + number, "terminated")
    assert "Traceback" not in err
    assert server.store.models == {}
    assert [content for content in server.store.blobs.values() if content.startswith(b"GGUF")] == []


def test_a_second_signal_ends_it_at_once(server, start):
    server.inject("POST /api/generate", Stall())
    server.inject("DELETE /api/delete", Pause(until="GET /never"))
    process = start("--via", "upload", until="POST /api/generate")
    process.send_signal(signal.SIGTERM)
    wait_for(server, "DELETE /api/delete", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


def test_what_is_ignored_stays_ignored(server, start):
    server.inject("POST /api/generate", Pause(until="GET /api/ps"))
    process = start("--via", "upload", until="POST /api/generate", program=(sys.executable, "-c", _NOHUP))
    process.send_signal(signal.SIGHUP)
    with Client(server.url) as client:
        client.ps()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert list(server.store.models) == ["tiny:latest"]


_NOHUP = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "gguf2ollama", *sys.argv[1:]])
"""


_AT = {
    "while it imports": """
import importlib.abc, os, signal, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
""",
    "at its end": """
import atexit, os, signal
atexit.register(os.kill, os.getpid(), signal.SIGINT)
""",
}


@pytest.mark.parametrize("at", _AT.values(), ids=_AT)
def test_ctrl_c_before_and_after_the_work_ends_it_without_traceback(at):
    program = f"{at}\nfrom gguf2ollama.__main__ import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
