"""What a changed header costs at a destination."""

import pytest

from gguf2ollama.fs import sharing
from gguf2ollama.install import destination
from gguf2ollama.install.destination import open_destination
from gguf2ollama.oci import Digest
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama


def opened(**options):
    return open_destination(
        **{"host": None, "ca_file": None, "store": None, "for_ollama": None, "via": "auto"} | options,
        notify=lambda _: None,
    )


@pytest.mark.parametrize("shares", [True, False])
def test_a_store_that_shares_bytes_copies_nothing(tmp_path, monkeypatch, shares):
    gguf = tiny_llama(tmp_path / "tiny.gguf")
    monkeypatch.setattr(destination, "shares_bytes", lambda _: shares)
    with opened(store=tmp_path / "new" / "store") as found:
        assert found.patch_copies(gguf, digests=(), symlink=False) is not shares
        unknown = tmp_path / "not" / "yet" / "downloaded.gguf"
        assert found.patch_copies(unknown, digests=(), symlink=False) is not shares


def test_a_store_on_another_file_system_copies_anyway_unless_it_has_symbolic_links(tmp_path, monkeypatch):
    gguf = tiny_llama(tmp_path / "tiny.gguf")
    real, devices = destination._existing, iter((1, 2, 1, 2))

    class Elsewhere:
        def __init__(self, path):
            self.path = real(path)

        def stat(self):
            return type("Status", (), {"st_dev": next(devices)})

    monkeypatch.setattr(destination, "_existing", Elsewhere)
    with opened(store=tmp_path / "store") as found:
        assert not found.patch_copies(gguf, digests=(), symlink=False)
        assert found.patch_copies(gguf, digests=(), symlink=True)


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_server_copies_what_it_does_not_have_anyway(tmp_path, via):
    gguf = tiny_llama(tmp_path / "tiny.gguf")
    digest = Digest.of(gguf.read_bytes())
    with FakeOllama() as server, opened(host=server.url, via=via) as found:
        assert not found.patch_copies(gguf, digests=(None, digest.hex), symlink=False)
        found.client.upload_blob(gguf, digest=digest, size=gguf.stat().st_size)
        assert found.patch_copies(gguf, digests=(None, digest.hex), symlink=False)


def test_it_is_tried_whether_files_share_bytes_and_nothing_is_left(tmp_path):
    (tmp_path / "store").mkdir()
    assert sharing.shares_bytes(tmp_path / "store" / "blobs") in {True, False}
    assert list((tmp_path / "store").iterdir()) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "can_share", lambda *_: True)
        assert sharing.shares_bytes(tmp_path) is True
    (tmp_path / "file").touch()
    assert sharing.shares_bytes(tmp_path / "file") is False
