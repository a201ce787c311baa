"""A Hub on loopback sockets, and what is used of it in a folder of the test."""

import random

import pytest
from huggingface_hub import constants

from gguf2ollama.hub.settings import HubSettings
from tests.fakes.hub_server import FakeHub


@pytest.fixture(autouse=True)
def _no_token_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


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
