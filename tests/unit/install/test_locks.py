"""Builds and verifications of models of the same weights: one is loaded and checked after the other."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gguf2ollama import build, verify
from gguf2ollama.install import locks
from gguf2ollama.install.locks import is_locked, weights_lock
from gguf2ollama.install.temporary_models import unload_unless_in_use
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama

RUNNING = {"POST /api/generate", "POST /api/chat"}


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    with FakeOllama() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def run_order(server):
    """Return the models that were loaded, prompted or unloaded, once for each run of such requests."""
    asked = [ModelName.parse(seen.content["model"]) for seen in server.seen if seen.endpoint in RUNNING]
    return [model for model, _ in itertools.groupby(name.model for name in asked)]


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_builds_of_one_file_are_checked_one_after_the_other(server, gguf, via):
    names = ["one", "two", "three"]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: build(gguf, name=name, host=server.url, via=via), names))
    assert sorted(run_order(server)) == sorted(names)


def test_a_build_says_that_it_waits_and_goes_on_when_the_other_is_done(server, client, gguf):
    build(gguf, name="first", host=server.url, via="pull", load=False)
    waits = threading.Event()

    def note(text):
        if text.startswith("Waiting for another build"):
            waits.set()

    with ThreadPoolExecutor(2) as pool:
        with weights_lock(client, client.show("first"), notify=note):
            built = pool.submit(build, gguf, name="second", host=server.url, via="pull", notify=note)
            assert waits.wait(60)
            assert not built.done()
            waits.clear()
            verified = pool.submit(verify, "first", host=server.url, notify=note)
            assert waits.wait(60)
            assert run_order(server) == []
        assert built.result(60)
        assert verified.result(60).is_verified


def test_a_model_whose_weights_another_build_checks_is_not_unloaded(server, client, gguf, tmp_path):
    other = tiny_llama(tmp_path / "other.gguf", seed=5)
    for path, name in ((gguf, "mine"), (gguf, "copy"), (other, "other")):
        build(path, name=name, host=server.url, via="pull", load=False)
        client.load(name)
    with weights_lock(client, client.show("mine"), notify=lambda _: None):
        for name in ("copy", "other"):
            unload_unless_in_use(client, ModelName.parse(name))
        assert {model.name for model in client.ps()} == {"mine:latest", "copy:latest"}
    unload_unless_in_use(client, ModelName.parse("copy"))
    assert {model.name for model in client.ps()} == {"mine:latest"}


def test_where_nothing_can_be_locked_models_are_built_and_unloaded_all_the_same(
    server, client, gguf, monkeypatch
):
    def refuse(*_, **__):
        raise OSError(37, "no locks available")

    monkeypatch.setattr(locks, "lock_file", refuse)
    build(gguf, name="mine", host=server.url, via="pull")
    client.load("mine")
    info = client.show("mine")
    with weights_lock(client, info, notify=pytest.fail):
        assert not is_locked(client, info)
    unload_unless_in_use(client, ModelName.parse("mine"))
    assert client.ps() == ()


def test_a_server_that_does_not_name_the_weights_locks_nothing(server, client, gguf):
    server.altered["modelfile"] = "# none"
    build(gguf, name="mine", host=server.url, via="pull")
    with weights_lock(client, client.show("mine"), notify=pytest.fail):
        assert not is_locked(client, client.show("mine"))
