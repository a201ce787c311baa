"""A fake server and a client that soon loses patience."""

import pytest

from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama

PATIENCE = 0.15


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
    with Client(server.url, stall_timeout=PATIENCE, retry_pauses=(0, 0)) as client:
        yield client


@pytest.fixture(scope="session")
def gguf(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("ollama") / "tiny.gguf")
