"""The bytes of a download that are there: in any order, after any kill, and never more than there are."""

import errno
import os
import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama import environment
from gguf2ollama.errors import NotEnoughSpace
from gguf2ollama.sources.downloads.part_file import PartFile, identity_of, journal_path, segment_bytes
from tests.examples import examples

SEGMENT = 64 << 10
CONTENT = random.Random(3).randbytes(5 * SEGMENT + 1234)  # noqa: S311 - the same every time
HEAD_BYTES = 21 + 32 + 3 * 8 + 4
DIGEST = identity_of(digest="ab" * 32, mark="")


def never():
    raise AssertionError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf.abc.incomplete"


@pytest.fixture
def open_part(path):
    def open_it(**options):
        given_options = {"size": len(CONTENT), "segment": SEGMENT, "identity": DIGEST, "wait": never}
        return PartFile(path, named=path.with_name("model.gguf"), **(given_options | options))

    return open_it


def missing(part):
    """Return the missing ranges of all segments."""
    found = (part.missing(number) for number in part.unfinished())
    return [(wanted.start, wanted.end) for wanted in found]


def write(part, start, end):
    part.write(start, CONTENT[start:end])


def test_segments_may_land_in_any_order(open_part, path):
    with open_part() as part:
        for number in (5, 2, 0, 1, 4, 3):
            wanted = part.missing(number)
            write(part, wanted.start, wanted.end)
        assert part.is_whole
        part.finish(path.with_name("model.gguf"))

    assert path.with_name("model.gguf").read_bytes() == CONTENT
    assert [found.name for found in path.parent.iterdir()] == ["model.gguf"]


def test_what_is_there_without_a_gap_is_waited_for(open_part):
    with open_part() as part:
        write(part, 2 * SEGMENT, 3 * SEGMENT)
        write(part, 0, 100)
        assert part.wait_beyond(0) == 100
        write(part, 100, 2 * SEGMENT)
        assert part.wait_beyond(100) == 3 * SEGMENT
        part.end()
        assert part.wait_beyond(3 * SEGMENT) == 3 * SEGMENT


def test_bytes_beyond_the_file_and_behind_a_gap_are_refused(open_part):
    with open_part() as part:
        with pytest.raises(ValueError, match="of 328914"):
            part.write(len(CONTENT) - 1, b"ab")
        with pytest.raises(ValueError, match="gap"):
            part.write(10, b"ab")


@settings(
    max_examples=examples(1.5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, SEGMENT), st.booleans()), min_size=1, max_size=20
    )
)
def test_after_a_kill_at_any_moment_only_what_is_missing_is_missing(steps, tmp_path_factory):
    path = tmp_path_factory.mktemp("part") / "x.incomplete"

    def open_it():
        return PartFile(path, named=path, size=len(CONTENT), segment=SEGMENT, identity=DIGEST, wait=never)

    part = open_it()
    starts = {number: number * SEGMENT for number in range(6)}
    for number, count, is_killed in steps:
        if (wanted := part.missing(number)) is not None:
            starts[number] = min(wanted.start + count, wanted.end)
            write(part, wanted.start, starts[number])
        if is_killed:
            part.close()  # all that a kill does: nothing is written on closing
            part = open_it()
            assert part.done == sum(start - number * SEGMENT for number, start in starts.items())
    with part:
        for start, end in missing(part):
            assert start in starts.values()
            write(part, start, end)
        assert part.is_whole
    assert path.read_bytes() == CONTENT


def spoil_journal(path, change):
    journal = journal_path(path)
    content = bytearray(journal.read_bytes())
    change(content)
    journal.write_bytes(content)


def set_count(content, number, value):
    struct.pack_into("<Q", content, HEAD_BYTES + 8 * number, value)


@pytest.mark.parametrize(
    "lie",
    [
        lambda path: path.write_bytes(path.read_bytes() + bytes(len(CONTENT))),
        lambda path: os.truncate(path, 10),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("old")) and path.write_bytes(CONTENT),
        lambda path: journal_path(path).unlink(),
        lambda path: journal_path(path).write_bytes(b""),
        lambda path: os.truncate(journal_path(path), HEAD_BYTES + 3),
        lambda path: spoil_journal(path, lambda content: set_count(content, 0, SEGMENT + 1)),
        lambda path: spoil_journal(path, lambda content: set_count(content, 5, 1234)),
        lambda path: spoil_journal(path, lambda content: content.extend(bytes(8))),
        lambda path: spoil_journal(path, lambda content: content.__setitem__(60, content[60] ^ 1)),
    ],
    ids=[
        "part longer than the file",
        "part shorter than noted",
        "part gone",
        "another part",
        "no journal",
        "empty journal",
        "cut journal",
        "more than a segment",
        "more than the part has",
        "more segments",
        "changed head",
    ],
)
def test_a_part_whose_journal_lies_is_started_over(open_part, path, lie):
    with open_part() as part:
        write(part, 0, SEGMENT)
        write(part, SEGMENT, SEGMENT + 10)
    lie(path)

    with open_part() as part:
        assert part.done == 0
        assert path.stat().st_size == 0


@pytest.mark.parametrize(
    "options", [{"identity": identity_of(digest="cd" * 32, mark="")}, {"size": len(CONTENT) + 1}]
)
def test_a_part_of_another_state_is_started_over(open_part, options):
    with open_part() as part:
        write(part, 0, SEGMENT)

    with open_part(**options) as part:
        assert part.done == 0


def test_segments_stay_as_they_were_begun(open_part):
    with open_part() as part:
        write(part, SEGMENT, SEGMENT + 10)

    with open_part(segment=2 * SEGMENT) as part:
        assert missing(part)[:2] == [(0, SEGMENT), (SEGMENT + 10, 2 * SEGMENT)]


def test_without_a_digest_it_counts_as_long_as_the_system_runs(tmp_path, monkeypatch):
    boot = tmp_path / "boot_id"
    monkeypatch.setattr(environment, "_BOOT", boot)
    boot.write_text("one")
    first = identity_of(digest=None, mark='"tag"')
    assert identity_of(digest=None, mark='"tag"') == first
    assert identity_of(digest=None, mark='"other"') != first
    boot.write_text("two")
    assert identity_of(digest=None, mark='"tag"') != first
    boot.unlink()
    assert identity_of(digest=None, mark='"tag"') != identity_of(digest=None, mark='"tag"')
    assert identity_of(digest=None, mark="") != identity_of(digest=None, mark="")
    assert identity_of(digest="ab", mark="") == identity_of(digest="ab", mark="x")


def test_the_first_bytes_are_taken_over_from_another_tool(open_part, path):
    start = path.with_name("start")
    start.write_bytes(CONTENT[: SEGMENT + 5])

    with open_part(start_of=start) as part:
        assert part.done == SEGMENT + 5
        assert part.wait_beyond(0) == SEGMENT + 5
        assert missing(part)[0] == (SEGMENT + 5, 2 * SEGMENT)
    assert not start.exists()


def test_a_start_that_is_longer_than_the_file_is_left_alone(open_part, path):
    start = path.with_name("start")
    start.write_bytes(CONTENT + b"x")

    with open_part(start_of=start) as part:
        assert part.done == 0
    assert start.exists()


def test_a_full_disk_is_told_with_the_name_of_the_file(open_part, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_part() as part:
        monkeypatch.setattr(os, "pwrite", refuse)
        with pytest.raises(NotEnoughSpace, match=r"model\.gguf: the disk is full"):
            write(part, 0, 10)
        assert part.done == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_another_process_is_waited_for(open_part):
    class GivenUpError(Exception):
        pass

    def give_up():
        raise GivenUpError

    with open_part(), pytest.raises(GivenUpError):
        open_part(wait=give_up)


@pytest.mark.parametrize(
    "size,connections,segments",
    [(2_000_000, 8, 1), (60_000_000, 8, 8), (60_000_000, 1, 2), (40 << 30, 8, 1280), (0, 8, 0)],
)
def test_a_file_has_a_segment_for_each_connection_as_far_as_it_is_worth_it(size, connections, segments):
    segment = segment_bytes(size, connections)
    assert -(-size // segment) == segments
    assert segment % SEGMENT == 0
