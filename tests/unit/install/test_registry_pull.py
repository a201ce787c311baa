"""A pull by a fake server that does it step by step as the real one: weights as blobs, then the model."""

import socket

import pytest

from gguf2ollama.errors import Gguf2OllamaError, InvalidGguf, ServerProblem
from gguf2ollama.events import ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.registry_pull import PullTransport
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.manifest_server import PrivateRegistry
from tests.fakes.ollama_server import Answer, FakeOllama

NAME = ModelName.parse("made")


def has_ipv6():
    """Return whether something can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def pull(server, tmp_path):
    """Return a function that has an image pulled."""

    def one(image, *, progress=ignore):
        cache = DigestCache(tmp_path / "digests.json")
        with Client(server.url) as client, Hashing(cache=cache, progress=progress) as hashing:
            transport = PullTransport(
                client=client, image=image, hashing=hashing, progress=progress, notify=lambda _: None
            )
            transport.make(NAME)

    return one


def sent(server):
    return [path for path in server.endpoints() if path.startswith("POST /api/blobs/")]


def test_a_model_in_shards_is_sent_and_then_pulled(server, pull, image_of, shards):
    pull(image_of(shards[0]))
    assert len(sent(server)) == len(shards)
    assert list(server.store.models) == ["made:latest"]
    kept = server.store.models["made:latest"].layers
    assert [server.store.blobs[layer.digest] for layer in kept if layer.kind == "model"] == [
        path.read_bytes() for path in shards
    ]


def test_weights_that_the_server_has_are_not_sent(server, pull, image_of, gguf):
    server.store.blobs[str(Digest.of(gguf.read_bytes()))] = gguf.read_bytes()
    pull(image_of(gguf))
    assert sent(server) == []
    assert list(server.store.models) == ["made:latest"]


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here, so nobody can listen there")
def test_a_stranger_on_the_same_port_of_the_other_loopback_sees_nothing(
    server, pull, image_of, gguf, monkeypatch
):
    seen = []
    offer = PrivateRegistry.offer

    def offer_beside_a_stranger(registry, *arguments):
        name = offer(registry, *arguments)
        if not seen:
            stranger = socket.socket(socket.AF_INET6)
            stranger.bind(("::1", int(name.host.rpartition(":")[2])))
            stranger.listen()
            stranger.settimeout(0)
            seen.append(stranger)
        return name

    monkeypatch.setattr(PrivateRegistry, "offer", offer_beside_a_stranger)
    pull(image_of(gguf))
    assert list(server.store.models) == ["made:latest"]
    with seen[0], pytest.raises(BlockingIOError):
        seen[0].accept()


def test_progress_is_reported_of_each_layer_to_its_end(pull, image_of, shards):
    updates = []
    pull(image_of(shards[0]), progress=updates.append)
    ends = {update.task: (update.done, update.total) for update in updates}
    assert {f"uploading {path.name}": (path.stat().st_size,) * 2 for path in shards}.items() <= ends.items()


def test_a_pull_that_fails_leaves_no_model(server, pull, image_of, shards):
    server.inject("POST /api/pull", Answer(500, '{"error": "max retries exceeded: EOF"}'))
    with pytest.raises(ServerProblem):
        pull(image_of(shards[0]))
    assert server.store.models == {}


def test_a_file_that_changes_before_it_is_sent_is_named(server, pull, image_of, shards):
    image = image_of(shards[0])

    def meddle(update):
        if update.task == f"hashing {shards[1].name}":
            with shards[1].open("r+b") as stream:
                stream.write(b"GGUX")

    with pytest.raises(Gguf2OllamaError) as caught:
        pull(image, progress=meddle)
    assert isinstance(caught.value, InvalidGguf)
    assert server.store.models == {}
