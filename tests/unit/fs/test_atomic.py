"""A file is written completely or not at all, and resumed after a kill."""

import contextlib
import errno
import os
import stat
import sys
import time

import pytest

from gguf2ollama import environment
from gguf2ollama.errors import NotEnoughSpace, NotFound, UsageProblem
from gguf2ollama.fs import resumable, space
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.resumable import resumable_file
from gguf2ollama.fs.space import check_free_space


def test_a_file_appears_whole_and_nothing_is_left_beside_it(tmp_path):
    target = tmp_path / "file"
    with atomic_file(target, size=5) as stream:
        stream.write(b"12345")
        assert not target.exists()
    assert target.read_bytes() == b"12345"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, NotEnoughSpace("full")])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write_half():
        with atomic_file(target) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_half()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_kept_when_it_may_not_be_replaced(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with (
        pytest.raises(UsageProblem, match="already exists"),
        atomic_file(target, replace=False) as stream,
    ):
        stream.write(b"new")
    assert target.read_bytes() == b"old"


def test_a_file_that_came_in_between_is_kept(tmp_path):
    target = tmp_path / "file"

    def race():
        with atomic_file(target, replace=False) as stream:
            stream.write(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(UsageProblem, match="already exists"):
        race()
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_without_hard_links_an_existing_file_is_still_kept(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "file"
    with atomic_file(target, replace=False) as stream:
        stream.write(b"ours")
    assert target.read_bytes() == b"ours"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NotFound, match="nowhere"), atomic_file(tmp_path / "nowhere" / "file"):
        pass


def test_a_folder_is_not_a_target(tmp_path):
    with pytest.raises(UsageProblem, match="is a directory"), atomic_file(tmp_path):
        pass


def test_more_bytes_than_any_disk_has_are_refused_before_the_work(tmp_path):
    with pytest.raises(NotEnoughSpace, match="bytes needed"):
        check_free_space(tmp_path, 1 << 62)
    with pytest.raises(NotEnoughSpace), atomic_file(tmp_path / "file", size=1 << 62):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_gets_the_mode_that_open_would_give(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_file(tmp_path / "ours") as stream:
        stream.write(b"x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize(
    "code,expected",
    [
        (errno.ENOSPC, NotEnoughSpace),
        (errno.EDQUOT, NotEnoughSpace),
        (errno.ENOENT, NotFound),
        (errno.EACCES, UsageProblem),
        (errno.EROFS, UsageProblem),
        (errno.EIO, OSError),
    ],
)
def test_errors_of_the_disk_become_ours(tmp_path, code, expected):
    with pytest.raises(expected), disk_errors(tmp_path):
        raise OSError(code, os.strerror(code))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
def test_a_full_disk_is_named():
    with (
        pytest.raises(NotEnoughSpace, match="/dev/full"),
        disk_errors("/dev/full"),
        open("/dev/full", "wb") as stream,  # noqa: PTH123 - a device
    ):
        stream.write(b"x" * (1 << 20))


def test_what_is_not_yet_whole_may_lie_elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with atomic_file(tmp_path / "file", folder=folder) as stream:
        stream.write(b"12345")
        assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
        assert len(list(folder.iterdir())) == 1
    assert (tmp_path / "file").read_bytes() == b"12345"
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_of_the_same_file_goes_after_an_hour(tmp_path):
    names = {
        "old": ".file.0123456789ab.part",
        "young": ".file.0123456789ac.part",
        "of another file": ".other.0123456789ab.part",
        "not ours": ".file.part",
        "file": "file",
    }
    for age, name in names.items():
        (tmp_path / name).touch()
        if age != "young":
            os.utime(tmp_path / name, (time.time() - 3700,) * 2)
    with atomic_file(tmp_path / "file") as stream:
        stream.write(b"new")
    assert {path.name for path in tmp_path.iterdir()} == set(names.values()) - {names["old"]}


def test_what_killed_processes_left_counts_as_free_space(tmp_path, monkeypatch):
    left = tmp_path / ".file.0123456789ab.part"
    left.write_bytes(b"much")
    os.utime(left, (0, 0))
    monkeypatch.setattr(space, "free_bytes", lambda _folder: 0 if left.exists() else 5)
    with atomic_file(tmp_path / "file", size=5) as stream:
        stream.write(b"12345")
    assert (tmp_path / "file").read_bytes() == b"12345"


@pytest.fixture
def synced(monkeypatch):
    """Return the names of the files and folders that were brought to disk."""
    real, seen = os.fsync, []

    def fsync(handle):
        real(handle)
        seen.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))  # noqa: PTH119, PTH115

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells since when it runs")


@on_linux
def test_a_file_is_on_disk_before_its_name_unless_a_new_one_need_not_be(tmp_path, synced):
    target = tmp_path / "file"
    with atomic_file(target, is_durable=False) as stream:
        stream.write(b"new")
    assert synced == []
    for is_durable in (False, True):
        with atomic_file(target, is_durable=is_durable) as stream:
            stream.write(b"newer")
        assert [name.endswith(".part") for name in synced] == [True, False]
        synced.clear()
    with write_half(target) as _, resumable_file(target, identity=b"x", size=2) as (stream, _):
        stream.write(b"12")
    assert [name.endswith(".part") for name in synced] == [True, False]
    target.unlink()
    synced.clear()
    with resumable_file(target, identity=b"x", size=2) as (stream, _):
        stream.write(b"12")
    assert synced == []


@contextlib.contextmanager
def write_half(target, *, identity=b"x"):
    """Leave what a process leaves that is killed while it writes; give its place."""
    path = resumable._resumable_path(target, identity)
    path.write_bytes(b"1")
    yield path


@on_linux
@pytest.mark.parametrize("replace", [False, True])
def test_what_is_left_of_the_same_bytes_is_resumed(tmp_path, replace):
    target = tmp_path / "file"
    if replace:
        target.write_bytes(b"old")
    with write_half(target) as left:
        os.utime(left, (0, 0))
        with resumable_file(target, identity=b"x", size=2, replace=replace) as (stream, done):
            assert done == 1
            stream.write(b"2")
    assert target.read_bytes() == b"12"
    assert list(tmp_path.iterdir()) == [target]


@on_linux
@pytest.mark.parametrize(
    "change", ["other bytes", "another start", "no start", "second name", "symlink", "in use"]
)
def test_what_may_not_be_ours_is_left_alone(tmp_path, monkeypatch, change):
    target, other = tmp_path / "file", tmp_path / "other"
    with contextlib.ExitStack() as stack:
        left = stack.enter_context(write_half(target, identity=b"y" if change == "other bytes" else b"x"))
        if change.endswith("start"):
            place = tmp_path / "boot_id"
            monkeypatch.setattr(environment, "_BOOT", place)
            if change == "another start":
                place.write_bytes(b"another")
        elif change == "second name":
            other.hardlink_to(left)
        elif change == "symlink":
            left.rename(other)
            left.symlink_to(other)
        elif change == "in use":
            import fcntl  # noqa: PLC0415 - not on every system

            fcntl.flock(stack.enter_context(left.open("rb")), fcntl.LOCK_EX)
        with resumable_file(target, identity=b"x", size=2) as (stream, done):
            assert done == 0
            stream.write(b"12")
    assert target.read_bytes() == b"12"
    assert left.read_bytes() == b"1"


@on_linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_put_there_is_left_alone(tmp_path):
    with write_half(tmp_path / "file") as left:
        os.chown(left, 65534, -1)
        with resumable_file(tmp_path / "file", identity=b"x", size=2) as (stream, done):
            assert done == 0
            stream.write(b"12")
    assert left.read_bytes() == b"1"


@on_linux
def test_what_exists_needs_no_space_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free_bytes", lambda _folder: 1 << 20)
    target, size = tmp_path / "file", 3 << 20
    left = resumable._resumable_path(target, b"x")
    left.write_bytes(bytes(size - 100))
    with resumable_file(target, identity=b"x", size=size) as (stream, done):
        stream.write(bytes(size - done))
    assert target.stat().st_size == size
    with pytest.raises(NotEnoughSpace), resumable_file(tmp_path / "new", identity=b"x", size=size):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, NotEnoughSpace("full")])
def test_a_failure_leaves_nothing_to_go_on_with(tmp_path, error):
    def fail():
        with resumable_file(tmp_path / "file", identity=b"x", size=3) as (stream, _):
            stream.write(b"new")
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_meanwhile_is_kept_by_one_that_can_be_resumed(tmp_path):
    target = tmp_path / "file"

    def race():
        with resumable_file(target, identity=b"x", size=4, replace=False) as (stream, _):
            stream.write(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(UsageProblem, match="already exists"):
        race()
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@on_linux
def test_reserving_makes_no_file_longer(tmp_path):
    with atomic_file(tmp_path / "file", size=1 << 20) as stream:
        stream.write(b"short")
        stream.flush()
        found = os.fstat(stream.fileno())
        assert found.st_size == 5
        if found.st_blocks * 512 < 1 << 20:
            pytest.skip("this file system reserves nothing")
