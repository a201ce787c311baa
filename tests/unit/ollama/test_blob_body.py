"""Blobs made of pieces of files: over real sockets, the quick way and through this process."""

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import (
    InvalidInput,
    NotEnoughSpace,
    NotFound,
    ServerStalled,
    ServerUnreachable,
)
from gguf2ollama.events import ignore
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.blob_body import PiecesBody
from gguf2ollama.ollama.sendfile import FilePiece, cut, read_piece, total
from tests.fakes.ollama_server import Answer, Choke, Die, FakeOllama

CONTENT = b"header" + b"0123456789" * 1_000_000 + bytes(32)
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def pieces(tmp_path):
    """Return the content as a file's middle with given bytes around it."""
    path = tmp_path / "weights"
    path.write_bytes(b"before" + CONTENT[6:-32] + b"after")
    return (b"header", FilePiece(path=path, offset=6, length=len(CONTENT) - 38), bytes(32))


def upload(client, pieces, **options):
    return client.upload_blob(pieces, digest=DIGEST, size=len(CONTENT), label="weights", **options)


def test_the_server_gets_the_bytes_of_all_pieces(client, server, pieces):
    updates = []
    assert upload(client, pieces, progress=updates.append)
    assert server.store.blobs == {str(DIGEST): CONTENT}
    assert [one.done for one in updates] == sorted({one.done for one in updates})
    assert (updates[0].done, updates[-1].done, updates[-1].total) == (0, len(CONTENT), len(CONTENT))
    assert {one.task for one in updates} == {"uploading weights"}


def test_what_the_server_has_is_not_sent(client, server, pieces):
    upload(client, pieces)
    assert not upload(client, pieces)
    assert [one.partition(" ")[0] for one in server.endpoints()] == ["HEAD", "POST", "HEAD"]


def test_nothing_of_a_file_passes_through_this_process(client, pieces, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.blob_body.read_piece", None)
    assert upload(client, pieces)


@pytest.mark.parametrize("is_without", ["that works", "at all"])
def test_without_a_sendfile_the_bytes_are_the_same(client, server, pieces, monkeypatch, is_without):
    def refuse(*_arguments):
        raise OSError(errno.EINVAL, "not for this file system")

    monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    if is_without == "at all":
        monkeypatch.setattr(socket.socket, "_sendfile_use_sendfile", socket.socket._sendfile_use_send)
    upload(client, pieces)
    assert server.store.blobs == {str(DIGEST): CONTENT}


def test_through_a_proxy_the_bytes_are_the_same(server, pieces, monkeypatch):
    # the fake takes the whole URL that a proxy is asked for
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("gguf2ollama.ollama.blob_body.PiecesBody.send_over", None)
    with Client("http://ollama.example:11434", retry_pauses=()) as client:
        assert upload(client, pieces)
    assert server.store.blobs == {str(DIGEST): CONTENT}


def test_an_upload_that_breaks_off_is_sent_again_from_its_start(client, server, pieces):
    server.inject("POST /api/blobs/", Die(after_bytes=500_000), times=2)
    updates = []
    assert upload(client, pieces, progress=updates.append)
    assert server.store.blobs == {str(DIGEST): CONTENT}
    assert [update.done for update in updates].count(0) == 3


def test_an_upload_that_breaks_off_again_and_again_is_given_up(client, server, pieces):
    server.inject("POST /api/blobs/", Die(after_bytes=500_000), times=3)
    with pytest.raises(ServerUnreachable, match="connection lost") as caught:
        upload(client, pieces)
    assert caught.value.hint
    assert server.store.blobs == {}


def test_a_server_that_takes_no_more_bytes_stalls(impatient, server, tmp_path):
    server.inject("POST /api/blobs/", Choke(after_bytes=1000), times=3)
    path = tmp_path / "large"
    path.write_bytes(bytes(64 << 20))
    piece = FilePiece(path=path, offset=0, length=64 << 20)
    with pytest.raises(ServerStalled, match="accepted no data"):
        impatient.upload_blob((piece,), digest=DIGEST, size=piece.length)


def test_a_server_that_says_no_before_it_has_all_is_heard(client, server, pieces):
    server.inject("POST /api/blobs/", Answer(500, '{"error": "write x: no space left on device"}'))
    with pytest.raises(NotEnoughSpace):
        upload(client, pieces)
    assert server.endpoints() == [f"HEAD /api/blobs/{DIGEST}", f"POST /api/blobs/{DIGEST}"]


def test_a_server_that_is_gone_is_unreachable(pieces):
    with FakeOllama() as server:
        client = Client(server.url, retry_pauses=())
    with client, pytest.raises(ServerUnreachable):
        upload(client, pieces)


def test_a_file_that_became_shorter_is_not_sent(client, server, pieces):
    os.truncate(pieces[1].path, 1000)
    with pytest.raises(InvalidInput, match="no longer has"):
        upload(client, pieces)
    assert server.store.blobs == {}


def test_a_file_that_is_gone_is_not_found(client, server, pieces):
    pieces[1].path.unlink()
    with pytest.raises(NotFound, match="weights"):
        upload(client, pieces)
    assert server.store.blobs == {}


def test_a_digest_that_is_not_that_of_the_bytes_is_told(client, pieces):
    with pytest.raises(InvalidInput, match="does not match its digest"):
        client.upload_blob(pieces, digest=Digest.of(b"other"), size=len(CONTENT))


def test_a_client_that_is_closed_ends_what_is_under_way(server, pieces):
    client = Client(server.url, retry_pauses=())

    def close(update):
        if update.done:
            client.close()

    with pytest.raises(ServerUnreachable):
        upload(client, (*pieces, bytes(16 << 20)), progress=close)


def test_an_answer_that_is_none_is_refused(client, server, pieces):
    server.inject("POST /api/blobs/", Die(after_bytes=len(CONTENT)), times=3)
    with pytest.raises(ServerUnreachable):
        upload(client, pieces)


@given(
    sizes=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=6),
    bounds=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_a_cut_gives_exactly_the_bytes_between(tmp_path_factory, sizes, bounds):
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(bytes(range(200)))
    pieces = [
        FilePiece(path=path, offset=10 * number, length=size) if is_file else bytes([number]) * size
        for number, (is_file, size) in enumerate(sizes)
    ]
    whole = b"".join(map(read_piece, pieces))
    assert total(pieces) == len(whole)
    start, end = min(bounds), max(bounds)
    found = list(cut(pieces, start=start, end=end))
    assert b"".join(map(read_piece, found)) == whole[start:end]
    assert all(total((piece,)) for piece in found)


def test_a_body_read_in_this_process_has_the_same_bytes(pieces):
    assert b"".join(PiecesBody(pieces, task="x", progress=ignore)) == CONTENT


def test_a_body_of_a_file_that_became_shorter_is_an_error(pieces):
    os.truncate(pieces[1].path, 1000)
    with pytest.raises(InvalidInput, match="no longer has"):
        list(PiecesBody(pieces, task="x", progress=ignore))
