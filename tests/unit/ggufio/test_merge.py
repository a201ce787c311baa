from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.errors import InvalidGguf, NotEnoughSpace, NotFound, UsageProblem
from gguf2ollama.events import Update
from gguf2ollama.fs import sharing
from gguf2ollama.ggufio import MergedView, ShardSet, SplitKeys, merge
from tests.builders import build_gguf, build_shards, make_tensor, some_tensors

needs_copy_file_range = pytest.mark.skipif(
    not hasattr(os, "copy_file_range"), reason="this system has no copy_file_range"
)
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells since when it runs, so that merges go on"
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    folder = tmp_path / "shards"
    folder.mkdir()
    tensors = [make_tensor("a", (3,)), *some_tensors(5, shape=(1024, 300)), make_tensor("z", (5,))]
    return ShardSet.from_paths(build_shards(folder, tensors=tensors))


@pytest.fixture
def expected(shards: ShardSet) -> bytes:
    with MergedView(shards).open() as stream:
        return stream.read()


def test_writes_what_the_view_shows(shards: ShardSet, expected: bytes, tmp_path: Path) -> None:
    updates: list[Update] = []
    written = merge(shards, tmp_path / "m.gguf", progress=updates.append)
    assert written == tmp_path / "m.gguf"
    assert written.read_bytes() == expected
    done = [update.done for update in updates]
    assert done == sorted(done)
    assert (updates[-1].done, updates[-1].total) == (len(expected), len(expected))
    assert {update.task for update in updates} == {"writing m.gguf"}
    assert names(tmp_path) == ["m.gguf", "shards"]


def refuse(*_args: Any) -> int:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def do_nothing(*_args: Any) -> int:
    return 0


def one_step_only() -> Callable[..., int]:
    real = os.copy_file_range
    used: list[int] = []

    def step(source: int, target: int, count: int, offset: int) -> int:
        if used:
            return refuse()
        used.append(1)
        return real(source, target, min(count, 1000), offset)

    return step


@pytest.fixture
def shares_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the file system for one that shares bytes, in steps that a small file has several of."""
    monkeypatch.setattr(sharing, "can_share", lambda *_files: True)
    monkeypatch.setattr(sharing, "_STEP_BYTES", 1 << 16)


@pytest.mark.usefixtures("shares_bytes")
def test_writes_the_same_where_the_system_has_no_copy_file_range(
    shards: ShardSet, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    assert merge(shards, tmp_path / "m.gguf").read_bytes() == expected


@needs_copy_file_range
@pytest.mark.usefixtures("shares_bytes")
def test_a_file_system_that_shares_bytes_is_asked_in_whole_blocks(
    shards: ShardSet, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = os.copy_file_range, []

    def step(source: int, target: int, count: int, offset: int) -> int:
        steps.append((offset, offset + count))
        return real(source, target, count, offset)

    monkeypatch.setattr(os, "copy_file_range", step)
    assert merge(shards, tmp_path / "m.gguf").read_bytes() == expected
    assert sum(start % 4096 == 0 and end % 4096 == 0 for start, end in steps) > 50
    assert all(start % 4096 == 0 or end % 4096 == 0 for start, end in steps)


@needs_copy_file_range
@pytest.mark.usefixtures("shares_bytes")
@pytest.mark.parametrize("make", [lambda: refuse, lambda: do_nothing, one_step_only])
def test_writes_the_same_where_copy_file_range_fails(
    shards: ShardSet,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Callable[..., int]],
) -> None:
    monkeypatch.setattr(os, "copy_file_range", make())
    assert merge(shards, tmp_path / "m.gguf").read_bytes() == expected


@needs_copy_file_range
@pytest.mark.usefixtures("shares_bytes")
def test_a_real_failure_of_copy_file_range_is_no_reason_to_try_again(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(NotEnoughSpace, match=r"m\.gguf"):
        merge(shards, tmp_path / "m.gguf")
    assert names(tmp_path) == ["shards"]


def test_space_is_checked_before_anything_is_written(
    shards: ShardSet, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gguf2ollama.fs.space.free_bytes", lambda _folder: len(expected) - 1)
    updates: list[Update] = []
    with pytest.raises(NotEnoughSpace, match=f"{len(expected):,} bytes needed"):
        merge(shards, tmp_path / "m.gguf", progress=updates.append)
    assert updates == []


def test_a_whole_file_needs_no_merge(tmp_path: Path) -> None:
    whole = ShardSet.discover(build_gguf(tmp_path / "whole.gguf"))
    with pytest.raises(UsageProblem, match=r"nothing to merge: .*whole\.gguf is a single file"):
        merge(whole, tmp_path / "m.gguf")


def test_a_set_of_one_shard_is_merged(tmp_path: Path) -> None:
    (path,) = build_shards(tmp_path, count=1)
    merged = ShardSet.discover(merge(ShardSet.discover(path), tmp_path / "m.gguf"))
    assert merged.first.split is None


def test_a_file_that_exists_is_kept(shards: ShardSet, expected: bytes, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    target.write_text("precious")
    with pytest.raises(UsageProblem, match="already exists"):
        merge(shards, target)
    assert target.read_text() == "precious"
    assert merge(shards, target, replace=True).read_bytes() == expected


def test_a_missing_folder_is_reported(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        merge(shards, tmp_path / "nowhere" / "m.gguf")


@pytest.mark.parametrize("way", ["path", "dots", "symlink", "hard link", "folder link"])
def test_an_input_is_never_written_to(shards: ShardSet, tmp_path: Path, way: str) -> None:
    victim = shards.shards[1].path
    before = victim.read_bytes()
    target = tmp_path / "target.gguf"
    if way == "path":
        target = victim
    elif way == "dots":
        target = victim.parent / ".." / victim.parent.name / victim.name
    elif way == "symlink":
        target.symlink_to(victim)
    elif way == "hard link":
        target.hardlink_to(victim)
    else:
        (tmp_path / "link").symlink_to(victim.parent)
        target = tmp_path / "link" / victim.name
    with pytest.raises(UsageProblem, match="it is the input file"):
        merge(shards, target, replace=True)
    assert victim.read_bytes() == before


def test_nothing_is_left_when_it_is_interrupted(shards: ShardSet, tmp_path: Path) -> None:
    def interrupt(update: Update) -> None:
        if update.done > 3000:
            raise KeyboardInterrupt

    target = tmp_path / "m.gguf"
    target.write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        merge(shards, target, replace=True, progress=interrupt)
    assert target.read_text() == "precious"
    assert names(tmp_path) == ["m.gguf", "shards"]


@pytest.mark.parametrize(
    "plain", [pytest.param("copy_file_range", marks=needs_copy_file_range), "read and write"]
)
def test_a_shard_that_shrinks_meanwhile_is_reported(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    monkeypatch.setattr(sharing, "can_share", lambda *_files: plain == "copy_file_range")
    monkeypatch.setattr(sharing, "_STEP_BYTES", 1000)
    monkeypatch.setattr(sharing, "_BUFFER_BYTES", 1000)

    def shrink(update: Update) -> None:
        if 5000 < update.done < 7000:
            os.truncate(shards.shards[0].path, 4000)

    with pytest.raises(InvalidGguf, match="while being read"):
        merge(shards, tmp_path / "m.gguf", progress=shrink)
    assert not (tmp_path / "m.gguf").exists()


KILLED = """
import os, signal, sys
from gguf2ollama.ggufio import ShardSet, merge

def kill(update):
    if update.done > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

merge(ShardSet.from_paths(sys.argv[3:]), sys.argv[1], replace=True, progress=kill)
"""
HALF = 3 << 20


def killed_merge(shards: ShardSet, target: Path) -> Path:
    """Begin a merge in a process that is killed when more than half of it is written; give what it leaves."""
    paths = [shard.path for shard in shards.shards]
    call = [sys.executable, "-c", KILLED, target, str(HALF), *paths]
    assert subprocess.run(call, check=False).returncode == -signal.SIGKILL
    (part,) = target.parent.glob(f".{target.name}.*.part")
    assert HALF < part.stat().st_size < MergedView(shards).size
    return part


@on_linux
def test_a_merge_that_was_killed_is_resumed(shards: ShardSet, expected: bytes, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    part = killed_merge(shards, target)
    there, inode = part.stat().st_size, part.stat().st_ino
    os.utime(part, (0, 0))  # however long that is ago
    updates: list[Update] = []
    assert merge(shards, target, progress=updates.append).read_bytes() == expected
    assert updates[0].done == there
    assert updates[-1].is_complete
    assert target.stat().st_ino == inode
    assert names(tmp_path) == ["m.gguf", "shards"]


@on_linux
def test_a_merge_that_was_killed_at_its_very_end_is_given_its_name(
    shards: ShardSet, expected: bytes, tmp_path: Path
) -> None:
    part = killed_merge(shards, tmp_path / "m.gguf")
    part.write_bytes(expected)
    updates: list[Update] = []
    assert merge(shards, tmp_path / "m.gguf", progress=updates.append).read_bytes() == expected
    assert [update.done for update in updates] == [len(expected)]


@on_linux
@pytest.mark.parametrize("spoiled", ["at its end", "longer", "longer than the whole"])
def test_what_is_not_what_a_killed_merge_wrote_is_written_again(
    shards: ShardSet, expected: bytes, tmp_path: Path, spoiled: str
) -> None:
    part = killed_merge(shards, tmp_path / "m.gguf")
    content = part.read_bytes()
    if spoiled == "at its end":
        part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        part.write_bytes(content.ljust(len(content) + 9 if spoiled == "longer" else len(expected) + 9, b"?"))
    updates: list[Update] = []
    assert merge(shards, tmp_path / "m.gguf", progress=updates.append).read_bytes() == expected
    assert updates[0].done == 0


@on_linux
@pytest.mark.parametrize("other", ["shard", "keys"])
def test_a_merge_of_anything_else_starts_over(shards: ShardSet, tmp_path: Path, other: str) -> None:
    part = killed_merge(shards, tmp_path / "m.gguf")
    if other == "shard":
        path = shards.shards[1].path
        path.write_bytes(path.read_bytes()[:-4] + b"new!")
        shards = ShardSet.discover(path)
    updates: list[Update] = []
    keys: SplitKeys = "drop" if other == "keys" else "keep"
    merge(shards, tmp_path / "m.gguf", split_keys=keys, progress=updates.append)
    assert updates[0].done == 0
    with MergedView(shards, split_keys=keys).open() as stream:
        assert (tmp_path / "m.gguf").read_bytes() == stream.read()
    assert part.exists(), "it may be one that still runs"


@on_linux
def test_two_merges_at_once_do_not_write_into_one_file(
    shards: ShardSet, expected: bytes, tmp_path: Path
) -> None:
    target = tmp_path / "m.gguf"
    inner: list[Update] = []

    def merge_meanwhile(update: Update) -> None:
        if update.done > HALF and not inner:
            merge(shards, target, progress=inner.append)
            assert target.read_bytes() == expected

    merge(shards, target, replace=True, progress=merge_meanwhile)
    assert inner[0].done == 0
    assert target.read_bytes() == expected
    assert names(tmp_path) == ["m.gguf", "shards"]
