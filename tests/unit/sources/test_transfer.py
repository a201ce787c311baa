"""A file over several connections: each byte once, in whatever order, and hashed as it lands."""

import contextlib
import dataclasses
import errno
import hashlib
import os
import random
import threading

import pytest

from gguf2ollama.errors import InvalidInput, NotEnoughSpace, ServerProblem, ServerRefused
from gguf2ollama.events import ignore
from gguf2ollama.net import HttpClient
from gguf2ollama.sources.downloads.part_file import PartFile, identity_of
from gguf2ollama.sources.downloads.transfer import Transfer
from gguf2ollama.sources.sites.remote_file import RemoteFile
from tests.fakes.range_server import RangeServer, Reply

SEGMENT = 64 << 10
CONTENT = random.Random(4).randbytes(12 * SEGMENT + 77)  # noqa: S311 - the same every time
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with RangeServer(CONTENT) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Return a function that downloads the file; it returns the digest and the bytes that came."""

    def fetch_it(
        *, connections=8, lanes=None, pauses=(0.0, 0.0), report=ignore, check=lambda: None, **options
    ):
        with HttpClient(origin=server.url(), retry_pauses=pauses) as http:
            file = RemoteFile(http, server.url(), name="model.gguf", size=len(CONTENT), **options)
            with PartFile(
                tmp_path / "part.incomplete",
                named=tmp_path / "model.gguf",
                size=len(CONTENT),
                segment=SEGMENT,
                identity=identity_of(digest=SHA256, mark=""),
                wait=lambda: None,
            ) as part:
                transfer = Transfer(
                    file,
                    part,
                    connections=connections,
                    lanes=threading.Semaphore(lanes or connections),
                    report=report,
                    report_hashing=ignore,
                    check=lambda: None,
                )
                digest = transfer.run()
        assert (tmp_path / "part.incomplete").read_bytes() == CONTENT
        return digest, transfer.bytes_fetched

    return fetch_it


def test_each_segment_is_fetched_once(server, fetch):
    assert fetch() == (SHA256, len(CONTENT))
    ranges = sorted(request.range for request in server.requests)
    assert [start for start, _ in ranges] == [number * SEGMENT for number in range(13)]


def test_several_connections_are_used_at_once(server, fetch):
    """All but the first answer wait until as many requests are there."""
    together = threading.Barrier(7)

    def change(request, reply):
        if 0 < request.range[0] <= 7 * SEGMENT:
            together.wait(timeout=20)
        return reply

    server.change = change
    assert fetch(connections=8)[0] == SHA256


@pytest.mark.parametrize("connections,lanes", [(1, 1), (8, 2)])
def test_no_more_connections_are_used_than_are_allowed(server, fetch, connections, lanes):
    lock, active, most = threading.Lock(), 0, 0

    def change(_request, reply):
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        threading.Event().wait(0.002)
        with lock:
            active -= 1
        return reply

    server.change = change
    assert fetch(connections=connections, lanes=lanes)[0] == SHA256
    assert most <= lanes


def test_progress_is_exact_and_never_falls(fetch):
    seen = []
    fetch(report=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


@pytest.mark.parametrize("connections", [1, 8])
def test_a_server_without_ranges_is_read_over_one_connection(server, fetch, connections):
    server.change = lambda _request, reply: Reply(headers={"ETag": reply.headers["ETag"]}, body=CONTENT)
    assert fetch(connections=connections) == (SHA256, len(CONTENT))
    assert len(server.requests) == 1


@pytest.mark.parametrize("pick", [2, 3, 9])
def test_a_server_that_stops_sending_ranges_is_read_over_one_connection(server, fetch, pick):
    def change(request, reply):
        return reply if len(server.requests) < pick else Reply(headers={"ETag": server.tag}, body=CONTENT)

    server.change = change
    assert fetch(pauses=(0.0,) * 9)[0] == SHA256


def test_one_whole_file_among_ranges_is_not_read(server, fetch):
    def change(request, reply):
        is_stray = len(server.requests) == 5
        return Reply(headers={"ETag": server.tag}, body=CONTENT) if is_stray else reply

    server.change = change
    assert fetch() == (SHA256, len(CONTENT))


def test_a_whole_file_that_breaks_off_is_read_again(server, fetch):
    def change(_request, reply):
        is_first = len(server.requests) == 1
        return Reply(headers={"ETag": server.tag}, body=CONTENT, sent=len(CONTENT) // 2 if is_first else None)

    server.change = change
    assert fetch()[0] == SHA256
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_refuses_further_connections_is_read_over_fewer(server, fetch, status):
    lock, refused = threading.Lock(), threading.Event()
    active = 0

    def change(request, reply):
        nonlocal active
        if not request.range[0]:
            return reply
        with lock:
            active += 1
            is_surplus = active > 1
        if is_surplus:
            refused.set()
        else:
            refused.wait(timeout=20)
        with lock:
            active -= 1
        return Reply(status=status) if is_surplus else reply

    server.change = change
    assert fetch(pauses=(0.0,) * 50) == (SHA256, len(CONTENT))
    assert len(server.requests) <= 13 + 7  # each further connection is refused once


def test_a_server_that_refuses_all_is_an_error(server, fetch):
    server.change = lambda _request, _reply: Reply(status=429)
    with pytest.raises(ServerRefused, match="HTTP 429"):
        fetch()


def test_a_refusal_in_the_middle_ends_all(server, fetch):
    server.change = lambda request, reply: Reply(status=410) if request.range[0] == 9 * SEGMENT else reply
    with pytest.raises(ServerRefused, match="HTTP 410"):
        fetch()


def test_a_segment_that_never_comes_is_left_to_the_others(server, fetch):
    """A connection that fails again and again is not needed as long as others bring bytes."""
    failed, has_failed_twice = 0, threading.Event()

    def change(request, reply):
        nonlocal failed
        if request.range[0] == 3 * SEGMENT and failed < 3:
            failed += 1
            if failed == 2:
                has_failed_twice.set()
            return None
        if request.range[0] > 3 * SEGMENT:  # the others still have work when that connection gives up
            has_failed_twice.wait(10)
        return reply

    server.change = change
    assert fetch(pauses=(0.0,), connections=3)[0] == SHA256


def test_cuts_cost_nothing(server, fetch):
    chance = random.Random(5)  # noqa: S311 - the same every time

    def change(_request, reply):
        cut = chance.randrange(2000, SEGMENT) if len(server.requests) < 60 else None
        return dataclasses.replace(reply, sent=cut)

    server.change = change
    assert fetch() == (SHA256, len(CONTENT))


def test_another_range_is_never_taken(server, fetch):
    def change(request, reply):
        start, end = request.range
        other = (start + SEGMENT) % (8 * SEGMENT)
        place = {"Content-Range": f"bytes {other}-{other + end - start - 1}/{len(CONTENT)}"}
        return Reply(status=206, headers=place, body=CONTENT[other : other + end - start])

    server.change = change
    with pytest.raises(ServerRefused, match="was requested"):
        fetch()


def test_a_file_that_changes_is_an_error(server, fetch):
    def change(request, reply):
        return (
            dataclasses.replace(reply, headers=reply.headers | {"ETag": '"two"'})
            if request.range[0]
            else reply
        )

    server.change = change
    with pytest.raises(InvalidInput, match="changed while it was being read"):
        fetch(mark='"one"')


def test_a_digest_makes_the_mark_needless(server, fetch):
    server.change = lambda request, reply: dataclasses.replace(
        reply, headers=reply.headers | {"ETag": f'"{request.range[0]}"'}
    )
    assert fetch(has_digest=True)[0] == SHA256


def test_a_full_disk_ends_it(fetch, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("gguf2ollama.sources.downloads.part_file._write_at", refuse)
    with pytest.raises(NotEnoughSpace):
        fetch()


@pytest.mark.timeout(20)
def test_an_end_from_outside_ends_all_connections_at_once(server, fetch):
    """The server says nothing on any connection but the first; nobody waits for it."""
    stuck = threading.Event()

    class EndedError(Exception):
        pass

    def change(request, reply):
        if request.range[0] == 0:
            return reply
        if request.range[0] == SEGMENT:
            stuck.set()
        threading.Event().wait(60)
        return None

    def report(_done):
        stuck.wait(10)
        raise EndedError

    server.change = change
    with pytest.raises(EndedError):
        fetch(report=report)


def test_what_is_there_is_hashed_and_not_fetched(server, fetch, tmp_path):
    fetch()
    server.requests.clear()

    assert fetch() == (SHA256, 0)
    assert server.requests == []


@pytest.mark.parametrize("seed", range(20))
def test_no_server_makes_another_file_of_it(server, fetch, seed):
    """Whatever the answers are, what comes out is the file, or an error of ours."""
    chance = random.Random(seed)  # noqa: S311 - what is sent when differs with the threads all the same

    def change(request, reply):
        start, end = request.range or (0, len(CONTENT))
        kind = chance.randrange(9)
        if kind == 0:
            return Reply(status=chance.choice([429, 500, 503, 404, 416, 204]))
        if kind == 1:
            return Reply(headers={"ETag": server.tag}, body=CONTENT)
        if kind == 2:
            return dataclasses.replace(reply, sent=chance.randrange(len(reply.body) + 1))
        if kind == 3:
            end = chance.randrange(start + 1, min(end, len(CONTENT)) + 1)
            place = {"Content-Range": f"bytes {start}-{end - 1}/{len(CONTENT)}"}
            return Reply(status=206, headers=place, body=CONTENT[start:end])
        return None if kind == 4 else reply

    server.change = change
    with contextlib.suppress(ServerProblem, InvalidInput, LookupError):
        assert fetch(pauses=(0.0,) * 4)[0] == SHA256
