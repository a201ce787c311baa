from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from gguf2ollama.api.build import build
from gguf2ollama.chat.reference.process import WorkerProcess
from gguf2ollama.errors import FileChanged
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.names import ModelName
from gguf2ollama.ollama.store import LocalStore
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf")


class Meddler:
    """Changes a file while it is hashed: so many times."""

    def __init__(self, path: Path, *, times: int) -> None:
        self.path = path
        self.left = times

    def __call__(self, update) -> None:
        if update.task.startswith("hashing") and update.done == update.total and self.left:
            self.left -= 1
            status = self.path.stat()
            os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize("via", ["pull", "upload"])
@pytest.mark.parametrize("times", [1, 5])
def test_a_file_touched_while_it_is_read_starts_the_build_over(model, via, times):
    notes = []
    with FakeOllama(version="0.34.4") as server:
        build(
            model,
            name="mine",
            host=server.url,
            via=via,
            verify=False,
            progress=Meddler(model, times=times),
            notify=notes.append,
        )
        assert list(server.store.models) == ["mine:latest"]
    assert [one for one in notes if "changed" in one] == [
        f"{model} changed while it was being read; starting over"
    ] * times


def test_a_change_before_the_build_starts_over_is_in_the_model(model, tmp_path):
    changed = model.read_bytes()[:-4] + b"\1\2\3\4"

    def change(update):
        if update.task.startswith("hashing") and model.read_bytes() != changed:
            model.write_bytes(changed)

    build(model, name="mine", store=tmp_path / "store", verify=False, progress=change)

    manifest = LocalStore(tmp_path / "store").read_manifest(ModelName.parse("mine"))
    blob = LocalStore(tmp_path / "store").blob_path(manifest.layers[0].digest)
    assert blob.read_bytes() == changed


def test_a_change_between_hash_and_link_is_never_stored_under_the_old_digest(model, tmp_path, monkeypatch):
    changed = model.read_bytes()[:-4] + b"\1\2\3\4"
    link_file = LocalStore.link_file

    def change_and_link(store, path, digest, **how):
        if model.read_bytes() != changed:
            model.write_bytes(changed)
            os.utime(model, ns=(1, model.stat().st_mtime_ns + 1_000_000))
        return link_file(store, path, digest, **how)

    monkeypatch.setattr(LocalStore, "link_file", change_and_link)
    notes = []
    build(model, name="mine", store=tmp_path / "store", verify=False, notify=notes.append)

    blobs = {path.name: path.read_bytes() for path in (tmp_path / "store" / "blobs").iterdir()}
    assert {name: f"sha256-{hashlib.sha256(content).hexdigest()}" for name, content in blobs.items()} == {
        name: name for name in blobs
    }
    assert changed in blobs.values()
    assert f"{model} changed while it was being read; starting over" in notes


def test_a_file_that_does_not_rest_is_refused(model, tmp_path):
    with pytest.raises(FileChanged, match=r"tiny\.gguf changed while it was being read"):
        build(model, name="mine", store=tmp_path / "store", verify=False, progress=Meddler(model, times=99))
    assert not list(tmp_path.rglob("manifests/*/*/*/*"))
    assert not DigestCache()._entries


def test_a_file_that_is_written_to_again_and_again_is_read_twice(model, tmp_path):
    written = []

    def write(update):
        if update.task.startswith("hashing") and update.done == update.total:
            written.append(model.write_bytes(model.read_bytes()))

    with pytest.raises(FileChanged, match=r"tiny\.gguf changed while it was being read"):
        build(model, name="mine", store=tmp_path / "store", verify=False, progress=write)
    assert len(written) == 2


def test_one_process_renders_for_the_plan_and_for_the_check_on_the_server(model, monkeypatch):
    started = []

    def start(limits):
        started.append(limits)
        return WorkerProcess(limits)

    monkeypatch.setattr("gguf2ollama.chat.reference.renderer.WorkerProcess", start)
    with FakeOllama(version="0.34.4") as server:
        build(model, name="mine", host=server.url, via="pull")
    assert len(started) == 1
