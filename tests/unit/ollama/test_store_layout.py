"""The two layouts of a store; that of Ollama 0.40 stands on fixtures (``tests/stores.py``), not on a 0.40."""

import contextlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, Manifest, ManifestEntry, ManifestList
from gguf2ollama.ollama.store import LocalStore
from tests.stores import (
    add_blob,
    add_model,
    anchor_of,
    entry_of,
    old_path,
    v2_path,
    write_file,
    write_link,
    write_old,
    write_v2,
)

NAME, PATH = ModelName.parse("me/smol:q4"), "me/smol/q4"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(root):
    return LocalStore(root)


@pytest.fixture
def models(root):
    """Two models whose blobs are there, and that have no name yet."""
    return add_model(root, b"first"), add_model(root, b"second", runner="llamacpp")


# reading


def test_a_model_is_read_in_either_layout(store, root, models):
    write_old(root, PATH, models[0])
    assert store.read_manifest(NAME) == models[0]
    write_v2(root, "library/other/latest", models[1])
    assert store.read_manifest(ModelName.parse("other")) == models[1]
    assert store.read_manifest(ModelName.parse("registry.ollama.ai/library/other:latest")) == models[1]
    assert store.read_manifest(ModelName.parse("another")) is None


def test_the_newer_layout_goes_before_the_older(store, root, models):
    write_old(root, PATH, models[0])
    write_v2(root, PATH, models[1])
    assert store.read_manifest(NAME) == models[1]


def test_an_older_ollama_reads_the_older_layout_alone(store, root, models):
    write_v2(root, PATH, models[1])
    assert store.read_manifest(NAME, reads_v2=False) is None
    write_old(root, PATH, models[0])
    assert store.read_manifest(NAME, reads_v2=False) == models[0]
    assert store.read_manifest(ModelName.parse("ME/smol:q4"), reads_v2=False) == models[0]


def test_a_copy_is_read_where_there_are_no_links(store, root, models):
    write_file(v2_path(root, PATH), models[1].to_bytes())
    assert store.read_manifest(NAME) == models[1]


def test_a_registry_with_a_port_is_found(store, root, models):
    digest = add_blob(root, models[0].to_bytes())
    path = v2_path(root, PATH, host="127.0.0.1%3A5000")
    write_link(path, f"../../../../blobs/{digest.blob_name}")
    entry = store.find(ModelName.parse("127.0.0.1:5000/me/smol:q4"))
    assert entry.path == path
    assert store.find(ModelName.parse("127.0.0.1:5000/Me/Smol:q4")).path == path


def test_a_name_that_differs_only_in_case_is_found(store, root, models):
    write_v2(root, "library/Smol/Q4", models[0])
    write_old(root, "library/Old/latest", models[1])
    assert store.read_manifest(ModelName.parse("smol:q4")) == models[0]
    assert store.read_manifest(ModelName.parse("OLD")) == models[1]


def test_of_a_list_the_manifest_for_llama_cpp_is_read_else_the_first_that_can_be(store, root, models):
    ggml, llamacpp = add_model(root, b"a", runner="ggml"), add_model(root, b"b", runner="llamacpp")
    gone = ManifestEntry(digest=Digest.of(b"gone"), runner="mlx", format="safetensors")
    entries = (gone, entry_of(root, ggml), entry_of(root, llamacpp))
    write_v2(root, PATH, ManifestList(entries=entries))
    assert store.read_manifest(NAME) == llamacpp
    (root / "blobs" / entries[2].digest.blob_name).unlink()
    assert store.read_manifest(NAME) == ggml
    (root / "blobs" / entries[1].digest.blob_name).write_bytes(b"{}")
    with pytest.raises(InvalidInput, match="no manifest in its list can be read"):
        store.read_manifest(NAME)


def test_a_manifest_for_a_runner_that_is_not_known_is_read(store, root):
    manifest = add_model(root, b"weights", runner="of-tomorrow")
    write_v2(root, PATH, manifest)
    assert store.read_manifest(NAME) == manifest


def test_a_link_that_leads_nowhere_is_said_unless_the_older_layout_has_the_name(store, root, models):
    write_link(v2_path(root, PATH), "../../../../blobs/sha256-" + "0" * 64)
    with pytest.raises(InvalidInput, match=r"me/smol/q4: dangling link to ") as caught:
        store.read_manifest(NAME)
    assert "build or pull the model again" in caught.value.hint
    write_old(root, PATH, models[0])
    assert store.read_manifest(NAME) == models[0]


@pytest.mark.parametrize("target", ["outside/manifest", "store/blobs/other", "store", "store/blobs/link"])
def test_a_link_to_anything_but_a_blob_is_said(store, root, models, tmp_path, target):
    write_file(tmp_path / "outside/manifest", models[0].to_bytes())
    write_file(root / "blobs/other", models[0].to_bytes())
    (root / "blobs/link").symlink_to(tmp_path / "outside/manifest")
    write_link(v2_path(root, PATH), tmp_path / target)
    with pytest.raises(InvalidInput, match="not a blob of this store"):
        store.read_manifest(NAME)


def test_a_link_in_a_ring_is_said(store, root):
    write_link(v2_path(root, PATH), "q4")
    with pytest.raises(InvalidInput, match="dangling link"):
        store.read_manifest(NAME)


def test_a_manifest_that_is_not_what_its_link_says_is_damaged(store, root, models):
    path = write_v2(root, PATH, models[0])
    path.resolve().write_bytes(models[1].to_bytes())
    with pytest.raises(InvalidInput, match="is damaged"):
        store.read_manifest(NAME)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(store, root):
    v2_path(root, PATH).parent.mkdir(parents=True)
    os.mkfifo(v2_path(root, PATH))
    with pytest.raises(InvalidInput, match="is not a file"):
        store.read_manifest(NAME)


@given(content=st.binary(max_size=300))
def test_whatever_stands_under_a_name_is_a_manifest_or_an_error(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("store")
    write_file(v2_path(root, PATH), content)
    with contextlib.suppress(InvalidInput):
        LocalStore(root).read_manifest(NAME)


# writing


def test_a_new_store_gets_the_layout_that_every_version_reads(store, root, models):
    store.write_manifest(NAME, models[0])
    assert old_path(root, PATH).read_bytes() == models[0].to_bytes()
    assert not (root / "manifests-v2").exists()


def test_a_new_name_is_written_to_the_older_layout_beside_the_newer(store, root, models):
    write_v2(root, "me/other/q4", models[1])
    store.write_manifest(NAME, models[0])
    assert old_path(root, PATH).is_file()
    assert not os.path.lexists(v2_path(root, PATH))


def test_a_name_in_the_newer_layout_is_changed_there(store, root, models):
    before = write_v2(root, PATH, models[1])
    write_old(root, PATH, models[1])
    assert store.write_manifest(NAME, models[0]) == NAME
    digest = Digest.of(models[0].to_bytes())
    assert before.readlink() == Path("../../../../blobs", digest.blob_name)
    assert before.read_bytes() == models[0].to_bytes()
    older = Manifest.parse(old_path(root, PATH).read_bytes())
    assert older == anchor_of(models[0], models[0]), "what 0.40 keeps for older versions"
    assert store.read_manifest(NAME) == models[0]
    assert [path.name for path in (root / "manifests-v2").iterdir()] == ["ollama.com"]


def test_a_name_that_the_older_layout_may_not_have_is_not_changed_in_the_newer(store, root, models, tmp_path):
    write_v2(root, PATH, models[1])
    (tmp_path / "outside").mkdir()
    write_link(root / "manifests", tmp_path / "outside")
    with pytest.raises(UsageProblem, match="symbolic link out of the store"):
        store.write_manifest(NAME, models[0])
    assert store.read_manifest(NAME) == models[1]
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_copy_in_the_newer_layout_stays_a_copy(store, root, models):
    write_file(v2_path(root, PATH), models[1].to_bytes())
    store.write_manifest(NAME, models[0])
    assert not v2_path(root, PATH).is_symlink()
    assert v2_path(root, PATH).read_bytes() == models[0].to_bytes()


def test_a_copy_does_where_no_link_can_be_made(store, root, models, monkeypatch):
    write_v2(root, PATH, models[1])

    def refuse(*_arguments, **_options):
        raise OSError(1, "no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    store.write_manifest(NAME, models[0])
    assert not v2_path(root, PATH).is_symlink()
    assert store.read_manifest(NAME) == models[0]
    assert add_blob(root, models[1].to_bytes()), "the manifest that was there is left alone"
    assert Manifest.parse((root / "blobs" / Digest.of(models[1].to_bytes()).blob_name).read_bytes())


def test_a_link_that_leads_nowhere_makes_room_for_what_every_version_reads(store, root, models):
    write_link(v2_path(root, PATH), "../../../../blobs/sha256-" + "0" * 64)
    store.write_manifest(NAME, models[0])
    assert old_path(root, PATH).is_file()
    assert not os.path.lexists(v2_path(root, PATH))
    assert store.read_manifest(NAME) == models[0]


def test_a_link_that_leads_out_is_replaced_and_not_written_through(store, root, models, tmp_path):
    outside = write_file(tmp_path / "manifest", models[1].to_bytes())
    write_link(v2_path(root, PATH), outside)
    store.write_manifest(NAME, models[0])
    assert outside.read_bytes() == models[1].to_bytes()
    assert store.read_manifest(NAME) == models[0]


@pytest.mark.parametrize("layout", ["manifests-v2", "manifests-v2/ollama.com", "manifests-v2/ollama.com/me"])
def test_nothing_is_written_through_a_folder_that_leads_out(store, root, models, tmp_path, layout):
    outside = tmp_path / "outside"
    inside = write_file(
        outside / v2_path(root, PATH).relative_to(root / layout),
        models[1].to_bytes(),
    )
    write_link(root / layout, outside)
    with pytest.raises(UsageProblem, match="symbolic link out of the store"):
        store.write_manifest(NAME, models[0])
    assert inside.read_bytes() == models[1].to_bytes()
    assert [path.name for path in outside.rglob("*") if path.is_file()] == ["q4"]


def test_a_name_that_differs_only_in_case_is_the_one_that_is_there(store, root, models):
    write_v2(root, "library/Smol/Q4", models[1])
    write_old(root, "library/Old/latest", models[1])
    assert store.write_manifest(ModelName.parse("smol:q4"), models[0]).short == "Smol:Q4"
    assert store.write_manifest(ModelName.parse("old"), models[0]).short == "Old:latest"
    assert sorted(str(path.relative_to(root)) for path in root.glob("manifest*/*/*/*/*")) == [
        "manifests-v2/ollama.com/library/Smol/Q4",
        "manifests/registry.ollama.ai/library/Old/latest",
        "manifests/registry.ollama.ai/library/Smol/Q4",
    ]
    assert store.read_manifest(ModelName.parse("SMOL:Q4")) == models[0]


def test_a_write_that_fails_leaves_the_model_as_it_was(store, root, models, monkeypatch):
    write_v2(root, PATH, models[1])

    def refuse(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(Exception, match="disk is full"):
        store.write_manifest(NAME, models[0])
    monkeypatch.undo()
    assert store.read_manifest(NAME) == models[1]
    assert [path.name for path in (root / "manifests-v2").iterdir()] == ["ollama.com"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_what_a_killed_write_left_is_cleared(store, root, models):
    write_v2(root, PATH, models[1])
    left = write_link(root / "manifests-v2" / f".q4.{'a' * 12}.part", "nowhere")
    os.utime(left, (0, 0), follow_symlinks=False)
    store.require(1)
    assert not left.is_symlink()
