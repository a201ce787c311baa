"""Ollama's store on disk."""

import ctypes
import errno
import os
import shutil
import stat
import sys
import time
from pathlib import Path

import pytest

from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, UsageProblem
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType
from gguf2ollama.ollama.store import LocalStore, _clonefile

CONTENT = b"a model" * 1000
DIGEST = Digest.of(CONTENT)
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
    assert store.link_file(source, Digest.of(CONTENT)) == "hardlinked"
    assert blob(store).samefile(source)
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "intact"


def test_a_file_behind_a_symbolic_link_is_linked_itself(store, source, tmp_path):
    link = tmp_path / "link.gguf"
    link.symlink_to(source)
    assert store.link_file(link, DIGEST) == "hardlinked"
    assert not blob(store).is_symlink()
    assert blob(store).samefile(source)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.ENOTSUP])
def test_a_file_that_cannot_be_linked_has_to_be_copied(store, source, monkeypatch, code):
    def refuse(*_arguments):
        raise OSError(code, "no link")

    monkeypatch.setattr(os, "link", refuse)
    assert store.link_file(source, DIGEST) is None
    assert list((store.root / "blobs").iterdir()) == []
    assert copy_into(store) == "copied"
    assert blob(store).read_bytes() == CONTENT
    assert not blob(store).samefile(source)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_private_file_is_copied_so_that_the_server_can_read_it(store, source):
    source.chmod(0o600)
    assert store.link_file(source, DIGEST) is None


class Records:
    """What is known of blobs, kept in memory."""

    def __init__(self):
        self.known = {}

    def knows(self, blob, digest):
        return self.known.get(blob) == digest

    def learn_blob(self, blob, digest):
        self.known[blob] = digest


DAMAGE = {
    "shorter": b"short",
    "longer": CONTENT + b"!",
    "other bytes": CONTENT[::-1],
    "zeros": bytes(len(CONTENT)),
}


@pytest.mark.parametrize("damaged", DAMAGE.values(), ids=DAMAGE)
def test_a_blob_that_nobody_vouches_for_is_hashed(store, source, damaged):
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "missing"
    blob(store).write_bytes(damaged)
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "damaged"
    blob(store).write_bytes(CONTENT)
    seen = []
    assert store.check_blob(DIGEST, size=len(CONTENT), progress=seen.append) == "intact"
    assert seen[-1].is_complete


@pytest.mark.parametrize("damaged", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("way", ["link", "copy", "bytes"])
def test_a_damaged_blob_is_written_again_and_what_is_linked_to_it_stays(
    store, source, damaged, way, tmp_path
):
    blob(store).write_bytes(damaged)
    (tmp_path / "theirs.gguf").hardlink_to(blob(store))
    if way == "link":
        assert store.link_file(source, DIGEST) in {"hardlinked", "reflinked"}
    elif way == "copy":
        assert copy_into(store) == "copied"
    else:
        store.add_bytes(CONTENT)
    assert blob(store).read_bytes() == CONTENT
    assert (tmp_path / "theirs.gguf").read_bytes() == damaged
    assert [path.name for path in blob(store).parent.iterdir()] == [DIGEST.blob_name]


def test_a_blob_is_hashed_once(store, monkeypatch):
    known = LocalStore(store.root, Records())
    blob(store).write_bytes(CONTENT)
    assert known.check_blob(DIGEST, size=len(CONTENT)) == "intact"
    monkeypatch.setattr("gguf2ollama.ollama.store.hash_stream", pytest.fail)
    assert known.check_blob(DIGEST, size=len(CONTENT)) == "intact"


def test_a_blob_that_is_the_file_that_was_hashed_is_not_hashed(store, source, monkeypatch):
    store.link_file(source, DIGEST)
    monkeypatch.setattr("gguf2ollama.ollama.store.hash_stream", pytest.fail)
    assert store.check_blob(DIGEST, size=len(CONTENT), source=source) == "intact"


def test_what_is_not_a_file_is_left_to_its_owner(store, source):
    blob(store).mkdir()
    with pytest.raises(UsageProblem, match="is not a file") as caught:
        store.check_blob(DIGEST, size=len(CONTENT))
    assert "remove" in caught.value.hint


def copy_into(store):
    return store.add_file(lambda target: os.write(target.fileno(), CONTENT), DIGEST, size=len(CONTENT))


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
    with pytest.raises(InvalidInput, match="is missing in"):
        store.write_manifest(NAME, manifest_of(b"config", b"missing"))
    assert store.read_manifest(NAME) is None


def test_nothing_is_written_through_a_link_that_leads_out(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (store.root / "manifests").mkdir()
    (store.root / "manifests" / "registry.ollama.ai").symlink_to(outside)
    store.add_bytes(b"config")
    with pytest.raises(UsageProblem, match="symbolic link out of"):
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


def test_a_manifest_that_is_not_yet_whole_lies_where_no_server_looks_for_one(store, monkeypatch):
    store.add_bytes(b"config")
    seen = []
    replace = Path.replace

    def watch(self, target):
        seen.append(self.relative_to(store.root))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    store.write_manifest(NAME, manifest_of(b"config"))
    assert [path.parts[:-1] for path in seen] == [("manifests",)]
    assert sorted(path.name for path in (store.root / "manifests").iterdir()) == ["registry.ollama.ai"]


def test_a_folder_that_a_server_removes_meanwhile_is_made_again(store, monkeypatch):
    store.add_bytes(b"config")
    made, make = [], LocalStore._make_folder

    def make_and_lose(self, folder):
        make(self, folder)
        if "manifests" in folder.parts and len(made) < 3:
            made.append(folder)
            folder.rmdir()

    monkeypatch.setattr(LocalStore, "_make_folder", make_and_lose)
    store.write_manifest(NAME, manifest_of(b"config"))
    assert len(made) == 3
    assert store.read_manifest(NAME) is not None


def test_a_blob_that_is_there_is_not_touched(store, source):
    store.add_bytes(CONTENT)
    before = blob(store).stat()
    store.add_bytes(CONTENT)
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "intact"
    after = blob(store).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_mode,
    )


def test_a_blob_may_be_a_symbolic_link_to_a_file_of_its_length(store, source, tmp_path):
    blob(store).symlink_to(source)
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "intact"
    blob(store).unlink()
    (tmp_path / "short").write_bytes(b"short")
    blob(store).symlink_to(tmp_path / "short")
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "damaged"
    store.link_file(source, DIGEST)
    assert blob(store).read_bytes() == CONTENT
    assert (tmp_path / "short").read_bytes() == b"short"


def test_a_symbolic_link_is_made_where_no_other_is_possible_and_it_is_asked_for(store, source, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr("gguf2ollama.ollama.store._ioctl", lambda: None)
    monkeypatch.setattr(os, "link", refuse)
    assert store.link_file(source, DIGEST) is None
    assert store.link_file(source, DIGEST, symbolic=True) == "symlinked"
    assert blob(store).readlink() == source.resolve()


def test_a_symbolic_link_to_a_file_that_is_gone_is_replaced(store, source, tmp_path):
    blob(store).symlink_to(tmp_path / "gone")
    assert store.check_blob(DIGEST, size=len(CONTENT)) == "missing"
    assert store.link_file(source, DIGEST) in {"hardlinked", "reflinked"}
    assert blob(store).read_bytes() == CONTENT


def test_blobs_behind_a_link_that_leads_out_are_not_written(store, source, tmp_path):
    outside = tmp_path / "outside"
    (store.root / "blobs").rename(outside)
    (store.root / "blobs").symlink_to(outside)
    assert not store.is_writable
    with pytest.raises(UsageProblem, match="symbolic link out of"):
        store.link_file(source, DIGEST)
    assert list(outside.iterdir()) == []


def test_a_clone_that_the_file_system_refuses_leaves_nothing(store, source, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.EOPNOTSUPP, "no clones here")

    monkeypatch.setattr("gguf2ollama.ollama.store._ioctl", lambda: refuse)
    assert store.link_file(source, DIGEST) == "hardlinked"
    assert [path.name for path in (store.root / "blobs").iterdir()] == [Digest.of(CONTENT).blob_name]


def test_macos_clones_by_a_call_of_its_own(store, source, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.store._ioctl", lambda: None)
    monkeypatch.setattr("gguf2ollama.ollama.store._clonefile", lambda: shutil.copyfile)
    assert store.link_file(source, DIGEST) == "reflinked"
    assert not blob(store).samefile(source)
    assert blob(store).read_bytes() == CONTENT


def test_the_call_of_macos_reports_errors_as_others_do(monkeypatch, tmp_path):
    class Library:
        def clonefile(self, _source, _target, _flags):
            ctypes.set_errno(errno.EXDEV)
            return -1

    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("ctypes.CDLL", lambda *_arguments, **_options: Library())
    with pytest.raises(OSError, match=r"(?i)cross-device"):
        _clonefile()(tmp_path / "a", tmp_path / "b")


def test_a_clone_is_taken_before_a_link(store, source, monkeypatch):
    def clone(target, _request, original):
        os.write(target, os.pread(original, len(CONTENT), 0))

    monkeypatch.setattr("gguf2ollama.ollama.store._ioctl", lambda: clone)
    source.chmod(0o600)
    assert store.link_file(source, DIGEST) == "reflinked"
    assert blob(store).read_bytes() == CONTENT
    assert not blob(store).samefile(source)
    assert stat.S_IMODE(blob(store).stat().st_mode) == 0o644


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_what_is_written_can_be_read_by_the_server_whatever_the_mask(store, tmp_path):
    mask = os.umask(0o077)
    try:
        store.add_bytes(b"config")
        copy_into(store)
        store.write_manifest(NAME, manifest_of(b"config", CONTENT))
    finally:
        os.umask(mask)
    written = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(written) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o644}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_the_owner_of_the_store(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    os.chown(root, 65534, 65534)
    store = LocalStore(root)
    store.require(1)
    store.add_bytes(b"config")
    copy_into(store)
    store.write_manifest(NAME, manifest_of(b"config", CONTENT))
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (root, *root.rglob("*"))}
    assert owners == {(65534, 65534)}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_store_of_another_user_keeps_its_owner_for_root_alone(store, monkeypatch):
    os.chown(store.root / "blobs", 65534, 65534)
    assert store.keeps_owner
    monkeypatch.setattr(os, "geteuid", lambda: 4321)  # who still writes as root, whom the group may be
    assert not store.keeps_owner
    assert [*(store.root / "blobs").iterdir()] == []


def test_a_file_system_with_one_owner_for_all_keeps_it(store, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert store.keeps_owner


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_than_the_stores_is_not_linked(store, source, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.store._ioctl", lambda: None)
    os.chown(source, 4321, 4321)
    assert store.link_file(source, DIGEST) is None
    os.chown(store.root / "blobs", 4321, 4321)
    assert store.link_file(source, DIGEST) == "hardlinked"


def test_a_folder_that_cannot_be_looked_into_is_no_store_of_ours(store, monkeypatch):
    def refuse(self, **_options):
        raise PermissionError(errno.EACCES, "not yours", str(self))

    assert store.is_writable
    monkeypatch.setattr(Path, "stat", refuse)
    assert not store.is_writable
    with pytest.raises(UsageProblem):
        store.add_bytes(CONTENT)


def test_a_store_that_is_no_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Gguf2OllamaError):
        LocalStore(tmp_path / "file").require(1)


def test_what_a_killed_process_left_is_removed_when_it_is_old(store):
    folder = store.root / "blobs"
    name = Digest.of(CONTENT).blob_name
    old, young, other = (folder / f".{name}.{token * 12}.part" for token in "abz")
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 3700,) * 2)
    store.add_bytes(CONTENT)
    assert set(folder.iterdir()) == {young, other, blob(store)}
    elsewhere = store.root / "manifests" / f".latest.{'c' * 12}.part"
    elsewhere.parent.mkdir()
    theirs = folder / "sha256-0123-partial"
    another = folder / f".sha256-0.{'d' * 12}.part"
    for path in (elsewhere, theirs, another):
        path.touch()
        os.utime(path, (time.time() - 3700,) * 2)
    store.require(1)
    assert set(folder.iterdir()) == {young, other, theirs, blob(store)}
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"layers": 1}', b'{"layers": [], "config": {"digest": "sha256:../../x"}}']
)
def test_a_manifest_that_is_none_is_refused(store, content):
    path = store.root.joinpath("manifests", *NAME.manifest_parts)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        store.read_manifest(NAME)
