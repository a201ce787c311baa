"""A fake server, a client, and one that soon loses patience."""

import pytest

from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama

PATIENCE = 0.3  # seconds


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch):
    for name in ("OLLAMA_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, stall_timeout=20, retry_pauses=(0, 0)) as client:
        yield client


@pytest.fixture
def impatient(server):
    """A client for what stalls: on a busy machine it may take for a stall what is none."""
    with Client(server.url, stall_timeout=PATIENCE, retry_pauses=(0, 0)) as client:
        yield client


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("ollama") / "tiny.gguf")
