"""A Hub on loopback sockets, and what is used of it in a folder of the test."""

import random

import pytest

from gguf2ollama.hub.settings import HubSettings
from tests.fakes.hub_server import FakeHub


@pytest.fixture
def hub():
    with FakeHub() as hub:
        hub.tokens = {"hf_good", "hf_stranger"}
        yield hub


@pytest.fixture
def settings(hub, tmp_path):
    return HubSettings(endpoint=hub.url, cache=tmp_path / "cache")


@pytest.fixture
def content():
    """Two megabytes that differ everywhere."""
    return random.Random(6).randbytes(2_000_003)  # noqa: S311 - the same every time
