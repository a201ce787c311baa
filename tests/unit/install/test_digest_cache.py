"""Digests are remembered as long as the files stay as they were, and never a moment longer."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.oci import Digest
from tests.examples import examples
from tests.unit.conftest import settle

CONTENT = b"weights" * 100
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return settle(path)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache" / "digests.json"


def learn(place, *files, digest=DIGEST):
    cache = DigestCache(place)
    names = tuple(map(str, files))
    cache.get(names)
    cache.put(names, digest)
    cache.save()


def known(place, *files, **options):
    return DigestCache(place, **options).get(tuple(map(str, files)))


def test_a_digest_is_remembered_by_the_next_call(file, place):
    assert known(place, file) is None
    learn(place, file)
    assert known(place, file) == DIGEST


def test_what_is_remembered_of_several_files_is_of_these_in_this_order(file, place, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(CONTENT)
    settle(other)
    learn(place, file, other)
    assert known(place, file, other) == DIGEST
    assert known(place, other, file) is None
    assert known(place, file) is None


@pytest.mark.parametrize("change", ["length", "time", "inode", "gone"])
def test_a_file_that_was_changed_is_not_known(file, place, change):
    learn(place, file)
    before = file.stat()
    if change == "length":
        file.write_bytes(CONTENT + b"!")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "inode":
        new = file.with_name("new")
        new.write_bytes(CONTENT[::-1])
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(file)
    else:
        file.unlink()
    assert known(place, file) is None


def test_a_file_that_was_changed_just_now_is_not_learnt(file, place):
    os.utime(file)
    learn(place, file)
    assert known(place, file) is None
    assert not place.exists()


def test_a_file_that_was_changed_while_it_was_hashed_is_not_learnt(file, place):
    cache = DigestCache(place)
    assert cache.get((str(file),)) is None
    file.write_bytes(CONTENT[::-1])
    settle(file, seconds=30)
    cache.put((str(file),), DIGEST)
    cache.save()
    assert known(place, file) is None


def test_a_cache_that_is_not_trusted_still_learns(file, place):
    learn(place, file, digest=Digest.of(b"a lie"))
    assert known(place, file, is_trusted=False) is None
    cache = DigestCache(place, is_trusted=False)
    cache.get((str(file),))
    cache.put((str(file),), DIGEST)
    cache.save()
    assert known(place, file) == DIGEST


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"null",
        b"[]",
        b'{"format": 2}',
        b'{"format": 2, "digests": []}',
        b'{"format": 1, "digests": {}}',
        b"[" * 100_000,
    ],
)
def test_a_cache_that_cannot_be_read_is_rewritten(file, place, content):
    place.parent.mkdir()
    place.write_bytes(content)
    assert known(place, file) is None
    learn(place, file)
    assert known(place, file) == DIGEST


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=examples(1.5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entry=json_values | st.fixed_dictionaries({"state": json_values, "digest": json_values}))
def test_whatever_an_entry_holds_it_is_a_digest_or_nothing(file, place, entry):
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps({"format": 2, "digests": {str(file): entry}}), encoding="utf-8")
    assert known(place, file) is None


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:00", "sha256:" + "G" * 64, 7, None])
def test_an_entry_whose_digest_is_none_is_not_known(file, place, digest):
    learn(place, file)
    value = json.loads(place.read_bytes())
    value["digests"][str(file)]["digest"] = digest
    place.write_text(json.dumps(value), encoding="utf-8")
    assert known(place, file) is None


def test_a_cache_that_is_too_large_is_not_read(file, place):
    learn(place, file)
    with place.open("r+b") as stream:
        stream.truncate((16 << 20) + 1)
    assert known(place, file) is None


def test_a_folder_that_cannot_be_written_is_ignored(file, tmp_path):
    (tmp_path / "taken").touch()
    place = tmp_path / "taken" / "cache" / "digests.json"
    learn(place, file)
    assert known(place, file) is None


def test_a_user_without_a_home_has_no_cache_and_no_error(file, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does for a user without a home
    learn(None, file)
    assert known(None, file) is None


def test_names_that_are_no_unicode_are_remembered(tmp_path, place):
    name = os.fsdecode(b"m\xff\xfe.gguf")
    try:
        (tmp_path / name).write_bytes(CONTENT)
    except OSError:
        pytest.skip("the file system takes no such name")
    settle(tmp_path / name)
    learn(place, tmp_path / name)
    assert known(place, tmp_path / name) == DIGEST


@pytest.mark.slow
def test_processes_at_once_leave_a_cache_that_can_be_read(file, place, tmp_path):
    script = """
import sys
from gguf2ollama.oci import Digest
from gguf2ollama.install.digest_cache import DigestCache
from pathlib import Path
place, *files = sys.argv[1:]
for name in files * 5:
    cache = DigestCache(Path(place))
    cache.get((name,))
    cache.put((name,), Digest.of(Path(name).read_bytes()))
    cache.save()
"""
    files = []
    for number in range(4):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(CONTENT + bytes([number]))
        files.append(settle(path))
    workers = [
        subprocess.Popen([sys.executable, "-c", script, str(place), str(path), str(file)]) for path in files
    ]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert json.loads(place.read_bytes())["format"] == 2
    assert known(place, file) == DIGEST
    assert [path.name for path in place.parent.iterdir()] == ["digests.json"]


def test_the_oldest_go_when_there_are_too_many(file, place, monkeypatch):
    monkeypatch.setattr("gguf2ollama.install.digest_cache._CAP_ENTRIES", 3)
    paths = []
    for number in range(5):
        path = file.with_name(f"{number}.gguf")
        path.write_bytes(CONTENT)
        paths.append(settle(path))
        learn(place, path)
    assert [known(place, path) is not None for path in paths] == [False, False, True, True, True]


HEAD = 70  # bytes of the file that are its header


@pytest.fixture
def blob(file, tmp_path, monkeypatch, place):
    """Return the blob that a file was linked to when its digest was known."""
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "nowhere")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    cache = DigestCache(place)
    cache.get((str(file),))
    cache.put((str(file),), DIGEST, head_bytes=HEAD)
    cache.save()
    blob = tmp_path / "models" / "blobs" / DIGEST.blob_name
    blob.parent.mkdir(parents=True)
    blob.hardlink_to(file)
    return blob


def touch(path):
    """Set the times of a file as Go's ``os.Chtimes`` does: a write sets that of the inode to the same."""
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def test_a_linked_file_is_known_when_ollama_touches_the_blob(file, place, blob):
    touch(blob)
    assert known(place, file) == DIGEST
    assert known(place, file, is_trusted=False) is None
    assert known(place, file, file) is None


def test_a_linked_file_that_was_written_to_is_not_known_even_with_the_same_bytes(file, place, blob):
    with file.open("r+b") as stream:
        stream.write(CONTENT[:1])
    assert known(place, file) is None


@pytest.mark.parametrize("at", [0, 1 << 20, 3_000_000, -1])
def test_a_large_blob_that_was_overwritten_and_touched_is_found_by_samples(place, tmp_path, monkeypatch, at):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    content = random.Random(5).randbytes(5_000_000)  # noqa: S311 - the same every time
    digest = Digest.of(content)
    blob = tmp_path / "models" / "blobs" / digest.blob_name
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    cache = DigestCache(place)
    cache.learn_blob(blob, digest)
    cache.save()
    touch(blob)
    assert DigestCache(place).knows(blob, digest)
    at %= len(content)
    with blob.open("r+b") as stream:  # what a crash leaves of data that were not written yet
        stream.seek(at)
        stream.write(bytes(min(200_000, len(content) - at)))
    touch(blob)
    assert not DigestCache(place).knows(blob, digest)


def test_a_blob_on_a_device_of_another_number_is_known_by_its_samples(file, place, blob):
    value = json.loads(place.read_bytes())
    value["digests"][str(file)]["state"][0][0] += 1
    place.write_text(json.dumps(value), encoding="utf-8")
    assert known(place, file) == DIGEST


@pytest.mark.parametrize(
    "change", ["header", "length", "another file", "another blob", "no blob", "no store"]
)
def test_a_linked_file_that_is_not_as_it_was_is_not_known(file, place, blob, monkeypatch, change):
    if change == "header":
        with file.open("r+b") as stream:
            stream.seek(HEAD - 1)
            stream.write(b"!")
    elif change == "length":
        with file.open("ab") as stream:
            stream.write(b"!")
    elif change == "another file":
        new = file.with_name("new")
        new.write_bytes(CONTENT)
        new.replace(file)
        blob.unlink()
        blob.hardlink_to(file)
    elif change == "another blob":
        blob.unlink()
        blob.write_bytes(CONTENT)
    elif change == "no blob":
        blob.unlink()
    else:
        monkeypatch.delenv("OLLAMA_MODELS")
    touch(file)
    assert known(place, file) is None


@settings(
    max_examples=examples(1.5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    state=json_values | st.lists(st.lists(st.integers(), min_size=4, max_size=4), max_size=2),
    sample=json_values | st.tuples(st.integers() | st.floats(0, 99), st.text()),
)
def test_whatever_is_kept_of_a_linked_file_it_is_known_or_not(file, place, blob, state, sample):
    value = json.loads(place.read_bytes())
    found = file.stat()
    if not state:
        state = [[found.st_dev, found.st_ino, found.st_size, 0]]
    value["digests"][str(file)] |= {"state": state, "sample": sample}
    place.write_text(json.dumps(value), encoding="utf-8")
    assert known(place, file) is None
