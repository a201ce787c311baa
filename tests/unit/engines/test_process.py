"""The process of an engine: its errors are reported, its end too, and this process lives."""

import signal
import sys
import textwrap

import pytest

from gguf2ollama.engines import process
from gguf2ollama.engines.process import EngineProcess
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotEnoughSpace, UsageProblem

pytestmark = pytest.mark.slow

HEAD = """
import json, os, signal, sys
def emit(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)
"""


@pytest.fixture
def engine(monkeypatch):
    """Return a function that starts a process of this program text, and ends it after the test."""
    started = []

    def start(text):
        script = HEAD + textwrap.dedent(text)
        monkeypatch.setattr(process, "worker_command", lambda _: [sys.executable, "-I", "-c", script])
        started.append(EngineProcess("llama.cpp", subject="model.gguf"))
        return started[-1]

    yield start
    for one in started:
        one.close()


def is_gone(running):
    return running._process.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="it has no signals")
@pytest.mark.parametrize(
    "end, named, hint",
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9 (SIGKILL)", "memory is short"),
        ("os.abort()", "signal 6 (SIGABRT)", "another engine"),
        ("os._exit(3)", "code 3", "another engine"),
        ("print('garbage'); sys.stdout.flush(); os._exit(0)", "code 0", "another engine"),
    ],
)
def test_a_process_that_ends_while_loading_is_reported(engine, end, named, hint):
    running = engine(
        f"sys.stdin.readline()\nprint('E ggml: error: no kernel', file=sys.stderr, flush=True)\n{end}"
    )
    with pytest.raises(Gguf2OllamaError) as caught:
        running.ask({"do": "load"}, doing="loading")
    assert f"ended with {named} while loading model.gguf" in str(caught.value)
    assert "no kernel" in str(caught.value)
    assert hint in caught.value.hint
    assert is_gone(running)


@pytest.mark.parametrize(
    "kind, error, code",
    [
        ("context", UsageProblem, 2),
        ("memory", NotEnoughSpace, 7),
        ("load", InvalidInput, 4),
        ("chat", InvalidInput, 4),
    ],
)
def test_what_an_engine_reports_becomes_an_error_of_its_kind(engine, monkeypatch, kind, error, code):
    monkeypatch.setattr(process, "_LOG_SECONDS", 0)
    running = engine(
        f"sys.stdin.readline(); emit('error', kind={kind!r}, message='a\\x1b[2J reason'); sys.stdin.read()"
    )
    with pytest.raises(error, match="reason") as caught:
        running.ask({"do": "load"}, doing="loading")
    assert caught.value.exit_code == code
    assert "\x1b" not in str(caught.value)


def test_what_the_library_logged_says_why_a_file_cannot_be_loaded(engine):
    running = engine("""
        sys.stdin.readline()
        sys.stderr.write("0.00.1 E llama_model_load: error loading model: unknown model architecture: 'x'\\n")
        sys.stderr.write("0.00.2 E srv: exiting due to model loading error\\n")
        sys.stderr.flush()
        emit('error', kind='load', message='failed')
        sys.stdin.read()
    """)
    with pytest.raises(InvalidInput, match=r"loading model.gguf: unknown model architecture: 'x'$"):
        running.ask({"do": "load"}, doing="loading")


def test_a_reason_that_is_logged_after_the_error_is_waited_for(engine):
    running = engine("""
        import time
        sys.stdin.readline()
        emit('error', kind='load', message='failed')
        time.sleep(0.2)
        sys.stderr.write("0.00.1 E llama_model_load: error loading model: unknown model architecture: 'x'\\n")
        sys.stderr.flush()
        sys.stdin.read()
    """)
    with pytest.raises(InvalidInput, match=r"loading model.gguf: unknown model architecture: 'x'$"):
        running.ask({"do": "load"}, doing="loading")


ANSWERING = """
    for line in sys.stdin:
        if json.loads(line)["do"] == "cancel":
            emit("done", reason="cancelled")
        else:
            emit("text", content="a")
            emit("text", content="b")
            if not json.loads(line).get("endless"):
                emit("done", reason="stop")
"""


def test_a_caller_that_stops_reading_ends_the_answer_and_can_ask_again(engine):
    running = engine(ANSWERING)
    events = running.stream({"do": "chat", "endless": True}, doing="answering")
    assert next(events)["content"] == "a"
    events.close()
    again = list(running.stream({"do": "chat"}, doing="answering"))
    assert [event["event"] for event in again] == ["text", "text", "done"]


def test_an_interruption_ends_the_answer_and_leaves_the_model(engine, monkeypatch):
    running = engine(ANSWERING)
    read, reads = running._event, []

    def interrupted(**keywords):
        reads.append(keywords)
        if len(reads) == 2:
            raise KeyboardInterrupt
        return read(**keywords)

    monkeypatch.setattr(running, "_event", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(running.stream({"do": "chat", "endless": True}, doing="answering"))
    assert len(list(running.stream({"do": "chat"}, doing="answering"))) == 3


def test_a_process_that_does_not_end_by_itself_is_ended(engine, monkeypatch):
    monkeypatch.setattr(process, "_END_SECONDS", 0.1)
    running = engine(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nemit('ready')\nwhile True: signal.pause()"
    )
    running.ask(doing="starting")
    running.close()
    assert is_gone(running)
    if sys.platform != "win32":
        assert running._process.returncode == -signal.SIGKILL
