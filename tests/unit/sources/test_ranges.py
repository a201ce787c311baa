"""A file over HTTP: only what is needed of it, and never bytes of another."""

import contextlib
import dataclasses
import io
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidGguf,
    InvalidInput,
    NotFound,
    ServerProblem,
    ServerRefused,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.ggufio import TypedValue, ValueType, open_gguf
from gguf2ollama.sources import RangeReader, open_remote_gguf
from gguf2ollama.sources.sites.remote_streams import MOST_BYTES
from tests.builders import build_gguf, some_tensors
from tests.examples import examples
from tests.fakes.range_server import RangeServer, Reply
from tests.fakes.raw_server import RawServer

CONTENT = random.Random(0).randbytes(3_000_000)  # noqa: S311 - the same every time
NOW = (0.0, 0.0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with RangeServer(CONTENT) as server:
        yield server


def read(server, *, path="/model.gguf", **options):
    with RangeReader.at(server.url(path), retry_pauses=NOW, **options) as stream:
        return io.BufferedReader(stream).read()


def test_all_of_it_is_what_is_there(server):
    assert read(server) == CONTENT


@settings(
    max_examples=examples(0.5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(places=st.lists(st.tuples(st.integers(0, len(CONTENT) + 5), st.integers(0, 500_000)), max_size=6))
def test_any_part_of_it_is_what_is_there(server, places):
    with RangeReader.at(server.url()) as stream:
        buffered = io.BufferedReader(stream)
        for start, count in places:
            buffered.seek(start)
            assert buffered.read(count) == CONTENT[start : start + count]


def test_it_is_a_file_as_others_are(server):
    with RangeReader.at(server.url()) as stream:
        assert (stream.readable(), stream.seekable(), stream.writable()) == (True, True, False)
        assert stream.size == stream.seek(0, io.SEEK_END) == len(CONTENT)
        assert stream.read(1) == b""
        assert stream.seek(-10, io.SEEK_CUR) == stream.tell() == len(CONTENT) - 10
        assert stream.read() == CONTENT[-10:]
        with pytest.raises(ValueError, match="no byte -1"):
            stream.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_ranges_grow_while_it_is_read_on(server):
    with RangeReader.at(server.url()) as stream:
        assert len(stream.read(10)) == 10
        while stream.read(1 << 20):
            pass
        assert stream.bytes_fetched == len(CONTENT)
    sizes = [end - start for start, end in (one.range for one in server.requests)]
    assert sizes == [256 << 10, 512 << 10, 1 << 20, 1 << 20, 1 << 20][: len(sizes)]
    assert len(sizes) == 5


@pytest.fixture(scope="module")
def large_vocabulary(tmp_path_factory):
    tokens = [f"token {number:08}" for number in range(152_000)]
    metadata = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": [f"{token[:6]} {token[6:]}" for token in tokens],
        "tokenizer.ggml.token_type": TypedValue.array(ValueType.INT32, [1] * len(tokens)),
    }
    tensors = some_tensors(200)
    return build_gguf(tmp_path_factory.mktemp("header") / "model.gguf", metadata=metadata, tensors=tensors)


@pytest.mark.parametrize("sends_ranges", [True, False])
def test_no_more_than_a_chunk_is_read_beyond_a_header_of_152_000_tokens(large_vocabulary, sends_ranges):
    here = open_gguf(large_vocabulary)
    content = large_vocabulary.read_bytes() + bytes(20_000_000)
    with RangeServer(content) as server:
        if not sends_ranges:
            server.change = lambda _request, _reply: Reply(body=content)
        with RangeReader.at(server.url()) as stream:
            there = open_gguf(stream)
            fetched = stream.bytes_fetched
    assert there.metadata["tokenizer.ggml.tokens"][::999] == here.metadata["tokenizer.ggml.tokens"][::999]
    assert there.metadata["tokenizer.ggml.merges"][-1] == here.metadata["tokenizer.ggml.merges"][-1]
    assert [one.name for one in there.tensors] == [one.name for one in here.tensors]
    assert there.data_offset == here.data_offset > 6_000_000
    assert fetched <= here.data_offset + MOST_BYTES
    assert all(one.headers["accept-encoding"] == "identity" for one in server.requests)


def test_a_header_is_read_by_its_address_and_a_broken_one_named_by_it(large_vocabulary, server):
    with pytest.raises(InvalidGguf, match=r"http://127\.0\.0\.1:\d+/model\.gguf is not a GGUF file"):
        open_remote_gguf(server.url("/model.gguf?signature=secret"))
    with RangeServer(large_vocabulary.read_bytes()) as other:
        assert open_remote_gguf(other.url()).name == other.url()


def test_an_empty_file_is_told(server):
    server.content = b""
    with pytest.raises(InvalidGguf, match="is empty"):
        open_remote_gguf(server.url())


def test_where_a_redirect_led_is_asked_from_then_on(server):
    server.change = lambda request, reply: (
        Reply(status=302, headers={"Location": "/signed?key=1"}) if request.path == "/model.gguf" else reply
    )
    assert read(server) == CONTENT
    assert [one.path for one in server.requests] == ["/model.gguf", *["/signed?key=1"] * 5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_address_that_is_over_is_asked_for_anew(server, status):
    asked = 0

    def change(request, reply):
        nonlocal asked
        if request.path == "/model.gguf":
            asked += 1
            return Reply(status=307, headers={"Location": f"/signed?key={asked}"})
        is_over = request.path.endswith("=1") and request.range[0] > 0
        return Reply(status=status) if is_over else reply

    server.change = change
    assert read(server) == CONTENT
    assert asked == 2


def test_an_address_that_is_over_at_once_is_an_error(server):
    server.change = lambda request, _reply: (
        Reply(status=302, headers={"Location": "/signed"})
        if request.path == "/model.gguf"
        else Reply(status=403)
    )
    with pytest.raises(ServerRefused, match="403"):
        read(server)


def test_the_token_goes_to_the_host_that_was_named_and_to_no_other(server):
    with RangeServer(CONTENT) as other:
        server.change = lambda _request, _reply: Reply(status=302, headers={"Location": other.url("/x")})
        assert read(server, own_headers={"Authorization": "Bearer hf_secret"}) == CONTENT
        assert [one.headers.get("authorization") for one in server.requests] == ["Bearer hf_secret"]
        assert not any("authorization" in one.headers for one in other.requests)


def test_the_token_does_not_follow_to_another_name_of_the_same_machine(server):
    place = server.url("/x", host="localhost")
    server.change = lambda request, reply: (
        reply if request.path == "/x" else Reply(status=302, headers={"Location": place})
    )
    read(server, own_headers={"Authorization": "Bearer hf_secret"})
    assert {one.path: one.headers.get("authorization") for one in server.requests} == {
        "/model.gguf": "Bearer hf_secret",
        "/x": None,
    }


@pytest.mark.parametrize("location", ["", "ftp://example.com/x", "file:///etc/passwd"])
def test_a_redirect_to_nowhere_is_refused(server, location):
    server.change = lambda _request, _reply: Reply(status=302, headers={"Location": location})
    with pytest.raises(ServerRefused, match="redirects to an invalid address"):
        read(server)


@pytest.mark.parametrize("location", ["http://", "http://[", "http://h:99999/", "mailto:a@b"])
def test_a_redirect_that_makes_no_sense_is_an_error(server, location):
    server.change = lambda _request, _reply: Reply(status=302, headers={"Location": location})
    with pytest.raises(ServerProblem, match="redirects"):
        read(server)


def test_redirects_in_a_circle_end(server):
    server.change = lambda _request, _reply: Reply(status=302, headers={"Location": "/model.gguf"})
    with pytest.raises(ServerRefused, match="too many times"):
        read(server)
    assert len(server.requests) == 10


@pytest.mark.parametrize("with_tag", [True, False])
@pytest.mark.parametrize("change", ["tag", "size"])
def test_a_file_that_changes_while_it_is_read_is_an_error(server, change, with_tag):
    server.tag = '"one"' if with_tag else ""
    with RangeReader.at(server.url(), retry_pauses=NOW) as stream:
        stream.read(10)
        server.content = CONTENT[::-1] if change == "tag" else CONTENT + b"more"
        server.tag = '"two"' if change == "tag" else server.tag
        stream.seek(1_000_000)
        if change == "tag" and not with_tag:
            return  # nothing tells
        with pytest.raises(InvalidInput, match="changed while it was being read"):
            stream.read(10)
        assert server.requests[-1].headers.get("if-range") == ('"one"' if with_tag else None)


@pytest.mark.parametrize("fault", ["500", "503", "429", "hang up", "cut", "cut at once"])
def test_what_fails_for_a_while_is_asked_for_again(server, fault):
    faults = {
        "500": lambda _reply: Reply(status=500),
        "503": lambda _reply: Reply(status=503, headers={"Retry-After": "0"}),
        "429": lambda _reply: Reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        "hang up": lambda _reply: None,
        "cut": lambda reply: dataclasses.replace(reply, sent=100_000),
        "cut at once": lambda reply: dataclasses.replace(reply, sent=0),
    }
    # each second answer fails
    server.change = lambda _request, reply: faults[fault](reply) if len(server.requests) % 2 else reply
    assert read(server) == CONTENT


def test_what_came_before_a_cut_is_not_asked_for_again(server):
    server.change = lambda _request, reply: dataclasses.replace(reply, sent=min(len(reply.body), 100_000))
    with RangeReader.at(server.url(), retry_pauses=NOW) as stream:
        assert io.BufferedReader(stream).read() == CONTENT
        assert stream.bytes_fetched == len(CONTENT)


@pytest.mark.parametrize("fault", ["500", "cut at once"])
def test_what_always_fails_is_an_error_in_the_end(server, fault):
    server.change = lambda _request, reply: (
        Reply(status=500) if fault == "500" else dataclasses.replace(reply, sent=0)
    )
    with pytest.raises(ServerRefused if fault == "500" else ServerUnreachable) as caught:
        read(server)
    assert caught.value.hint
    assert len(server.requests) == 1 + len(NOW)


@pytest.mark.parametrize("status", [404, 401, 403, 418, 304])
def test_a_refusal_is_told_once(server, status):
    server.change = lambda _request, _reply: Reply(status=status)
    with pytest.raises(NotFound if status == 404 else ServerRefused) as caught:
        read(server, path="/model.gguf?signature=secret")
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "told",
    [
        "",
        "bytes",
        "bytes 0-9/*",
        "bytes */3000000",
        "bytes 1-262144/3000000",
        "bytes 0-262144/3000000",
        "bytes 9-0/3000000",
        "bytes 0-99999999/3000000",
        "bytes 0-262143/10",
        "items 0-262143/3000000",
        "bytes 0-262143/" + "9" * 30,
    ],
)
def test_a_range_that_is_not_the_one_asked_for_is_refused(server, told):
    server.change = lambda _request, reply: dataclasses.replace(reply, headers={"Content-Range": told})
    with pytest.raises(ServerRefused, match=r"invalid Content-Range|was requested"):
        read(server)


def test_a_body_longer_than_its_range_is_refused(server):
    place = {"Content-Range": f"bytes 0-9/{len(CONTENT)}"}
    server.change = lambda _request, _reply: Reply(status=206, headers=place, body=bytes(11))
    with pytest.raises(ServerRefused, match="11 bytes where 10 were announced"):
        read(server)


@pytest.mark.parametrize("count,problem", [(99, "ended 1 bytes early"), (101, "more bytes than announced")])
def test_a_range_without_a_length_is_held_to_what_it_announces(count, problem):
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99/100\r\nConnection: close\r\n\r\n"
    with (
        RawServer(lambda _head: head + bytes(count)) as server,
        pytest.raises(ServerProblem, match=problem),
    ):
        RangeReader.at(server.url, retry_pauses=())


def test_a_range_shorter_than_asked_for_is_taken(server):
    def change(request, _reply):
        start = request.range[0]
        end = min(start + 70_001, *request.range[1:], len(CONTENT))
        place = {"Content-Range": f"bytes {start}-{end - 1}/{len(CONTENT)}"}
        return Reply(status=206, headers=place, body=CONTENT[start:end])

    server.change = change
    assert read(server) == CONTENT


def test_an_encoded_file_is_refused(server):
    server.change = lambda _request, reply: dataclasses.replace(
        reply, headers={**reply.headers, "Content-Encoding": "gzip"}
    )
    with pytest.raises(ServerRefused, match="compressed"):
        read(server)


def test_a_range_that_is_not_there_any_more_is_a_change(server):
    with RangeReader.at(server.url()) as stream:
        server.content = CONTENT[:1000]
        server.tag = ""
        server.change = lambda request, _reply: server.right_answer(
            dataclasses.replace(request, headers={"range": request.headers["range"]})
        )
        stream.seek(2_000_000)
        with pytest.raises(InvalidInput, match="changed while it was being read"):
            stream.read(1)


def test_a_server_without_ranges_is_read_from_the_start_on(server):
    server.change = lambda _request, reply: Reply(body=CONTENT, headers={"ETag": reply.headers["ETag"]})
    with RangeReader.at(server.url(), retry_pauses=NOW) as stream:
        buffered = io.BufferedReader(stream)
        assert buffered.read(10) == CONTENT[:10]
        buffered.seek(1_000_000)
        assert buffered.read(500_000) == CONTENT[1_000_000:1_500_000]
        assert len(server.requests) == 1
        buffered.seek(5)
        assert buffered.read() == CONTENT[5:]
        assert len(server.requests) == 2


def test_a_server_without_ranges_that_breaks_off_is_read_again(server):
    server.change = lambda _request, _reply: Reply(
        body=CONTENT, sent=len(CONTENT) // 2 if len(server.requests) == 1 else None
    )
    assert read(server) == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_tells_neither_ranges_nor_a_length_is_refused(server):
    server.change = lambda _request, _reply: Reply(body=CONTENT, headers={"Content-Length": ""}, sent=10**9)
    with pytest.raises(ServerRefused, match="neither ranges nor the length"):
        read(server)


@pytest.mark.parametrize(
    "url", ["", "model.gguf", "ftp://host/x", "http://", "http://[::1/x", "http://h:99999/x", "http://h/\n"]
)
def test_what_is_no_address_of_a_file_is_a_usage_problem(url):
    with pytest.raises(UsageProblem, match="invalid URL"):
        RangeReader.at(url)


def test_a_host_that_does_not_answer_is_unreachable():
    with RangeServer(b"") as ended:
        gone = ended.url()
    with pytest.raises(ServerUnreachable, match="cannot connect to"):
        RangeReader.at(gone, retry_pauses=NOW)


@settings(
    max_examples=examples(0.75), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    status=st.sampled_from([200, 206, 302, 416, 500]),
    headers=st.dictionaries(
        st.sampled_from(["Content-Range", "Content-Length", "ETag", "Location", "Content-Encoding"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    ),
    body=st.binary(max_size=200),
)
def test_no_answer_makes_anything_but_an_error_of_ours_or_its_bytes(server, status, headers, body):
    server.change = lambda _request, _reply: Reply(status=status, headers=headers, body=body, sent=len(body))
    with (
        contextlib.suppress(Gguf2OllamaError),
        RangeReader.at(server.url(), retry_pauses=()) as stream,
    ):
        assert body.startswith(stream.read(500))
