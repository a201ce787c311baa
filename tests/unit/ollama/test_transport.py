"""Waiting, proxies, certificates and interruption."""

import signal
import threading
from pathlib import Path

import pytest

from gguf2ollama.errors import ServerRefused, ServerStalled, ServerUnreachable, UsageProblem
from gguf2ollama.net import proxy_for
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from tests import fakes
from tests.fakes.ollama_server import Answer, FakeOllama, Pause, Stall

CERTIFICATE = Path(fakes.__path__[0]) / "loopback.pem"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def model(client, server, gguf):
    content = gguf.read_bytes()
    digest = Digest.of(content)
    client.upload_blob(gguf, digest=digest, size=len(content))
    client.create("smol", files={gguf.name: digest}).drain()
    server.seen.clear()
    return "smol"


def test_long_work_of_a_living_server_is_waited_for(impatient, server, model):
    for endpoint, ask in (
        ("POST /api/create", lambda: impatient.create("other", from_=model).drain()),
        ("POST /api/generate", lambda: impatient.load(model)),
        ("POST /api/chat", lambda: impatient.chat(model, HELLO).drain()),
        ("POST /api/pull", lambda: next(impatient.pull("other"))),
    ):
        server.seen.clear()
        server.inject(endpoint, Pause(until="GET /api/version"))
        ask()
        assert "GET /api/version" in server.endpoints()


def test_long_work_of_a_server_that_hangs_is_a_stall(impatient, server, model):
    server.is_deaf = True
    with pytest.raises(ServerStalled) as caught:
        impatient.create("other", from_=model)
    assert caught.value.hint
    assert "GET /api/version" in server.endpoints()


def test_a_server_whose_proxy_answers_for_it_does_not_live(impatient, server, model):
    server.inject("POST /api/create", Stall())
    server.inject("GET /api/version", Answer(502, "Bad Gateway"))
    with pytest.raises(ServerStalled):
        impatient.create("other", from_=model)


def test_a_quick_question_is_not_waited_for(impatient, server):
    server.inject("GET /api/tags", Stall())
    with pytest.raises(ServerStalled, match="GET /api/tags"):
        impatient.list()


def test_a_transfer_that_stops_is_a_stall_even_if_the_server_lives(impatient, server, model):
    impatient.push(model).drain()
    server.inject("POST /api/pull", Stall(after_lines=3))
    stream = impatient.pull(model)
    assert [next(stream).completed > 0 for _ in range(3)] == [False, False, True]
    with pytest.raises(ServerStalled):
        next(stream)


def test_a_stream_that_stalls_in_the_middle_is_noticed(impatient, server, model):
    server.inject("POST /api/chat", Stall(after_lines=1))
    stream = impatient.chat(model, HELLO)
    assert next(stream).content == "Hello"
    server.is_deaf = True
    with pytest.raises(ServerStalled):
        next(stream)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there is no way to interrupt a thread here")
@pytest.mark.parametrize("after_lines", [None, 1], ids=["before the answer", "within it"])
def test_an_interruption_leaves_nothing_behind(server, after_lines, gguf):
    threads = set(threading.enumerate())
    with Client(server.url) as client:
        content = gguf.read_bytes()
        client.upload_blob(gguf, digest=Digest.of(content), size=len(content))
        server.inject("POST /api/create", Stall(after_lines=after_lines))
        main = threading.main_thread().ident
        timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            client.create("smol", files={gguf.name: Digest.of(content)}).drain()
        timer.join()
    server.wait_until_left()
    assert {
        thread
        for thread in threading.enumerate()
        if thread not in threads and "process_request" not in thread.name
    } == set()


def test_a_client_that_is_closed_has_no_connection_left(server, model):
    with Client(server.url) as client:
        stream = client.chat(model, HELLO)
        next(stream)
        assert server.connections
    server.wait_until_left()


def test_a_stream_that_is_closed_early_ends_the_work(server, client, model):
    server.inject("POST /api/chat", Stall(after_lines=1))
    with client.chat(model, HELLO) as stream:
        next(stream)
    assert list(stream) == []


def test_a_proxy_leads_to_other_machines_and_not_to_this_one(server, monkeypatch):
    with FakeOllama(version="0.1.0") as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with Client(server.url) as client:
            assert client.version().text == "0.34.4"
        with Client("http://ollama.test:1234") as client:
            assert client.version().text == "0.1.0"
        assert [seen.target for seen in proxy.seen] == ["http://ollama.test:1234/api/version"]


def test_no_proxy_is_honoured(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "near.test,10.0.0.1")
    assert proxy_for("http://far.test:11434") == "http://proxy.test:3128"
    assert proxy_for("http://near.test:11434") is None
    assert proxy_for("https://10.0.0.1") is None


def test_a_proxy_that_is_gone_is_named(monkeypatch):
    with FakeOllama() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
    with Client("http://ollama.test:1234") as client, pytest.raises(ServerUnreachable):
        client.version()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_a_usage_problem(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with Client("http://ollama.test:1234") as client, pytest.raises(UsageProblem, match=r"ollama\.test"):
        client.version()


def test_an_authority_of_ones_own_is_trusted_by_name(monkeypatch):
    with FakeOllama(certificate=CERTIFICATE) as server:
        with Client(server.url) as client, pytest.raises(ServerUnreachable, match="certificate") as caught:
            client.version()
        assert "SSL_CERT_FILE" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with Client(server.url, stall_timeout=0.15) as client:
            assert client.version().text == "0.34.4"
            server.inject("POST /api/generate", Pause(until="GET /api/version"))
            with pytest.raises(ServerRefused, match="could not find"):
                client.load("")


def test_a_certificate_file_that_is_missing_is_a_usage_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with Client("https://ollama.test") as client, pytest.raises(UsageProblem, match="cannot be reached"):
        client.version()
