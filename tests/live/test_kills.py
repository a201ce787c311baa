"""Signals at any point of merge, link, pull and upload: what was there stays, the next call does it."""

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gguf2ollama import build, split
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.servers import find_program, running_ollama

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]

MESSAGES = [{"role": "user", "content": "Hi"}]
KILLS = 12  # each takes a second or two; `make test-kills` ends hundreds of builds


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a model of 38 MB that runs."""
    return tiny_llama(tmp_path_factory.mktemp("big") / "big.gguf", width=512, blocks=4)


@pytest.fixture(scope="module")
def shards(whole, tmp_path_factory):
    return split(whole, tmp_path_factory.mktemp("shards") / "big", max_tensors=14)


@pytest.fixture
def tiny(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf", seed=11)


def command(*arguments, environment, folder):
    """Start the program with a cache of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
        env=environment | {"XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for its end; give its exit code and what it said."""
    err = process.communicate(timeout=120)[1]
    return process.returncode, err


def kill_at_random(start, *, seconds, noise):
    """Start a call and kill it at some point of the time that it takes; give whether it came to that."""
    return signal_at_random(start, signal.SIGKILL, seconds=seconds, noise=noise)[0] == -signal.SIGKILL


def signal_at_random(start, number, *, seconds, noise):
    """Start a call and signal it at some point of the time that it takes; give what `finish` gives."""
    process = start()
    time.sleep(seconds * noise.uniform(0.3, 1.0))
    process.send_signal(number)
    return finish(process)


def test_merge(shards, whole, tmp_path):
    target = tmp_path / "merged.gguf"
    wanted = whole.read_bytes()
    environment = dict(os.environ)

    def start():
        return command(
            *("merge", shards[0], "-o", target, "--force", "--drop-split-keys"),
            environment=environment,
            folder=tmp_path,
        )

    target.write_bytes(b"old")
    began = time.monotonic()
    assert finish(start())[0] == 0
    seconds = time.monotonic() - began
    assert target.read_bytes() == wanted
    target.write_bytes(b"old")
    noise, killed = random.Random(1), 0  # noqa: S311 - the same every time
    while killed < KILLS:
        killed += kill_at_random(start, seconds=seconds, noise=noise)
        assert target.read_bytes() in {b"old", wanted}
    age(tmp_path)
    assert finish(start())[0] == 0
    assert target.read_bytes() == wanted
    assert {path.name for path in tmp_path.iterdir()} <= {"merged.gguf", "cache"}


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells since when it runs, so that merges go on"
)
def test_a_merge_goes_on_where_it_was_killed(shards, whole, tmp_path):
    target = tmp_path / "merged.gguf"

    def start():
        arguments = ["merge", shards[0], "-o", target, "--drop-split-keys"]
        return command(*arguments, environment=dict(os.environ), folder=tmp_path)

    size = whole.stat().st_size
    there = 0
    for _ in range(100):
        there = kill_in_the_middle(start(), target)
        if size // 4 < there < size:
            break
        target.unlink(missing_ok=True)
    else:
        pytest.fail("no kill came in the middle")
    process = start()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    written = int(Path(f"/proc/{process.pid}/io").read_text().split("wchar:")[1].split()[0])
    assert finish(process)[0] == 0
    assert target.read_bytes() == whole.read_bytes()
    assert written < size - there + (1 << 20)
    assert {path.name for path in tmp_path.iterdir()} <= {"merged.gguf", "cache"}


def kill_in_the_middle(process, target):
    """Kill a merge soon after it began to write; give the bytes that it leaves."""
    while process.poll() is None:
        for part in target.parent.glob(f".{target.name}.*.part"):
            with contextlib.suppress(FileNotFoundError):
                if part.stat().st_size > 8 << 20:
                    process.send_signal(signal.SIGKILL)
    finish(process)
    return max((part.stat().st_size for part in target.parent.glob(f".{target.name}.*.part")), default=0)


def age(folder):
    """Let the unfinished files that were left there look two days old."""
    then = time.time() - 2 * 86400
    for path in folder.rglob("*.part"):
        os.utime(path, (then, then))


@contextlib.contextmanager
def running(part, folder):
    program = find_program(part)
    if program is None:
        from tests.live.conftest import missing  # noqa: PLC0415

        missing(f"Ollama {part.version}")
    with running_ollama(part, program, folder) as server, Client(server.url) as client:
        yield server, client


class Checked:
    """Check a store; a blob that did not change since is not read again."""

    def __init__(self, store):
        self.store = store
        self.seen = {}

    def __call__(self):
        for pause in (0.2, 0.5, 1.0):
            with contextlib.suppress(FileNotFoundError):
                return self.check()
            time.sleep(pause)  # the server may be at what a killed call still asked of it
        return self.check()

    def check(self):
        for path in self.store.glob("manifests/*/*/*/*"):
            assert not path.name.startswith("."), f"{path} is no manifest"
            value = json.loads(path.read_bytes())
            for layer in (value["config"], *value["layers"]):
                blob = self.store / "blobs" / layer["digest"].replace(":", "-")
                assert blob.stat().st_size == layer["size"]
                assert f"sha256:{self.digest(blob)}" == layer["digest"]

    def digest(self, blob):
        status = blob.stat()
        key = (blob.name, status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in self.seen:
            self.seen[key] = hashlib.sha256(blob.read_bytes()).hexdigest()
        return self.seen[key]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part,kills",
    [(parts.OLLAMAS[0], KILLS), (parts.OLLAMAS[1], 3)],
    ids=lambda value: getattr(value, "version", ""),
)
@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_build(part, kills, via, whole, shards, tiny, tmp_path):
    noise = random.Random(f"{via} {part.version}")  # noqa: S311 - the same every time
    older = tiny_llama(tmp_path / "older.gguf", seed=12)
    with running(part, tmp_path) as (server, client):
        build(older, host=server.url)
        check = Checked(server.store)
        sources = {"tiny": tiny, "whole": whole, "shards": shards[0]}
        seconds = {}
        for name, source in sources.items():
            began = time.monotonic()
            start = starter(server, source, name, via=via, folder=tmp_path)
            assert finish(start())[0] == 0
            seconds[name] = time.monotonic() - began
            client.delete(name)
        killed = 0
        for name in itertools.islice(itertools.cycle(sources), kills):
            start = starter(server, sources[name], name, via=via, folder=tmp_path)
            killed += kill_at_random(start, seconds=seconds[name], noise=noise)
            check()
            if noise.random() < 0.3 and any(model.name == f"{name}:latest" for model in client.list()):
                client.delete(name)
        assert killed or kills < KILLS  # of few, all may come too late
        assert client.render("older", MESSAGES)
    age(tmp_path)
    with running(part, tmp_path) as (server, client):
        check()
        assert client.render("older", MESSAGES)
        for name, source in sources.items():
            code, err = finish(starter(server, source, name, via=via, folder=tmp_path)())
            assert code == 0, err
        check()
        assert {model.name for model in client.list()} == {f"{name}:latest" for name in (*sources, "older")}
        assert not [path for path in server.store.rglob("*") if path.name.endswith(".part")]
        assert client.render("tiny", MESSAGES)
    with running(part, tmp_path) as (_, client):
        check()
        assert len(client.list()) == 4


def starter(server, source, name, *, via, folder):
    """Return what starts one build."""

    def start():
        arguments = ["build", Path(source), "--name", name, "--via", via, "--no-load", "--allow-mismatch"]
        return command(*arguments, environment=server.environment, folder=folder)

    return start


@pytest.mark.parametrize(
    "part,signals",
    [(parts.OLLAMAS[0], 4), (parts.OLLAMAS[1], 1)],
    ids=lambda value: getattr(value, "version", ""),
)
@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_sigterm_of_a_build_leaves_nothing_after_the_next_one(part, signals, via, tiny, tmp_path):
    noise = random.Random(f"SIGTERM {via} {part.version}")  # noqa: S311 - the same every time
    with running(part, tmp_path) as (server, client):
        check = Checked(server.store)
        arguments = ["build", tiny, "--name", "tiny", "--via", via, "--no-verify"]

        def start():
            return command(*arguments, environment=server.environment, folder=tmp_path)

        began = time.monotonic()
        assert finish(start())[0] == 0
        seconds = time.monotonic() - began
        client.delete("tiny")
        for _ in range(signals):
            require_end_by_sigterm(*signal_at_random(start, signal.SIGTERM, seconds=seconds, noise=noise))
            check()
        code, err = finish(start())
        assert code == 0, err
        assert {model.name for model in client.list()} == {"tiny:latest"}
        assert not list((server.store / "manifests").rglob(f"{TEMPORARY_NAMESPACE}/*/*"))
        # texts of a `create` or a pull that the server broke off stay until it starts; of weights, only what
        # an older one has rewritten and keeps
        kept = 1 if server.features.rewrites_gguf and via == "upload" else 0
        weights = [path for path in unnamed(server.store) if path.stat().st_size > (64 << 10)]
        assert len(weights) <= kept
    for path in unnamed(server.store):
        os.utime(path, (0, 0))  # a server leaves alone what is younger than an hour
    with running(part, tmp_path) as (server, client):
        assert unnamed(server.store) == []
        assert client.render("tiny", MESSAGES)


def require_end_by_sigterm(code, err):
    """Require that a call ended in good order, or before it began, or was through already."""
    assert code in {128 + signal.SIGTERM, -signal.SIGTERM, 0}, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def unnamed(store):
    """Return the files beside the blobs that manifests name."""
    named = set()
    for path in store.glob("manifests/*/*/*/*"):
        value = json.loads(path.read_bytes())
        named |= {layer["digest"].replace(":", "-") for layer in (value["config"], *value["layers"])}
    return [path for path in (store / "blobs").iterdir() if path.name not in named]


def test_sigterm_of_a_build_into_a_folder_leaves_nothing_after_the_next_one(tiny, tmp_path):
    noise = random.Random("SIGTERM store")  # noqa: S311 - the same every time
    store = tmp_path / "store"

    def start():
        arguments = ["build", tiny, "--name", "tiny", "--store", store, "--no-verify"]
        return command(*arguments, environment=dict(os.environ), folder=tmp_path)

    began = time.monotonic()
    assert finish(start())[0] == 0
    seconds = time.monotonic() - began
    for _ in range(6):
        shutil.rmtree(store)
        require_end_by_sigterm(*signal_at_random(start, signal.SIGTERM, seconds=seconds, noise=noise))
        assert not list(store.rglob("*.part"))
        store.mkdir(exist_ok=True)
    assert finish(start())[0] == 0
    Checked(store)()
    assert unnamed(store) == []
