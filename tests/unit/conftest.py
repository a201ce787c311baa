"""A small model on disk, laid out; and a Hub on loopback sockets, used in a folder of the test."""

import os
import random
import time

import pytest

from gguf2ollama import inspect
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.planning.layers import lay_out_image
from gguf2ollama.sources.sites.settings import HubSettings
from tests.builders import build_shards, tiny_llama
from tests.fakes.hub_server import FakeHub
from tests.sparing import (  # noqa: F401 - fixtures
    _few_conversations,
    _no_wait_before_a_retry,
    _no_wait_for_the_disk,
    _one_worker,
    _same_choice,
    all_conversations,
    own_worker,
)


def settle(path, *, seconds=60):
    """Let a file look as if it had not been changed for a while."""
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then))
    return path


def hash_weights(image, *, cache, progress):
    """Return the digest of each layer of weights by its name."""
    with Hashing(cache=cache, progress=progress) as hashing:
        return hashing.digests(image)


@pytest.fixture
def gguf(tmp_path):
    return settle(tiny_llama(tmp_path / "Tiny-Q4_K_M.gguf"))


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    metadata = {"llama.context_length": 512, "general.file_type": 0}
    return [settle(path) for path in build_shards(folder, name="sharded", count=3, metadata=metadata)]


@pytest.fixture
def image_of():
    """Return a function that lays out the model of a source."""

    def one(source, *, takes_shards=True, **options):
        found = inspect(source, **options)
        return lay_out_image(found.files, recipe=found.recipe, takes_shards=takes_shards)

    return one


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch, tmp_path_factory):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def hub():
    with FakeHub() as hub:
        hub.tokens = {"hf_good", "hf_stranger"}
        yield hub


@pytest.fixture
def settings(hub, tmp_path):
    return HubSettings(endpoint=hub.url, cache=tmp_path / "cache")


@pytest.fixture(scope="session")
def content():
    """Two megabytes that differ everywhere."""
    return random.Random(6).randbytes(2_000_003)  # noqa: S311 - the same every time
