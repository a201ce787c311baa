"""The registry on loopback, asked over real sockets as Ollama asks it, and as others might."""

import contextlib
import errno
import ipaddress
import os
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import ServerProblem
from gguf2ollama.ggufio import FileRange, GivenBytes, MergedView, ShardSet
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType
from gguf2ollama.ollama import manifest_server
from gguf2ollama.ollama.manifest_server import PrivateRegistry
from gguf2ollama.ollama.sendfile import FilePiece
from tests.builders import build_shards, some_tensors
from tests.examples import examples

pytestmark = pytest.mark.loopback  # it is ours, and no fake

LAYER = bytes(range(256)) * 2000
CONFIG = b'{"model_format":"gguf"}'


def descriptor(content, media_type=MediaType.MODEL):
    return Descriptor(media_type=media_type.value, digest=Digest.of(content), size=len(content))


MANIFEST = Manifest(config=descriptor(CONFIG, MediaType.CONFIG), layers=(descriptor(LAYER),))

CERTIFICATES = httpx2.create_ssl_context()  # read once, as that takes a while


@pytest.fixture
def pieces(tmp_path):
    """Return the layer as a file's middle with given bytes around it."""
    path = tmp_path / "part"
    path.write_bytes(b"before" + LAYER[10:-10] + b"after")
    return (LAYER[:10], FilePiece(path=path, offset=6, length=len(LAYER) - 20), LAYER[-10:])


@pytest.fixture
def registry(pieces):
    """Return the name of what a registry serves."""
    with PrivateRegistry(label="a1") as registry:
        yield registry.offer(MANIFEST, {Digest.of(LAYER): pieces, Digest.of(CONFIG): (CONFIG,)})


@pytest.fixture
def http():
    with httpx2.Client(trust_env=False, verify=CERTIFICATES) as client:
        yield client


def url(name, *parts):
    return "/".join([f"http://{name.host}/v2/{name.namespace}/{name.model}", *map(str, parts)])


def direct(registry, http, content=LAYER):
    """Follow the redirect to where the bytes are."""
    return http.get(url(registry, "blobs", Digest.of(content))).headers["Location"]


def token(registry):
    return registry.model


def test_the_manifest_is_given_as_it_is(registry, http):
    answer = http.get(url(registry, "manifests", registry.tag))
    assert answer.status_code == 200
    assert answer.content == MANIFEST.to_bytes()
    assert answer.headers["Content-Type"] == "application/vnd.docker.distribution.manifest.v2+json"
    head = http.head(url(registry, "manifests", registry.tag))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(MANIFEST.to_bytes()))


def test_a_blob_tells_its_length_and_leads_to_another_host_name(registry, http):
    blob = url(registry, "blobs", Digest.of(LAYER))
    head = http.head(blob)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(LAYER)))
    answer = http.get(blob)
    assert answer.status_code == 307
    assert urlsplit(answer.headers["Location"]).hostname != urlsplit(blob).hostname
    assert urlsplit(answer.headers["Location"]).port == urlsplit(blob).port
    assert http.get(answer.headers["Location"]).content == LAYER
    assert http.get(direct(registry, http, CONFIG)).content == CONFIG


def test_the_other_host_name_is_the_same_address_and_nothing_to_look_up(registry, http):
    name = urlsplit(direct(registry, http)).hostname
    assert ipaddress.IPv6Address(name).ipv4_mapped == ipaddress.IPv4Address("127.0.0.1")


def test_no_name_is_looked_up(pieces, monkeypatch):
    def refuse(*arguments):
        raise AssertionError(f"looked up {arguments}")

    for function in ("getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getfqdn"):
        monkeypatch.setattr(socket, function, refuse)
    with PrivateRegistry(label="a1") as registry:
        registry.offer(MANIFEST, {})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its sockets in /proc")
def test_it_listens_on_the_loopback_address_of_ipv4_alone(registry):
    port = f"{int(registry.host.split(':')[1]):04X}"
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        if (path := Path("/proc/net", table)).exists()
        for line in path.read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port}")
    ]
    assert listening == [
        f"{struct.pack('=I', struct.unpack('!I', bytes([127, 0, 0, 1]))[0]).hex().upper()}:{port}"
    ]


def test_nobody_else_can_listen_on_the_same_address(registry):
    port = int(registry.host.split(":")[1])
    for option in (None, "SO_REUSEADDR", "SO_REUSEPORT"):
        with socket.socket() as other:
            if option is not None and hasattr(socket, option):
                other.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
            with pytest.raises(OSError, match=r"in use|forbidden"):
                other.bind(("127.0.0.1", port))


def test_without_a_port_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(manifest_server, "_ADDRESS", "192.0.2.1")  # of nobody: RFC 5737
    with pytest.raises(ServerProblem, match="cannot open a port") as caught:
        PrivateRegistry(label="a1")
    assert caught.value.hint


def test_connections_that_say_nothing_are_few_and_keep_nobody_from_being_served(registry, http):
    host, port = registry.host.split(":")
    assert http.get(url(registry, "manifests", registry.tag)).status_code == 200  # on a connection that stays
    before = threading.active_count()
    with contextlib.ExitStack() as strangers:
        opened = []
        for number in range(200):
            stranger = strangers.enter_context(socket.create_connection((host, int(port)), timeout=30))
            if number % 2:
                stranger.sendall(b"GET /v2/ HTTP/1.1\r\nX: ")  # and never ends
            opened.append(stranger)
            if number >= 40:  # each new one ends one of the oldest
                with contextlib.suppress(ConnectionResetError):
                    assert opened[number - 40].recv(1) == b""
        assert http.get(direct(registry, http)).content == LAYER
        assert threading.active_count() - before < 40
        with httpx2.Client(trust_env=False, verify=CERTIFICATES) as other:
            assert other.get(url(registry, "manifests", registry.tag)).content == MANIFEST.to_bytes()


def test_it_knows_whether_its_manifest_was_fetched(pieces, http):
    with PrivateRegistry(label="a1") as registry:
        first, second = registry.offer(MANIFEST, {}), registry.offer(MANIFEST, {})
        assert (first.tag, second.tag) == ("a1-1", "a1-2")
        http.get(url(first, "manifests", second.tag + "0"))
        http.head(url(first, "manifests", first.tag))
        assert not registry.has_served(first)
        http.get(url(second, "manifests", second.tag))
        assert (registry.has_served(first), registry.has_served(second)) == (False, True)


@pytest.mark.parametrize(
    "wanted,start,end",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(LAYER)),
        ("bytes=5-14", 5, 15),
        ("bytes=9-10", 9, 11),
        ("bytes=11-999", 11, 1000),
        (f"bytes={len(LAYER) - 11}-{len(LAYER) - 1}", len(LAYER) - 11, len(LAYER)),
        (f"bytes={len(LAYER) - 1}-{len(LAYER) * 9}", len(LAYER) - 1, len(LAYER)),
    ],
)
def test_a_range_is_answered_with_those_bytes(registry, http, wanted, start, end):
    answer = http.get(direct(registry, http), headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == LAYER[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(LAYER)}"


@pytest.mark.parametrize(
    "wanted", ["bytes=-5", "bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=a-b", "", f"bytes=0-{10**30}"]
)
def test_what_is_not_taken_as_a_range_is_answered_with_all_of_it(registry, http, wanted):
    answer = http.get(direct(registry, http), headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, LAYER)


@pytest.mark.parametrize("wanted", [f"bytes={len(LAYER)}-", "bytes=9-8", f"bytes={10**17}-{10**17 + 1}"])
def test_a_range_without_a_byte_is_refused_with_the_length(registry, http, wanted):
    answer = http.get(direct(registry, http), headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(LAYER)}"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/",
        "/v2/_catalog",
        "/{token}",
        "/{token}/",
        "/{token}/../{token}/sha256:" + "0" * 64,
        "/{token}/sha256:" + "0" * 64,
        "/" + "0" * 32 + "/{layer}",
        "/{layer}",
        "/v2/{space}/{token}/manifests/latest",
        "/v2/{space}/{token}/manifests/{tag}/",
        "/v2/{space}/{token}/manifests/{tag}?x=1",
        "/v2/{space}/{token}/tags/list",
        "/v2/{space}/{token}/blobs/sha256:" + "0" * 64,
        "/v2/{space}/{token}/blobs/{layer}/",
        "/v2/{space}/" + "0" * 32 + "/manifests/{tag}",
        "/v2/{space}/" + "0" * 32 + "/blobs/{layer}",
        "/v2/library/{token}/manifests/{tag}",
        "/v2/{space}/{token}/manifests/%31",
        "/v2/{space}/{token}/manifests/{tag}%00",
        "/\xfc",
    ],
)
def test_nothing_else_is_answered(registry, path):
    own = {"token": token(registry), "space": registry.namespace, "tag": registry.tag}
    filled = path.format(**own, layer=Digest.of(LAYER))
    for method in ("GET", "HEAD"):
        assert spoken(registry, f"{method} {filled} HTTP/1.1\r\nHost: x\r\n\r\n") == 404


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "nonsense"]
)
def test_other_methods_are_not_answered_even_for_what_is_there(registry, http, method):
    answer = http.request(method, url(registry, "manifests", registry.tag), content=b"body")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    "said",
    ["\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /" + "x" * 70_000 + " HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request_is_told_nothing(registry, said):
    assert spoken(registry, said) in {404, None}


def spoken(registry, said):
    """Say something to the server, and give the status of its answer; ``None`` when there is none."""
    host, port = registry.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(said.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass
    assert LAYER[:100] not in answer
    assert b"Traceback" not in answer
    return int(answer.split()[1]) if answer.startswith(b"HTTP/") else None


def test_the_path_cannot_be_guessed(pieces):
    tokens = set()
    for _ in range(20):
        with PrivateRegistry(label="a1") as registry:
            tokens.add(token(registry.offer(MANIFEST, {})))
    assert {len(one) for one in tokens} == {32}
    assert len(tokens) == 20


@pytest.mark.parametrize("without", ["that works", "at all"])
def test_without_a_sendfile_the_bytes_are_the_same(registry, http, monkeypatch, without):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise OSError(errno.EINVAL, "not for this file system")

    monkeypatch.setattr(os, "sendfile", refuse, raising=False)
    if without == "at all":
        monkeypatch.setattr(socket.socket, "_sendfile_use_sendfile", socket.socket._sendfile_use_send)
    place = direct(registry, http)
    assert http.get(place).content == LAYER
    assert http.get(place, headers={"Range": "bytes=7-400000"}).content == LAYER[7:400_001]
    assert bool(asked) is (without == "that works" and sys.platform != "win32")


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    tensors = some_tensors(7, shape=(32, 3)) + some_tensors(1, shape=(32, 40))
    names = {tensor.name: tensor for tensor in tensors}
    shards = build_shards(folder, count=3, tensors=list(names.values()))
    return MergedView(ShardSet.discover(shards[0]))


@pytest.fixture(scope="module")
def served_view(view):
    merged = view.open().read()
    pieces = []
    for piece in view.ranges():
        if isinstance(piece, FileRange):
            pieces.append(FilePiece(path=piece.path, offset=piece.offset, length=piece.length))
        else:
            pieces.append(piece.content if isinstance(piece, GivenBytes) else bytes(piece.length))
    manifest = Manifest(config=descriptor(CONFIG, MediaType.CONFIG), layers=(descriptor(merged),))
    with (
        PrivateRegistry(label="a1") as registry,
        httpx2.Client(trust_env=False, verify=CERTIFICATES) as http,
    ):
        yield http, direct(registry.offer(manifest, {Digest.of(merged): pieces}), http, merged), merged


@settings(
    max_examples=examples(1.5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_ranges_of_a_merged_view_are_exactly_those_of_the_merged_file(served_view, data):
    http, place, merged = served_view
    start = data.draw(st.integers(0, len(merged) - 1))
    last = data.draw(st.integers(start, len(merged) + 10))
    answer = http.get(place, headers={"Range": f"bytes={start}-{last}"})
    assert answer.content == merged[start : last + 1]


def test_a_file_that_became_shorter_ends_the_body_early(registry, http, pieces):
    place = direct(registry, http)
    os.truncate(pieces[1].path, 1000)
    with pytest.raises(httpx2.RemoteProtocolError):
        http.get(place)
    assert http.get(url(registry, "manifests", registry.tag)).status_code == 200


def test_a_file_that_is_gone_ends_the_body_early(registry, http, pieces):
    place = direct(registry, http)
    pieces[1].path.unlink()
    with pytest.raises(httpx2.RemoteProtocolError):
        http.get(place)


def test_many_ask_at_once(registry, http):
    place = direct(registry, http)
    step = len(LAYER) // 16
    together = threading.Barrier(16)

    def one(number):
        wanted = f"bytes={number * step}-{(number + 1) * step - 1}"
        together.wait(60)
        return http.get(place, headers={"Range": wanted}).content

    with ThreadPoolExecutor(16) as pool:
        assert b"".join(pool.map(one, range(16))) == LAYER


def test_two_registries_serve_side_by_side(pieces):
    other = Manifest(config=MANIFEST.config, layers=())
    with PrivateRegistry(label="a1") as one, PrivateRegistry(label="a1") as two:
        names = {one.offer(MANIFEST, {}): MANIFEST, two.offer(other, {}): other}
        assert len({name.host for name in names}) == 2
        for name, manifest in names.items():
            answer = httpx2.get(url(name, "manifests", name.tag), trust_env=False)
            assert answer.content == manifest.to_bytes()


def test_what_is_offered_later_is_served_beside_what_was_before(pieces, http):
    other = Manifest(config=MANIFEST.config, layers=())
    with PrivateRegistry(label="a1") as registry:
        first = registry.offer(other, {Digest.of(CONFIG): (CONFIG,)})
        assert http.get(url(first, "blobs", Digest.of(LAYER))).status_code == 404
        second = registry.offer(MANIFEST, {Digest.of(LAYER): pieces})
        assert http.get(url(first, "manifests", first.tag)).content == other.to_bytes()
        assert http.get(url(second, "manifests", second.tag)).content == MANIFEST.to_bytes()
        for content in (CONFIG, LAYER):
            assert http.get(direct(second, http, content)).content == content


def test_the_end_leaves_no_thread_and_no_socket_whoever_is_connected(pieces):
    before = threading.active_count()
    blobs = {Digest.of(LAYER): pieces}
    with PrivateRegistry(label="a1") as registry, httpx2.Client(trust_env=False, verify=CERTIFICATES) as http:
        name = registry.offer(MANIFEST, blobs)
        host, port = name.host.split(":")
        idle = socket.create_connection((host, int(port)))
        place = urlsplit(direct(name, http))
        # one that asks for much and takes nothing
        slow = socket.create_connection((host, int(port)))
        slow.sendall(f"GET {place.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert threading.active_count() == before
    with idle, slow:
        idle.settimeout(10)
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_an_interruption_of_its_end_leaves_no_thread_and_no_socket_either(monkeypatch):
    before = threading.active_count()
    registry = PrivateRegistry(label="a1")
    shutdown = registry._server.shutdown

    def interrupted():
        shutdown()
        raise KeyboardInterrupt

    monkeypatch.setattr(registry._server, "shutdown", interrupted)
    host, port = registry.offer(MANIFEST, {}).host.split(":")
    registry.__enter__()
    idle = socket.create_connection((host, int(port)))
    with pytest.raises(KeyboardInterrupt):
        registry.__exit__(None, None, None)
    idle.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
