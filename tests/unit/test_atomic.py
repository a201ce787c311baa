"""A file is there whole or not at all."""

import errno
import os
import stat
import sys
import time

import pytest

from gguf2ollama._atomic import atomic_file, check_free_space, disk_errors
from gguf2ollama.errors import NotEnoughSpace, NotFound, UsageProblem


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
        pytest.raises(UsageProblem, match="is there already"),
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

    with pytest.raises(UsageProblem, match="is there already"):
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


def test_a_folder_is_no_target(tmp_path):
    with pytest.raises(UsageProblem, match="is a folder"), atomic_file(tmp_path):
        pass


def test_more_bytes_than_any_disk_has_are_refused_before_the_work(tmp_path):
    with pytest.raises(NotEnoughSpace, match="bytes free"):
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
