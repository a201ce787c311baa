"""A server's disk is counted before it is given anything, where it is ours to look at."""

import hashlib

import pytest

from gguf2ollama.errors import NotEnoughSpace
from gguf2ollama.events import ignore
from gguf2ollama.install import preflight
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import require_server_space
from gguf2ollama.names import ServerAddress
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.fakes.ollama_server import FakeOllama
from tests.stores import add_model, migrate, write_old, write_v2


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Return a server whose store is on this machine."""
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "nowhere")
    with FakeOllama() as server:
        server.store.folder = tmp_path / "models"
        (server.store.folder / "blobs").mkdir(parents=True)
        yield server


@pytest.fixture
def require(server, image_of, shards, tmp_path, monkeypatch):
    """Return a function that checks the space for three shards, with so many bytes free."""
    image = image_of(shards[0])

    def one(*, free, copies=1, host=server.url, folder=server.store.folder):
        monkeypatch.setattr(preflight, "free_bytes", lambda _folder: free)
        with (
            Client(host, stall_timeout=1, retry_pauses=()) as client,
            Hashing(cache=DigestCache(tmp_path / "digests.json"), progress=ignore) as hashing,
        ):
            environ = {"OLLAMA_MODELS": str(folder)}
            require_server_space(
                client, image, digests=lambda: hashing.digests(image), copies=copies, environ=environ
            )

    return one


@pytest.fixture
def size(shards):
    return sum(path.stat().st_size for path in shards)


def test_where_there_is_room_nothing_is_asked(require, server, size):
    require(free=size)
    require(free=3 * size, copies=3)
    assert server.endpoints() == []


def test_too_little_space_is_an_error_with_bytes_folder_and_hint(require, server, size):
    with pytest.raises(NotEnoughSpace) as caught:
        require(free=size - 1)
    blobs = server.store.folder / "blobs"
    assert str(caught.value) == f"not enough space in {blobs}: {size:,} bytes needed, {size - 1:,} free"
    assert "gguf2ollama rm" in caught.value.hint
    assert caught.value.exit_code == 7
    assert list(blobs.iterdir()) == []


def test_a_model_that_is_rewritten_needs_room_for_every_copy(require, size):
    with pytest.raises(
        NotEnoughSpace, match=f"{3 * size:,} bytes needed, .* free, since this Ollama rewrites"
    ) as caught:
        require(free=3 * size - 1, copies=3)
    assert "pull" in caught.value.hint


def test_what_is_there_already_needs_no_room(require, server, shards, size):
    LocalStore(server.store.folder).add_bytes(shards[0].read_bytes())
    require(free=size - shards[0].stat().st_size)
    with pytest.raises(NotEnoughSpace):
        require(free=size - shards[0].stat().st_size - 1)


def test_what_a_pull_left_that_was_broken_off_needs_no_room(require, server, shards, size):
    digest = Digest(hashlib.sha256(shards[0].read_bytes()).hexdigest())
    partial = server.store.folder / "blobs" / f"{digest.blob_name}-partial"
    partial.write_bytes(b"\1" * shards[0].stat().st_size)
    if not partial.stat().st_blocks:
        pytest.skip("this file system does not report the blocks of a file")
    require(free=size - shards[0].stat().st_size)


def test_holes_of_what_a_pull_left_need_room(require, server, shards, size):
    digest = Digest(hashlib.sha256(shards[0].read_bytes()).hexdigest())
    with (server.store.folder / "blobs" / f"{digest.blob_name}-partial").open("wb") as stream:
        stream.truncate(shards[0].stat().st_size)
    with pytest.raises(NotEnoughSpace):
        require(free=size - 1)


def test_the_disk_of_a_store_that_is_not_the_servers_does_not_count(require, tmp_path):
    (tmp_path / "other" / "blobs").mkdir(parents=True)
    require(free=0, folder=tmp_path / "other")
    assert list((tmp_path / "other" / "blobs").iterdir()) == []


def test_the_disk_of_another_machine_is_not_counted_here(require, server):
    require(free=0, host=ServerAddress.parse("192.0.2.7:11434"))
    assert server.endpoints() == []


def test_a_missing_folder_is_not_taken_for_a_store(require, tmp_path):
    require(free=0, folder=tmp_path / "nowhere")


@pytest.mark.parametrize("version", ["0.34.4", "0.40.0", "0.40.2"])
def test_a_store_that_is_not_ours_to_write_is_known_by_its_models(
    require, server, gguf, size, monkeypatch, version
):
    """The servers of 0.40 are fakes, and the layout of their store is a fixture."""
    folder = server.store.folder
    manifest = add_model(folder, gguf.read_bytes())
    monkeypatch.setattr(LocalStore, "is_writable", False)
    with FakeOllama(version=version) as known:
        require(free=size - 1, host=known.url)
        known.store.folder = folder
        path = (write_v2 if known.store.features.manifests_v2 else write_old)(
            folder, "library/m/latest", manifest
        )
        known.store.look_into_folder()
        if not known.store.features.manifests_v2:  # that fake has digests of its own
            monkeypatch.setattr("tests.fakes.ollama_store.Model.digest", Digest.of(path.read_bytes()).hex)
        with pytest.raises(NotEnoughSpace, match="bytes needed"):
            require(free=size - 1, host=known.url)


@pytest.mark.parametrize("version", ["0.40.0", "0.40.2"])
def test_a_store_is_known_by_a_model_that_was_rewritten(require, server, gguf, size, monkeypatch, version):
    folder = server.store.folder
    migrate(folder, "library/m/latest", add_model(folder, gguf.read_bytes()), gguf.read_bytes() + b"more")
    monkeypatch.setattr(LocalStore, "is_writable", False)
    with FakeOllama(version=version) as known:
        known.store.folder = folder
        with pytest.raises(NotEnoughSpace, match="bytes needed"):
            require(free=size - 1, host=known.url)
