"""Responses are read as Python's own library reads them, and what is malformed is an error."""

import http.client
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.net.http1 import ResponseReader
from gguf2ollama.net.transport import join_headers

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
)


class Arriving(io.RawIOBase):
    """Bytes that arrive in pieces."""

    def __init__(self, content, seed=0):
        self._left = content
        self._random = random.Random(seed)  # noqa: S311 - the same every time

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), len(self._left), self._random.choice([1, 2, 7, 1 << 16]))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def makefile(self, _mode):
        return io.BufferedReader(self)


def read(content, *, method="GET", seed=0):
    """Return status, headers, body, whether the connection may be used again, and what follows."""
    stream = io.BufferedReader(Arriving(content, seed))
    response = ResponseReader(stream, method=method)
    body = b"".join(iter(response.read, b""))
    rest = stream.read() if response.is_reusable else b""
    return response.status, response.headers, body, response.is_reusable, rest


def read_by_python(content, *, method="GET"):
    response = http.client.HTTPResponse(Arriving(content), method=method)
    response.begin()
    ends = response.will_close
    headers = join_headers(response.getheaders())
    body = b"".join(iter(lambda: response.read1(100), b""))
    return response.status, headers, body, not ends


TOKENS = st.text("abcXYZ-09", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


@st.composite
def responses(draw):
    """Draw a response, and a method that may have it."""
    status = draw(st.sampled_from([200, 201, 204, 206, 304, 404, 503]))
    method = draw(st.sampled_from(["GET", "HEAD", "POST"]))
    fields = draw(st.lists(st.tuples(TOKENS, VALUES), max_size=4))
    fields = [(f"X-{name}", value) for name, value in fields]
    body = draw(st.binary(max_size=60))
    # Python reads chunks even where there cannot be a body
    framings = ["length", "none", *(["chunked", "close"] if status not in {204, 304} else [])]
    framing = draw(st.sampled_from(framings))
    if framing == "length":
        fields.append(("content-LENGTH", f" {len(body)}"))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", "Chunked"))
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
        sizes = [f"{len(piece):x}" + draw(st.sampled_from(["", ";a=b", " "])) for piece in pieces]
        body = b"".join(s.encode() + b"\r\n" + p + b"\r\n" for s, p in zip(sizes, pieces, strict=True))
        body += b"0\r\n" + draw(st.sampled_from([b"", b"Trailer: x\r\n"])) + b"\r\n"
    if draw(st.booleans()):
        fields.append(("Connection", draw(st.sampled_from(["close", "Keep-Alive", "keep-alive, Close"]))))
    has_body = framing != "none" and method != "HEAD" and status not in {204, 304}
    version = draw(st.sampled_from(["1.0", "1.1"]))
    begin = draw(st.sampled_from(["", "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"]))
    lines = [f"{begin}HTTP/{version} {status}{draw(st.sampled_from(['', ' ', ' OK', ' Not  so']))}"]
    lines += [f"{name}:{value}" for name, value in fields]
    end = draw(st.sampled_from(["\r\n", "\n"]))
    return method, end.join([*lines, "", ""]).encode() + (body if has_body else b"")


@given(responses(), st.integers(0, 9))
def test_responses_are_read_as_by_python(response, seed):
    method, content = response
    following = b"HTTP/1.1 200 Next"
    *found, rest = read(content + following, method=method, seed=seed)
    assert tuple(found) == read_by_python(content + following, method=method)
    assert rest == (following if found[-1] else b"")


@pytest.mark.parametrize("content", [PLAIN, CHUNKED])
def test_a_response_that_is_cut_short_is_never_taken_for_whole(content):
    for end in range(len(content)):
        with pytest.raises(ConnectionError):
            read(content[:end])


@given(st.sampled_from([PLAIN, CHUNKED]), st.data())
def test_a_response_that_is_changed_is_read_or_is_an_error(content, data):
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[position] = data.draw(st.integers(0, 255))
    try:
        read(bytes(changed))
    except (ConnectionError, ValueError):
        return


@pytest.mark.parametrize(
    "content",
    [
        b"hello\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: none\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n goes on\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n" + b" c\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * (1 << 17) + b"\r\n\r\n",
    ],
)
def test_what_is_malformed_is_an_error(content):
    with pytest.raises(ValueError, match=r"\S"):
        read(content)


def test_a_header_that_goes_on_is_one_header():
    head = b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nA: d\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"
    assert read(head)[1] == {"a": "b c, d", "content-length": "0, 0"}


def test_a_chunk_is_returned_before_what_follows_it_arrives():
    head = CHUNKED.partition(b"hello")[0]
    stream = io.BufferedReader(Arriving(head + b"hello"))
    response = ResponseReader(stream, method="GET")
    found = b""
    while len(found) < len(b"hello"):
        found += response.read()
    assert found == b"hello"
    with pytest.raises(ConnectionError):
        response.read()
