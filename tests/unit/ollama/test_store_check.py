"""What is wrong with a store, in both layouts; that of 0.40 stands on fixtures (``tests/stores.py``)."""

import dataclasses
import os

import pytest

from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.oci import Digest, ManifestEntry, ManifestList
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.store_check import check_store
from tests.stores import (
    add_blob,
    add_model,
    anchor_of,
    entry_of,
    migrate,
    old_path,
    v2_path,
    write_file,
    write_link,
    write_old,
    write_v2,
)

PATH = "library/smol/latest"
WEIGHTS, CONVERTED = b"weights" * 1000, b"converted" * 1000


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def check(root):
    """Return a function that checks the store: level, path below the store and message of each finding."""

    def one(*, hash_blobs=True):
        return [
            (found.level, str(found.path.relative_to(root)), found.message)
            for found in check_store(LocalStore(root), hash_blobs=hash_blobs)
        ]

    return one


@pytest.mark.parametrize("write", [write_old, write_v2])
def test_a_healthy_store_of_either_layout_has_nothing_to_note(root, check, write):
    write(root, PATH, add_model(root, WEIGHTS))
    write(root, "me/other/q4", add_model(root, b"other", runner="llamacpp"))
    assert check() == []


def test_what_0_40_keeps_for_older_versions_is_nothing_to_note(root, check):
    manifest = add_model(root, WEIGHTS, runner="llamacpp")
    write_v2(root, PATH, manifest)
    write_old(root, PATH, anchor_of(manifest, manifest))
    assert check() == []


def test_a_copy_of_a_manifest_and_its_blob_are_nothing_to_note(root, check):
    manifest = add_model(root, WEIGHTS)
    add_blob(root, manifest.to_bytes())
    write_file(v2_path(root, PATH), manifest.to_bytes())
    assert check() == []


def test_of_a_list_not_every_manifest_has_to_be_there(root, check):
    llamacpp = add_model(root, WEIGHTS, runner="llamacpp")
    gone = ManifestEntry(digest=Digest.of(b"gone"), runner="mlx", format="safetensors")
    write_v2(root, PATH, ManifestList(entries=(gone, entry_of(root, llamacpp))))
    assert check() == []


def test_of_a_list_one_manifest_that_is_whole_is_enough(root, check):
    ggml, llamacpp = add_model(root, b"a", runner="ggml"), add_model(root, b"b", runner="llamacpp")
    write_v2(root, PATH, ManifestList(entries=(entry_of(root, ggml), entry_of(root, llamacpp))))
    blobs = [root / "blobs" / manifest.layers[0].digest.blob_name for manifest in (ggml, llamacpp)]
    blobs[0].unlink()
    assert check() == []
    blobs[1].unlink()
    assert check() == [
        (
            "error",
            f"blobs/{llamacpp.layers[0].digest.blob_name}",
            f"missing; ollama.com/{PATH} needs it",
        )
    ]


def test_a_list_of_which_nothing_is_there_is_an_error(root, check):
    write_v2(root, PATH, ManifestList(entries=(ManifestEntry(digest=Digest.of(b"gone")),)))
    ((level, path, message),) = check()
    assert (level, path) == ("error", f"manifests-v2/ollama.com/{PATH}")
    assert "no manifest in its list can be read" in message


def test_a_manifest_whose_bytes_were_changed_is_an_error(root, check):
    path = write_v2(root, PATH, add_model(root, WEIGHTS))
    content = path.read_bytes()
    path.resolve().write_bytes(content.replace(b"schemaVersion", b"SchemaVersion"))
    found = check(hash_blobs=False)
    assert [level for level, _, _ in found].count("error") == 1
    assert "is damaged" in found[0][2]


def test_a_link_that_leads_nowhere_is_an_error_and_a_note_where_the_model_is_in_the_older_layout(root, check):
    write_link(v2_path(root, PATH), "../../../../blobs/sha256-" + "0" * 64)
    ((level, path, message),) = check()
    assert (level, path) == ("error", f"manifests-v2/ollama.com/{PATH}")
    assert "(build or pull the model again)" in message
    write_old(root, PATH, add_model(root, WEIGHTS))
    ((level, _, message),) = check()
    assert level == "note"
    assert "remove it" in message
    assert str(old_path(root, PATH)) in message


def test_a_link_that_leads_nowhere_in_the_older_layout_is_an_error(root, check):
    """Ollama 0.34.4 lists no model at all then (``manifest.Manifests``, and tried)."""
    write_link(old_path(root, PATH), "nowhere")
    ((level, _, message),) = check()
    assert level == "error"
    assert "; remove it: Ollama before 0.40" in message


def test_a_link_out_of_the_store_is_an_error(root, check, tmp_path):
    outside = write_file(tmp_path / "manifest\x1b[2J", add_model(root, WEIGHTS).to_bytes())
    write_link(v2_path(root, PATH), outside)
    found = check()
    assert found[0][:2] == ("error", f"manifests-v2/ollama.com/{PATH}")
    assert "not a blob of this store" in found[0][2]
    assert "\x1b" not in found[0][2]
    assert outside.is_file()


def test_a_runner_that_is_not_known_is_noted_and_its_blobs_are_named(root, check):
    write_v2(root, PATH, add_model(root, WEIGHTS, runner="of-tomorrow"))
    ((level, _, message),) = check()
    assert level == "note"
    assert "'of-tomorrow'" in message


def test_names_that_differ_only_in_case_are_noted(root, check):
    write_v2(root, "library/Smol/latest", add_model(root, WEIGHTS))
    path = write_old(root, PATH, add_model(root, WEIGHTS))
    if path.parent.samefile(v2_path(root, "library/Smol")):
        pytest.skip("this file system takes both for one")
    ((level, path, message),) = check()
    assert (level, path) == ("note", f"manifests/registry.ollama.ai/{PATH}")
    assert "differs from Smol:latest only in case" in message


def test_another_model_of_the_same_name_in_the_older_layout_is_noted(root, check):
    newer = write_v2(root, PATH, add_model(root, WEIGHTS))
    write_old(root, PATH, add_model(root, b"other"))
    ((level, path, message),) = check()
    assert (level, path) == ("note", f"manifests/registry.ollama.ai/{PATH}")
    assert str(newer) in message


def test_what_a_build_left_is_noted_in_either_layout(root, check):
    manifest = add_model(root, WEIGHTS)
    write_v2(root, f"{TEMPORARY_NAMESPACE}/smol/abc", manifest)
    write_old(root, f"{TEMPORARY_NAMESPACE}/smol/def", manifest)
    assert [(level, "interrupted" in message) for level, _, message in check()] == [("note", True)] * 2


def test_a_name_that_ollama_does_not_take_is_read_all_the_same(root, check):
    write_file(v2_path(root, "library/smol/.hidden"), add_model(root, WEIGHTS).to_bytes())
    assert check() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(root, check):
    v2_path(root, PATH).parent.mkdir(parents=True)
    os.mkfifo(v2_path(root, PATH))
    assert [level for level, _, _ in check()] == ["error"]


# the copies that 0.40 makes


def test_a_migrated_model_is_noted_with_the_copy_its_bytes_and_how_to_be_rid_of_it(root, check):
    original = add_model(root, WEIGHTS)
    digits = migrate(root, PATH, original, CONVERTED)
    ((level, path, message),) = check()
    assert (level, path) == ("note", f"blobs/{Digest.of(CONVERTED).blob_name}")
    assert message == (
        f"Ollama made this second copy of smol:latest, {len(CONVERTED):,} bytes:"
        f" `gguf2ollama rm smol:latest && gguf2ollama cp llamacpp:{digits} smol:latest &&"
        f" gguf2ollama rm llamacpp:{digits}` keeps the copy and frees the other"
    )


def test_of_a_file_that_is_linked_the_copy_goes_and_not_the_file(root, check, tmp_path):
    original = add_model(root, WEIGHTS)
    os.link(root / "blobs" / original.layers[0].digest.blob_name, tmp_path / "model.gguf")
    digits = migrate(root, PATH, original, CONVERTED)
    ((level, _, message),) = check()
    assert level == "note"
    assert message.endswith(
        f"{len(CONVERTED):,} bytes: rebuild it with gguf2ollama, then `gguf2ollama rm llamacpp:{digits}`"
        " frees them"
    )


def test_a_copy_without_its_model_is_noted_until_it_is_removed(root, check):
    digits = migrate(root, PATH, add_model(root, WEIGHTS), CONVERTED)
    v2_path(root, PATH).unlink()
    old_path(root, PATH).unlink()
    write_v2(root, PATH, add_model(root, WEIGHTS, runner="llamacpp"))  # as a build leaves it
    (message,) = [message for _, _, message in check() if "llamacpp:" in message]
    assert message == (
        "a copy that Ollama made of a model since removed or rebuilt takes"
        f" {len(CONVERTED):,} bytes: `gguf2ollama rm llamacpp:{digits}` frees them"
    )
    old_path(root, f"library/llamacpp/{digits}").unlink()
    assert not any("llamacpp:" in message for _, _, message in check())


def test_a_copy_that_is_the_only_one_left_is_nothing_to_note(root, check):
    llamacpp = add_model(root, CONVERTED, runner="llamacpp")
    entry = entry_of(root, llamacpp)
    write_v2(root, PATH, ManifestList(entries=(entry,)))
    write_old(root, f"library/llamacpp/{entry.digest.hex}", llamacpp)
    assert check() == []


def test_two_manifests_of_a_list_that_nobody_migrated_are_nothing_to_note(root, check):
    ggml, llamacpp = add_model(root, b"a", runner="ggml"), add_model(root, b"b", runner="llamacpp")
    write_v2(root, PATH, ManifestList(entries=(entry_of(root, ggml), entry_of(root, llamacpp))))
    assert check() == []


def test_a_model_that_is_only_called_like_a_copy_is_none(root, check):
    write_old(root, "library/llamacpp/" + "ab" * 32, add_model(root, WEIGHTS, runner="llamacpp"))
    assert check() == []


def test_a_copy_that_two_models_share_is_noted_once(root, check):
    original = add_model(root, WEIGHTS)
    digits = migrate(root, PATH, original, CONVERTED)
    both = ManifestList(
        entries=(
            entry_of(root, dataclasses.replace(original, runner="ggml", format="gguf")),
            entry_of(root, add_model(root, CONVERTED, runner="llamacpp")),
        )
    )
    write_v2(root, "library/alias/latest", both)
    ((_, _, message),) = check()
    assert "alias:latest and smol:latest" in message
    assert f"`gguf2ollama rm llamacpp:{digits}`" in message
