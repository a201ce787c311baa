"""Ollama's store on disk."""

import errno
import io
import os
import sys

import pytest

from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.refs import ModelName

CONTENT = b"a model" * 1000
NAME = ModelName.parse("me/model:tag")


@pytest.fixture
def store(tmp_path):
    store = LocalStore(tmp_path / "store")
    store.require(1)
    return store


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    path.chmod(0o644)
    return path


def blob(store, content=CONTENT):
    return store.root / "blobs" / Digest.of(content).blob_name


def test_a_file_is_linked_not_copied(store, source):
    assert store.link_file(source, Digest.of(CONTENT), size=len(CONTENT)) == "linked"
    assert blob(store).samefile(source)
    assert store.link_file(source, Digest.of(CONTENT), size=len(CONTENT)) == "there"


def test_a_file_behind_a_symbolic_link_is_linked_itself(store, source, tmp_path):
    link = tmp_path / "link.gguf"
    link.symlink_to(source)
    assert store.link_file(link, Digest.of(CONTENT), size=len(CONTENT)) == "linked"
    assert not blob(store).is_symlink()
    assert blob(store).samefile(source)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.ENOTSUP])
def test_a_file_that_cannot_be_linked_has_to_be_copied(store, source, monkeypatch, code):
    def refuse(*_arguments):
        raise OSError(code, "no link")

    monkeypatch.setattr(os, "link", refuse)
    assert store.link_file(source, Digest.of(CONTENT), size=len(CONTENT)) is None
    seen = []
    with source.open("rb") as stream:
        arrival = store.add_stream(
            stream, Digest.of(CONTENT), size=len(CONTENT), task="copying", progress=seen.append
        )
    assert arrival == "copied"
    assert blob(store).read_bytes() == CONTENT
    assert not blob(store).samefile(source)
    assert seen[-1].is_complete


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_private_file_is_copied_so_that_the_server_can_read_it(store, source):
    source.chmod(0o600)
    assert store.link_file(source, Digest.of(CONTENT), size=len(CONTENT)) is None


def test_a_copy_that_is_not_what_was_hashed_is_refused(store):
    wrong = io.BytesIO(b"b" * len(CONTENT))
    with pytest.raises(InvalidInput, match="digest"):
        store.add_stream(wrong, Digest.of(CONTENT), size=len(CONTENT), task="copying")
    assert list((store.root / "blobs").iterdir()) == []


def test_a_blob_that_is_there_is_not_touched(store):
    digest = store.add_bytes(CONTENT)
    before = blob(store).stat()
    assert store.add_bytes(CONTENT) == digest
    after = blob(store).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_damaged_blob_is_named_and_left_to_its_owner(store, source):
    blob(store).write_bytes(b"short")
    with pytest.raises(InvalidInput, match="5 bytes") as caught:
        store.link_file(source, Digest.of(CONTENT), size=len(CONTENT))
    assert "remove" in caught.value.hint
    assert blob(store).read_bytes() == b"short"


def manifest_of(*contents):
    descriptors = [
        Descriptor(media_type=MediaType.MODEL.value, digest=Digest.of(content), size=len(content))
        for content in contents
    ]
    return Manifest(config=descriptors[0], layers=tuple(descriptors[1:]))


def test_a_manifest_reads_back(store):
    for content in (b"config", b"layer"):
        store.add_bytes(content)
    manifest = manifest_of(b"config", b"layer")
    assert store.read_manifest(NAME) is None
    store.write_manifest(NAME, manifest)
    assert store.read_manifest(NAME) == manifest
    assert (store.root / "manifests/registry.ollama.ai/me/model/tag").is_file()


def test_a_manifest_is_not_written_before_its_blobs(store):
    store.add_bytes(b"config")
    with pytest.raises(InvalidInput, match="is not in"):
        store.write_manifest(NAME, manifest_of(b"config", b"missing"))
    assert store.read_manifest(NAME) is None


def test_nothing_is_written_through_a_link_that_leads_out(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (store.root / "manifests").mkdir()
    (store.root / "manifests" / "registry.ollama.ai").symlink_to(outside)
    store.add_bytes(b"config")
    with pytest.raises(UsageProblem, match="leads out"):
        store.write_manifest(NAME, manifest_of(b"config"))
    assert list(outside.iterdir()) == []


def test_a_store_that_is_itself_behind_a_link_is_used(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    store = LocalStore(tmp_path / "link")
    store.require(1)
    store.add_bytes(CONTENT)
    assert blob(store).is_file()
