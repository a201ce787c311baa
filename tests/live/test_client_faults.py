"""The client and a real server that dies or hangs; each test has a server of its own to hurt."""

import io
import os
import signal

import pytest

from gguf2ollama.errors import ServerStalled, ServerUnreachable
from gguf2ollama.oci import Digest, hash_stream
from gguf2ollama.ollama import Client
from tests.live import parts
from tests.live.conftest import missing
from tests.live.servers import find_program, running_ollama

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a program cannot be stopped here"),
]


@pytest.fixture
def server(tmp_path):
    newest = parts.OLLAMAS[0]
    program = find_program(newest)
    if program is None:
        missing(f"Ollama {newest.version}")
    with running_ollama(newest, program, tmp_path) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, stall_timeout=0.5, retry_pauses=(0,)) as client:
        yield client


class Source(io.BytesIO):
    """Bytes in the middle of which something happens."""

    def __init__(self, content, happen):
        super().__init__(content)
        self.happen = happen

    def read(self, size=-1):
        if self.tell() > len(self.getbuffer()) // 2:
            self.happen()
        return super().read(size)


def upload(client, happen):
    content = os.urandom(64 << 20)
    client.upload_blob(lambda: Source(content, happen), digest=Digest.of(content), size=len(content))


def test_a_server_killed_in_the_middle_of_an_upload_is_unreachable(server, client):
    with pytest.raises(ServerUnreachable) as caught:
        upload(client, lambda: os.kill(server.pid, signal.SIGKILL))
    assert "ollama serve" in caught.value.hint


def test_a_server_that_hangs_in_the_middle_of_an_upload_is_a_stall(server, client):
    try:
        with pytest.raises(ServerStalled):
            upload(client, lambda: os.kill(server.pid, signal.SIGSTOP))
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_server_that_hangs_while_it_should_work_is_a_stall(server, client):
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ServerStalled):
            client.load("anything")
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_server_killed_in_the_middle_of_a_chat_is_unreachable(server, client, smollm2):
    with smollm2.open("rb") as stream:
        digest, size = hash_stream(stream, advance=lambda _: None)
    client.upload_blob(smollm2, digest=digest, size=size)
    client.create("smol", files={smollm2.name: digest}).drain()
    with client.chat("smol", [{"role": "user", "content": "Tell me a very long story."}]) as chunks:
        next(chunks)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerUnreachable):
            list(chunks)
