"""What is left of builds that are gone is removed; nothing of one that still runs."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from gguf2ollama import build
from gguf2ollama.install import temporary_models
from gguf2ollama.install.temporary_models import (
    remove_abandoned,
    remove_abandoned_from_store,
    temporary_name,
)
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.fakes.ollama_server import Answer, FakeOllama
from tests.stores import add_model, write_old, write_v2

NAME = ModelName.parse("mine")
UNKNOWN = "0123456789012345"


@pytest.fixture(autouse=True)
def locks(monkeypatch, tmp_path):
    """Keep locks in a folder of the test's own; give that folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return tmp_path / "cache" / "gguf2ollama" / "builds"


@pytest.fixture
def server(gguf, locks):
    with FakeOllama() as server:
        build(gguf, name="mine", host=server.url, load=False, verify=False)
        server.seen.clear()
        shutil.rmtree(locks)
        yield server


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def leave(server, name, *, hours=0.0):
    """Put a copy of a model there, so many hours old; give its name."""
    then = datetime.now(UTC) - timedelta(hours=hours)
    short = (name if isinstance(name, ModelName) else ModelName.parse(name)).short
    server.store.models[short] = dataclasses.replace(server.store.models["mine:latest"], modified=then)
    return short


def token(name):
    """Return what a lock file is called by, of the name of a temporary model."""
    return name.tag.partition("-")[0]


def tagged(tag, *, model="mine"):
    return ModelName.parse(model).temporary(tag)


_HOLDER = """
import sys
from gguf2ollama.ollama import Client
from gguf2ollama.names import ModelName
from gguf2ollama.install.temporary_models import temporary_name
with Client(sys.argv[1]) as client, temporary_name(client, ModelName.parse("mine")) as name:
    print(name.tag, flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def other_build(server):
    """Run a process that holds a temporary name; give it and the tag."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", "-old", "-1"])
def test_a_build_that_runs_keeps_its_models_and_one_that_was_killed_loses_them(server, client, suffix):
    with other_build(server) as (process, tag):
        name = leave(server, NAME.temporary(UNKNOWN).with_tag(tag + suffix))
        assert remove_abandoned(client) == ()
        assert name in server.store.models
        process.kill()
        process.wait()
        assert [model.short for model in remove_abandoned(client)] == [name]
    assert list(server.store.models) == ["mine:latest"]


@pytest.mark.slow
def test_a_stopped_build_runs(server, client):
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("no SIGSTOP here")
    with other_build(server) as (process, tag):
        leave(server, NAME.temporary(UNKNOWN).with_tag(tag), hours=100)
        process.send_signal(signal.SIGSTOP)
        assert remove_abandoned(client) == ()


def test_a_build_of_this_very_process_runs(server, client):
    with temporary_name(client, NAME) as name:
        leave(server, name, hours=100)
        assert remove_abandoned(client) == ()
    assert remove_abandoned(client) == (name,)


@pytest.mark.parametrize(
    "name",
    [
        f"{TEMPORARY_NAMESPACE}/other:{UNKNOWN}",
        f"{TEMPORARY_NAMESPACE}/mine:{UNKNOWN}-old",
        f"{TEMPORARY_NAMESPACE}/mine-0123ab:q4",  # as they were once called
        f"127.0.0.1:4000/{TEMPORARY_NAMESPACE}/0123:{UNKNOWN}-1",
    ],
)
def test_of_other_machines_and_users_what_is_a_day_old_goes(server, client, name):
    leave(server, name, hours=23)
    assert remove_abandoned(client) == ()
    leave(server, name, hours=25)
    assert [model.short for model in remove_abandoned(client)] == [name]
    assert list(server.store.models) == ["mine:latest"]


def test_no_model_of_a_user_is_removed(server, client):
    names = [
        "theirs/mine:latest",
        f"{TEMPORARY_NAMESPACE}-not:latest",
        f"theirs/{TEMPORARY_NAMESPACE}:latest",
    ]
    for name in names:
        leave(server, name, hours=1000)
    assert remove_abandoned(client) == ()
    assert set(server.store.models) == {"mine:latest", *names}


@pytest.mark.parametrize("hours", [-48, 48])
def test_age_is_by_the_clock_of_the_server(server, client, monkeypatch, hours):
    now = datetime.now(UTC).timestamp() + hours * 3600
    monkeypatch.setattr(
        BaseHTTPRequestHandler,
        "date_time_string",
        lambda _self, _time=None: time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)),
    )
    leave(server, tagged(UNKNOWN), hours=23 - hours)
    assert remove_abandoned(client) == ()
    leave(server, tagged(UNKNOWN), hours=25 - hours)
    assert remove_abandoned(client) == (tagged(UNKNOWN),)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 30 Nov 2026 10:00:00 -0000"])
def test_a_server_that_does_not_say_the_time_keeps_what_may_be_in_use(server, client, monkeypatch, date):
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda _self, _time=None: date)
    leave(server, tagged(UNKNOWN), hours=1000)
    assert remove_abandoned(client) == ()


def test_a_lock_of_another_machine_says_nothing(server, client, locks):
    locks.mkdir(parents=True)
    (locks / UNKNOWN).write_bytes(b"another machine, or this one before it was started again")
    leave(server, tagged(UNKNOWN), hours=23)
    assert remove_abandoned(client) == ()
    leave(server, tagged(UNKNOWN), hours=25)
    assert remove_abandoned(client) == (tagged(UNKNOWN),)


def refuse_locks(monkeypatch, *, owner):
    """Let files be locked by those who look alone, or by nobody."""
    lock = temporary_models.lock_file

    def refuse(file, *, wait):
        if wait or not owner:
            raise OSError(37, "no locks available")
        lock(file, wait=wait)

    monkeypatch.setattr(temporary_models, "lock_file", refuse)


@pytest.mark.parametrize("owner", [True, False])
def test_where_nothing_can_be_locked_age_alone_counts(server, client, monkeypatch, locks, owner):
    refuse_locks(monkeypatch, owner=owner)
    with temporary_name(client, NAME) as name:
        leave(server, name, hours=23)
        assert remove_abandoned(client) == ()
    assert remove_abandoned(client) == ()
    leave(server, name, hours=25)
    assert remove_abandoned(client) == (name,)
    assert list(locks.iterdir()) == []


def test_a_cache_that_cannot_be_written_keeps_nobody_from_building(server, gguf, locks):
    locks.write_bytes(b"a file where the folder would be")
    assert build(gguf, name="mine", host=server.url, load=False, verify=False)
    assert list(server.store.models) == ["mine:latest"]


def test_lock_files_go_when_they_are_old_and_nobody_has_them(server, client, locks):
    with temporary_name(client, NAME) as used:
        with temporary_name(client, NAME) as name:
            pass
        (locks / "no lock of ours").touch()
        assert {path.name for path in locks.iterdir()} == {token(used), token(name), "no lock of ours"}
        for path in locks.iterdir():
            os.utime(path, (0, 0))
        with temporary_name(client, NAME) as newest:
            assert {path.name for path in locks.iterdir()} == {token(used), token(newest), "no lock of ours"}


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_weights_that_a_killed_build_of_the_same_model_left_are_not_sent_again(gguf, server, client, via):
    with temporary_name(client, NAME) as killed:
        pass
    leave(server, killed)
    del server.store.models["mine:latest"]
    build(gguf, name="Mine", host=server.url, via=via, load=False, verify=False)
    assert not [endpoint for endpoint in server.endpoints() if endpoint.startswith("POST /api/blobs/")]
    assert list(server.store.models) == ["Mine:latest"]


def test_what_other_models_left_goes_before_anything_is_sent(gguf, server, client):
    with temporary_name(client, ModelName.parse("other")) as killed:
        pass
    leave(server, killed)
    server.inject("POST /api/create", Answer(500, '{"error": "broken"}'))
    with contextlib.suppress(ConnectionError):
        build(gguf, name="mine", host=server.url, via="upload", load=False, verify=False)
    assert list(server.store.models) == ["mine:latest"]


@pytest.mark.parametrize("endpoint", ["GET /api/tags", "DELETE /api/delete", "GET /api/version"])
def test_a_server_that_cannot_list_or_remove_them_builds_all_the_same(server, client, gguf, endpoint):
    leave(server, tagged(UNKNOWN, model="other"), hours=25)
    with temporary_name(client, NAME) as name:
        server.inject(endpoint, Answer(status=500, body='{"error": "broken"}'))
    assert name.namespace == TEMPORARY_NAMESPACE


def test_one_that_cannot_be_removed_keeps_no_other(server, client):
    for model in ("a", "b"):
        leave(server, tagged(UNKNOWN, model=model), hours=25)
    server.inject("DELETE /api/delete", Answer(status=500, body='{"error": "broken"}'))
    assert len(remove_abandoned(client)) == 1


def test_the_model_part_is_spelled_as_the_server_has_it(server, client):
    leave(server, "DeepSeek-R1:7b")
    with temporary_name(client, ModelName.parse("deepseek-r1:8b")) as name:
        assert name.model == "DeepSeek-R1"
    with temporary_name(client, ModelName.parse("me/deepseek-r1:8b")) as name:
        assert name.model == "deepseek-r1"


class Interrupted(BaseException):
    """As KeyboardInterrupt, which would end the tests."""


@pytest.mark.parametrize("suffix", ["", "-old", "-1"])
def test_what_the_server_does_after_an_interruption_is_removed(server, client, monkeypatch, suffix):
    names = []

    def finish(_seconds):
        leave(server, names[0].with_tag(names[0].tag + suffix))

    def interrupted():
        with temporary_name(client, NAME) as name:
            names.append(name)
            raise Interrupted

    monkeypatch.setattr(temporary_models, "time", SimpleNamespace(sleep=finish, time=time.time))
    with pytest.raises(Interrupted):
        interrupted()
    assert names
    assert list(server.store.models) == ["mine:latest"]


def test_a_tag_is_not_used_as_a_path(server, client, locks):
    locks.mkdir(parents=True)
    Path(locks.parent, "secret").write_bytes(temporary_models._machine())
    server.store.models[f"{TEMPORARY_NAMESPACE}/mine:../secret"] = server.store.models["mine:latest"]
    assert remove_abandoned(client) == ()


@pytest.mark.parametrize("write", [write_old, write_v2], ids=["manifests", "manifests-v2"])
def test_a_store_of_either_layout_loses_what_nobody_uses_and_no_blob(tmp_path, write):
    root = tmp_path / "store"
    manifest = add_model(root, b"weights")
    own = write(root, "library/mine/latest", manifest)
    old = write(root, f"{TEMPORARY_NAMESPACE}/mine/{UNKNOWN}", manifest)
    young = write(root, f"{TEMPORARY_NAMESPACE}/mine/{UNKNOWN[::-1]}", manifest)
    blobs = set((root / "blobs").iterdir())
    os.utime(old, (0, 0), follow_symlinks=False)
    assert remove_abandoned_from_store(LocalStore(root)) == (tagged(UNKNOWN).with_tag(UNKNOWN),)
    assert [os.path.lexists(path) for path in (own, old, young)] == [True, False, True]
    assert set((root / "blobs").iterdir()) == blobs
