"""Digests of weights: in parallel, remembered, and never of a file that changes meanwhile."""

import contextlib
import hashlib
import os
import threading
import time

import pytest

from gguf2ollama.errors import FileChanged, InvalidGguf, NotFound
from gguf2ollama.events import ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.oci import Digest
from tests.builders import build_gguf, make_tensor
from tests.unit.conftest import hash_weights, settle


@pytest.fixture
def place(tmp_path):
    return tmp_path / "digests.json"


def digest_of(path):
    return Digest(hashlib.sha256(path.read_bytes()).hexdigest())


def test_each_layer_has_the_digest_of_its_bytes(image_of, shards, place):
    digests = hash_weights(image_of(shards[0]), cache=DigestCache(place), progress=ignore)
    assert list(digests.values()) == [digest_of(path) for path in shards]


def test_shards_as_one_have_the_digest_of_the_merged_file(image_of, shards, place, tmp_path):
    from gguf2ollama import ShardSet, merge  # noqa: PLC0415

    merged = merge(ShardSet.discover(shards[0]), tmp_path / "merged.gguf")
    image = image_of(shards[0], takes_shards=False)
    assert hash_weights(image, cache=DigestCache(place), progress=ignore) == {
        "sharded.gguf": digest_of(merged)
    }
    # the shards are known now as one, not each
    assert len(hash_weights(image_of(shards[0]), cache=DigestCache(place), progress=ignore)) == 3


def test_progress_is_reported_of_each_file_to_its_end(image_of, shards, place):
    updates = []
    hash_weights(image_of(shards[0]), cache=DigestCache(place), progress=updates.append)
    ends = {update.task: (update.done, update.total) for update in updates}
    assert ends == {f"hashing {path.name}": (path.stat().st_size,) * 2 for path in shards}


def test_what_is_known_is_not_read(image_of, shards, place):
    first = hash_weights(image_of(shards[0]), cache=DigestCache(place), progress=ignore)
    updates = []
    again = hash_weights(image_of(shards[0]), cache=DigestCache(place), progress=updates.append)
    assert (again, updates) == (first, [])


def test_what_is_not_trusted_is_read_again(image_of, gguf, place):
    hash_weights(image_of(gguf), cache=DigestCache(place), progress=ignore)
    updates = []
    hash_weights(image_of(gguf), cache=DigestCache(place, is_trusted=False), progress=updates.append)
    assert updates


def test_a_file_is_known_by_whatever_path_it_was_named(image_of, gguf, place, monkeypatch):
    hash_weights(image_of(gguf), cache=DigestCache(place), progress=ignore)
    monkeypatch.chdir(gguf.parent)
    link = gguf.with_name("link.gguf")
    link.symlink_to(gguf)
    for name in (gguf.name, link):
        updates = []
        hash_weights(image_of(name), cache=DigestCache(place), progress=updates.append)
        assert updates == []


@pytest.mark.parametrize("change", ["longer", "shorter", "newer", "gone"])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_that_was_changed_since_its_header_was_read_is_refused(
    image_of, gguf, place, change, is_known
):
    image = image_of(gguf)
    if change == "gone":
        gguf.unlink()
    elif change == "newer":
        os.utime(gguf)
    else:
        os.truncate(gguf, gguf.stat().st_size + (100 if change == "longer" else -100))
    if is_known and change != "gone":
        settle(gguf, seconds=30)
        cache = DigestCache(place)
        cache.get((str(gguf),))
        cache.put((str(gguf),), Digest.of(b"of the new file"))
        cache.save()
    with pytest.raises(NotFound if change == "gone" else InvalidGguf):
        hash_weights(image, cache=DigestCache(place), progress=ignore)


def test_a_file_that_is_changed_while_it_is_hashed_is_refused_and_not_learnt(image_of, tmp_path, place):
    path = settle(build_gguf(tmp_path / "big.gguf", tensors=[make_tensor("big.weight", (1024, 1024))]))
    image = image_of(path)

    def meddle(_update):
        with path.open("r+b") as stream:
            stream.seek(-4, os.SEEK_END)
            stream.write(b"new!")
        settle(path, seconds=30)

    with pytest.raises(InvalidGguf):
        hash_weights(image, cache=DigestCache(place), progress=meddle)
    assert not place.exists()


def test_a_file_that_changed_since_it_was_hashed_has_no_digest_any_more(image_of, gguf, place):
    [layer] = image_of(gguf).weights
    with Hashing(cache=DigestCache(place), progress=ignore) as hashing:
        assert hashing.digest(layer) == digest_of(gguf)
        os.utime(gguf, ns=(1, 1))
        with pytest.raises(FileChanged):
            hashing.digest(layer)


def test_an_interruption_ends_all_threads_soon(image_of, tmp_path, place):
    build_gguf(tmp_path / "model.gguf", tensors=[make_tensor("a", (1024, 1024))])
    path = tmp_path / "mmproj.gguf"
    kind = {"general.type": "mmproj"}
    build_gguf(path, architecture="clip", metadata=kind, tensors=[make_tensor("b", (1024, 6000))])
    image = image_of(tmp_path)
    done = 0

    def interrupt(update):
        nonlocal done
        if update.task == "hashing model.gguf":
            raise KeyboardInterrupt
        done = update.done
        time.sleep(0.05)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        hash_weights(image, cache=DigestCache(place), progress=interrupt)
    assert threading.active_count() == before
    assert done < path.stat().st_size


def test_hashing_goes_on_while_nobody_waits_and_is_not_done_twice(image_of, shards, place):
    image, updates = image_of(shards[0]), []
    with Hashing(cache=DigestCache(place), progress=updates.append) as hashing:
        hashing.submit(image.weights)
        deadline = time.monotonic() + 30
        while len(DigestCache(place)._entries) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = list(updates)
        assert hashing.digests(image) == {path.name: digest_of(path) for path in shards}
        assert hashing.digest(image.weights[1]) == digest_of(shards[1])
    assert updates == seen


def test_what_was_begun_and_is_not_wanted_ends(image_of, shards, place):
    apart, merged = image_of(shards[0]), image_of(shards[0], takes_shards=False)
    seen = set()

    def slow(update):
        seen.add(update.task)
        time.sleep(0.01)

    with Hashing(cache=DigestCache(place), progress=slow) as hashing:
        hashing.submit(apart.weights)
        hashing.keep_only(merged.weights)
        assert len(hashing.digests(merged)) == 1
        # and is begun anew when it is wanted after all
        hashing.keep_only(apart.weights)
        assert hashing.digests(apart) == {path.name: digest_of(path) for path in shards}
    assert "hashing sharded.gguf" in seen


@pytest.fixture
def large(image_of, tmp_path):
    path = settle(build_gguf(tmp_path / "big.gguf", tensors=[make_tensor("big.weight", (1024, 6000))]))
    return image_of(path)


def test_the_end_of_the_block_ends_what_runs(large, place):
    begun, seen = threading.Event(), []

    def slow(update):
        seen.append(update.done)
        begun.set()
        time.sleep(0.05)

    before = threading.active_count()
    with Hashing(cache=DigestCache(place), progress=slow) as hashing:
        hashing.submit(large.weights)
        assert begun.wait(10)
    assert threading.active_count() == before
    assert max(seen) < large.weights[0].size
    assert not place.exists()


def test_whoever_waits_may_give_up(large, place, monkeypatch):
    monkeypatch.setattr("gguf2ollama.install.hashing._WAIT", 0.01)

    def give_up():
        raise InterruptedError

    def slow(_update):
        time.sleep(0.2)

    with (
        Hashing(cache=DigestCache(place), progress=slow) as hashing,
        pytest.raises(InterruptedError),
    ):
        hashing.digest(large.weights[0], check=give_up)


def test_a_failure_is_raised_to_whoever_waits_for_another_file(image_of, shards, place):
    image = image_of(shards[0])
    shards[2].unlink()
    with Hashing(cache=DigestCache(place), progress=lambda _update: time.sleep(0.05)) as hashing:
        hashing.submit(image.weights)
        with contextlib.suppress(NotFound):
            hashing.digest(image.weights[0])
        with pytest.raises(NotFound):
            hashing.digest(image.weights[2])


def test_what_failed_ends_also_what_is_begun_later(image_of, shards, place):
    apart, merged = image_of(shards[0]), image_of(shards[0], takes_shards=False)
    shards[1].unlink()
    with Hashing(cache=DigestCache(place), progress=ignore) as hashing:
        hashing.submit(apart.weights)
        with pytest.raises(NotFound):
            hashing.digest(apart.weights[1])
        hashing.keep_only(merged.weights)
        with pytest.raises(NotFound):
            hashing.digests(merged)
