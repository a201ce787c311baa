"""A blob is believed if we wrote or hashed it, and else hashed: a damaged one is replaced."""

import os
import time

import pytest

from gguf2ollama.oci import Digest
from gguf2ollama.ollama import store
from tests.builders import tiny_llama


def build(call, source, tmp_path, *options):
    done = call("build", source, "--name", "mine", "--store", tmp_path / "store", "--no-verify", *options)
    assert done.code == 0
    return done


def blob_of(tmp_path):
    blobs = (tmp_path / "store" / "blobs").iterdir()
    return max(blobs, key=lambda path: path.stat().st_size)


def damage(blob, content):
    """Put a file with other bytes in the place of a blob, as a crash or another program does."""
    blob.unlink()
    blob.write_bytes(content)


def hashed(monkeypatch):
    """Record which blobs are hashed."""
    found = []
    hash_it = store.has_digest
    monkeypatch.setattr(
        store, "has_digest", lambda path, *rest, **how: found.append(path) or hash_it(path, *rest, **how)
    )
    return found


@pytest.mark.parametrize("kind", ["zeros", "one bit", "shorter", "longer"])
def test_a_damaged_blob_is_replaced(call, gguf, tmp_path, kind):
    build(call, gguf, tmp_path)
    blob, content = blob_of(tmp_path), gguf.read_bytes()
    wrong = bytearray(content)
    wrong[len(wrong) // 2] ^= 1
    damage(
        blob,
        {"zeros": bytes(len(content)), "one bit": wrong, "shorter": content[:-1], "longer": content + b"\0"}[
            kind
        ],
    )
    done = build(call, gguf, tmp_path)
    assert f"{gguf.name}: the model directory has a damaged copy, which is replaced" in done.err
    assert blob.read_bytes() == content == gguf.read_bytes()


def test_a_blob_that_was_built_is_never_hashed_even_if_ollama_touched_it(call, gguf, tmp_path, monkeypatch):
    found = hashed(monkeypatch)
    build(call, gguf, tmp_path)
    build(call, gguf, tmp_path)
    now = time.time_ns()
    os.utime(blob_of(tmp_path), ns=(now, now))
    done = build(call, gguf, tmp_path)
    assert "already exists" in done.err
    assert blob_of(tmp_path) not in found


def test_a_blob_of_another_program_is_hashed_once(call, gguf, tmp_path, monkeypatch):
    build(call, gguf, tmp_path)
    blob = blob_of(tmp_path)
    damage(blob, gguf.read_bytes())
    found = hashed(monkeypatch)
    for _ in range(2):
        build(call, gguf, tmp_path)
    assert found.count(blob) == 1


def test_rehash_hashes_what_is_known(call, gguf, tmp_path, monkeypatch):
    build(call, gguf, tmp_path)
    blob = blob_of(tmp_path)
    damage(blob, gguf.read_bytes())
    build(call, gguf, tmp_path)
    found = hashed(monkeypatch)
    build(call, gguf, tmp_path, "--rehash")
    assert blob in found


@pytest.fixture
def base(tmp_path):
    """A model without chat template, whose header nothing changes."""
    return tiny_llama(tmp_path / "Tiny-Base-Q4_K_M.gguf", chat_template=None)


@pytest.fixture
def models(server, tmp_path, monkeypatch):
    """The server's model directory, which is on this machine."""
    server.store.folder = tmp_path / "models"
    (tmp_path / "models" / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))
    return server.store.folder


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_damaged_blob_of_a_server_on_this_machine_is_sent_again(call, server, base, models, via):
    content = base.read_bytes()
    digest = Digest.of(content)
    blob = models / "blobs" / digest.blob_name
    blob.write_bytes(bytes(len(content)))
    done = call("build", base, "--name", "mine", "--via", via, "--no-load")
    assert done.code == 0
    assert f"{base.name}: the server has a damaged copy, which is replaced" in done.err
    assert not blob.exists()
    assert server.store.blobs[str(digest)] == content  # which the fake keeps in memory


def test_a_damaged_blob_that_only_its_owner_can_replace_is_named(call, server, base, models, monkeypatch):
    blob = models / "blobs" / Digest.of(base.read_bytes()).blob_name
    blob.write_bytes(bytes(base.stat().st_size))
    monkeypatch.setattr("gguf2ollama.install.blobs.is_store_of", lambda *_: True)  # by its models
    monkeypatch.setattr(store.LocalStore, "is_writable", False)
    done = call("build", base, "--name", "other", "--via", "upload", "--no-load")
    assert done.code == 5
    assert f"the server has a damaged copy of {base.name}: {blob}" in done.err
    assert f"delete {blob}" in done.err
