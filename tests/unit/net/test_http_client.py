"""The one HTTP core over real sockets: errors, retries, credentials, limits, and being closed."""

import itertools
import signal
import socket
import threading
import time
from pathlib import Path

import httpcore2
import pytest

from gguf2ollama.errors import (
    NotFound,
    ServerProblem,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.net import ClientClosed, FailureKind, HttpClient, public_url
from gguf2ollama.net.wire import _KINDS
from tests import fakes
from tests.fakes.raw_server import RawServer, ok

CERTIFICATE = Path(fakes.__path__[0]) / "loopback.pem"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=[False, True], ids=["httpcore2", "plain"])
def client(request):
    """A client; over plain connections, with and without httpcore2."""
    with HttpClient(retry_pauses=(0, 0, 0), idle_timeout=0.2, is_plain_preferred=request.param) as client:
        yield client


def in_turn(*answers):
    """Answer with each in turn, and with the last one from then on."""
    following = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda _head: next(following)


class TestAnswers:
    def test_a_body_comes_whole(self, client):
        with RawServer(in_turn(ok(b"hello"))) as server:
            assert client.get(f"{server.url}/a b?q=é", limit=100) == b"hello"
        assert server.heads[0].splitlines()[0] == "GET /a%20b?q=%C3%A9 HTTP/1.1"
        assert f"Host: 127.0.0.1:{server.port}" in server.heads[0]
        assert "Accept-Encoding: identity" in server.heads[0]

    def test_one_that_is_longer_than_it_honestly_is_is_refused(self, client):
        with (
            RawServer(in_turn(ok(b"x" * 101))) as server,
            pytest.raises(ServerRefused, match="more than 100"),
        ):
            client.get(server.url, limit=100)

    def test_one_that_is_compressed_is_refused(self, client):
        with RawServer(in_turn(ok(b"x", "Content-Encoding: gzip"))) as server:
            with pytest.raises(ServerRefused, match="gzip"):
                client.get(server.url, limit=100)
            assert len(server.heads) == 1

    def test_what_is_no_http_is_explained(self, client):
        with RawServer(in_turn(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as server:
            with pytest.raises(ServerUnreachable, match=r"invalid HTTP response from 127\.0\.0\.1"):
                client.get(server.url, limit=100)

    @pytest.mark.parametrize(
        "body, match",
        [
            (b"<html>", "web page"),
            (b"{", "not valid JSON"),
            (b"[" * 100_000, "nested too deeply"),
            (b'"\xff"', "not valid UTF-8"),
        ],
    )
    def test_what_is_no_json_is_explained(self, client, body, match):
        with RawServer(in_turn(ok(body))) as server, pytest.raises(ServerRefused, match=match):
            client.get_json(server.url, limit=1 << 20)


class TestStatus:
    @pytest.mark.parametrize(
        "status, message", [("429 Too Many", "rate limited by {}"), ("503 Busy", "{} returned HTTP 503")]
    )
    def test_what_is_temporary_is_tried_again_and_then_named(self, client, status, message):
        with RawServer(in_turn(ok(status=status))) as server:
            with pytest.raises(ServerRefused) as caught:
                client.get(server.url, limit=10)
            assert caught.value.message.startswith(message.format(f"127.0.0.1:{server.port}"))
            assert len(server.heads) == 4

    def test_a_server_says_how_long_to_wait(self, client, monkeypatch):
        waited = []
        monkeypatch.setattr(client._dialer.closed, "wait", waited.append)
        busy = ok(b"", "Retry-After: 7", status="503 Busy")
        with RawServer(in_turn(busy, ok(b"done"))) as server:
            assert client.get(server.url, limit=10) == b"done"
        assert waited == [7.0]

    def test_one_that_wants_an_hour_is_not_waited_for(self, client):
        with RawServer(in_turn(ok(b"", "Retry-After: 3600", status="429 Too Many"))) as server:
            with pytest.raises(ServerRefused) as caught:
                client.get(server.url, limit=10)
            assert "3600 s" in caught.value.hint
            assert len(server.heads) == 1

    def test_a_long_pause_is_said(self, monkeypatch):
        notes = []
        with HttpClient(retry_pauses=(0,), notify=notes.append) as client:
            monkeypatch.setattr(client._dialer.closed, "wait", lambda _: False)
            busy = ok(b"", "Retry-After: 9", status="503 Busy")
            with RawServer(in_turn(busy, ok())) as server:
                client.get(server.url, limit=10)
        assert notes == [f"127.0.0.1:{server.port} returned HTTP 503; retrying in 9 s"]

    def test_a_post_that_was_answered_is_not_sent_again(self, client):
        with RawServer(in_turn(ok(status="503 Busy"))) as server:
            with pytest.raises(ServerRefused) as caught:
                client.retry(lambda: client.open("POST", server.url, body=b"x"))
            assert caught.value.retry_after is None
            assert len(server.heads) == 1

    def test_the_site_knows_better_words(self, client):
        def refuse(response):
            return NotFound(f"no model: {response.read_start().decode()} ({response.status})")

        with RawServer(in_turn(ok(b"gone", status="404 Not Found"))) as server:
            with pytest.raises(NotFound, match=r"no model: gone \(404\)"):
                client.open("GET", server.url, refuse=refuse)

    def test_a_status_that_is_expected_is_returned(self, client):
        with RawServer(in_turn(ok(status="416 No Such Range"))) as server:
            with client.open("GET", server.url, accept={416}) as response:
                assert response.status == 416


class TestLostConnections:
    def test_an_answer_that_breaks_off_is_asked_for_again(self, client):
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
        with RawServer(in_turn(b"", cut, ok(b"hello"))) as server:
            assert client.get(server.url, limit=10) == b"hello"
            assert len(server.heads) == 3

    def test_progress_makes_the_budget_whole_again(self, client):
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"
        budget, got = client.budget(), []

        def attempt():
            with client.open("GET", server.url) as response:
                for chunk in response.chunks():
                    got.append(chunk)
                    budget.progress()

        with RawServer(in_turn(*[cut] * 20, ok(b"end"))) as server:
            client.retry(attempt, budget=budget)
        assert b"".join(got) == b"x" * 20 + b"end"

    def test_a_post_that_broke_off_is_not_sent_again(self, client):
        with RawServer(in_turn(b"")) as server:
            with pytest.raises(ServerUnreachable):
                client.retry(lambda: client.open("POST", server.url, body=b"x"))
            assert len(server.heads) == 1

    def test_a_server_that_never_answered_is_not_asked_again(self, client):
        with RawServer(in_turn(ok())) as server:
            url = server.url
        with pytest.raises(ServerUnreachable, match="cannot connect to 127") as caught:
            client.get(url, limit=10)
        assert caught.value.retry_after is None

    def test_one_that_answered_before_is(self, client):
        with RawServer(in_turn(ok())) as server:
            client.get(server.url, limit=10)
        with pytest.raises(ServerUnreachable) as caught:
            client.get(server.url, limit=10)
        assert caught.value.retry_after == 0

    def test_silence_is_a_stall(self, client):
        with RawServer(lambda _: None) as server:
            with pytest.raises(ServerStalled, match=r"stopped responding: no data for 0\.2 s"):
                client.open("GET", server.url)

    def test_an_answer_that_drips_ends_at_its_deadline(self, client):
        def drip():
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
            for _ in range(1000):
                yield b"x"
                time.sleep(0.01)

        with RawServer(lambda _: drip()) as server:
            with pytest.raises(ServerStalled, match=r"too slow.*within 0\.3 s"):
                client.retry(lambda: client.open("GET", server.url, seconds=0.3).read(limit=1 << 20))

    def test_a_head_that_drips_ends_at_its_deadline(self, client):
        def drip():
            yield b"HTTP/1.1 200 OK\r\nX: "
            for _ in range(1000):
                yield b"x"
                time.sleep(0.01)

        with RawServer(lambda _: drip()) as server, pytest.raises(ServerStalled, match="too slow"):
            client.open("GET", server.url, seconds=0.3)

    def test_long_silence_is_waited_for_while_the_server_lives(self, client):
        asked = []

        def is_alive():
            asked.append(1)
            if len(asked) == 3:
                go_on.set()
            return True

        def answer(_head):
            go_on.wait()
            return ok(b"done")

        go_on = threading.Event()
        with RawServer(answer) as server, client.open("POST", server.url, is_alive=is_alive) as response:
            assert response.read(limit=10) == b"done"
        assert len(asked) >= 3

    def test_silence_is_noted_once(self, monkeypatch):
        monkeypatch.setattr("gguf2ollama.net.wait.NOTE_AFTER", 0.05)
        notes = []
        with HttpClient(idle_timeout=0.3, retry_pauses=(), notify=notes.append) as client:
            with RawServer(lambda _: None) as server, pytest.raises(ServerStalled):
                client.get(server.url, limit=10)
        assert notes == [f"waiting for 127.0.0.1:{server.port}"]


class TestRedirects:
    def test_credentials_go_to_their_own_origin_alone(self):
        with RawServer(in_turn(ok(b"there"))) as other, RawServer(lambda _: None) as server:
            server.answer = in_turn(
                ok(b"", "Location: /second", status="302 Found"),
                ok(b"", f"Location: {other.url}/x", status="307 Temporary Redirect"),
            )
            with HttpClient(origin=server.url, own_headers={"Authorization": "Bearer s3cret"}) as client:
                with client.open("GET", f"{server.url}/first", headers={"Range": "bytes=1-"}) as response:
                    assert response.url == f"{other.url}/x"
                    assert response.read(limit=10) == b"there"
        assert all("Bearer s3cret" in head for head in server.heads)
        assert len(server.heads) == 2
        assert "s3cret" not in other.heads[0]
        assert "Range: bytes=1-" in other.heads[0]

    def test_a_password_in_a_url_goes_to_that_server_alone_and_into_no_message(self, client):
        with RawServer(in_turn(ok(b"there"))) as other, RawServer(lambda _: None) as server:
            server.answer = in_turn(ok(b"", f"Location: {other.url}", status="302 Found"))
            client.get(server.url.replace("://", "://user:p%40ss@"), limit=10)
            assert "Authorization: Basic dXNlcjpwQHNz" in server.heads[0]
            assert "Authorization" not in other.heads[0]
            other.answer = in_turn(ok(status="404 Gone"))
            with pytest.raises(ServerRefused) as caught:
                client.get(other.url.replace("://", "://user:pass@"), limit=10)
            assert "pass" not in caught.value.message

    def test_one_without_end_is_refused(self, client):
        with RawServer(in_turn(ok(b"", "Location: /", status="302 Found"))) as server:
            with pytest.raises(ServerRefused, match="too many times"):
                client.open("GET", server.url)

    @pytest.mark.parametrize("location", ["", "ftp://host/x", "http://[::1/x", "file:///etc/passwd"])
    def test_one_to_no_server_is_refused(self, client, location):
        with RawServer(in_turn(ok(b"", f"Location: {location}", status="302 Found"))) as server:
            with pytest.raises(ServerRefused, match="redirects to an invalid address"):
                client.open("GET", server.url)

    def test_one_that_leaves_encryption_is_refused(self, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with (
            RawServer(
                in_turn(ok(b"", "Location: http://host/x", status="302 Found")), tls=CERTIFICATE
            ) as server,
            HttpClient() as client,
            pytest.raises(ServerRefused, match="not encrypted"),
        ):
            client.open("GET", server.url)

    def test_a_post_follows_none(self, client):
        with RawServer(in_turn(ok(b"", "Location: /other", status="307 Temporary"))) as server:
            with pytest.raises(ServerRefused, match="HTTP 307, a redirect to /other"):
                client.open("POST", server.url, body=b"x")


class TestPages:
    def test_they_are_followed_to_the_end(self, client):
        with RawServer(lambda _: None) as server:
            server.answer = in_turn(
                ok(b"[1]", 'Link: </a?cursor=1>; rel="next"'),
                ok(b"[2]", f'Link: <{server.url}/b>; rel="prev", <{server.url}/c>; rel="next"'),
                ok(b"[3]"),
            )
            assert list(client.get_pages(server.url, limit=100)) == [[1], [2], [3]]
            assert [head.split()[1] for head in server.heads] == ["/", "/a?cursor=1", "/c"]

    def test_a_list_without_end_is_refused(self, client):
        with RawServer(in_turn(ok(b"[1]", 'Link: </again>; rel="next"'))) as server:
            with pytest.raises(ServerRefused, match="more than 5 pages"):
                list(client.get_pages(server.url, limit=100, most=5))

    def test_one_that_continues_elsewhere_is_refused(self, client):
        with RawServer(in_turn(ok(b"[1]", 'Link: <http://evil.test/x>; rel="next"'))) as server:
            with pytest.raises(ServerRefused, match="another server"):
                list(client.get_pages(server.url, limit=100))


class TestClosing:
    def close_soon(self, client, entered):
        def run():
            entered.wait()
            client.close()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_it_ends_a_wait_for_an_answer(self):
        entered = threading.Event()

        def answer(_head):
            entered.set()

        client = HttpClient(idle_timeout=600)
        with RawServer(answer) as server:
            thread = self.close_soon(client, entered)
            with pytest.raises(ClientClosed):
                client.open("GET", server.url)
            thread.join()
            assert server.left.wait(10)

    @pytest.mark.parametrize("is_encrypted", [False, True])
    def test_it_ends_a_body(self, is_encrypted):
        client = HttpClient(idle_timeout=600, ca_file=CERTIFICATE)
        entered = threading.Event()

        def body():
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"
            entered.wait()
            threading.Event().wait(60)

        with RawServer(lambda _: body(), tls=CERTIFICATE if is_encrypted else None) as server:
            response = client.open("GET", server.url)
            chunks = response.chunks()
            assert next(chunks) == b"x"
            thread = self.close_soon(client, entered)
            entered.set()
            with pytest.raises(ClientClosed):
                next(chunks)
            thread.join()

    def test_it_ends_a_pause(self):
        client = HttpClient(retry_pauses=(600,))
        entered = threading.Event()

        def answer(_head):
            entered.set()
            return ok(status="503 Busy")

        with RawServer(answer) as server:
            thread = self.close_soon(client, entered)
            with pytest.raises(ServerProblem):
                client.get(server.url, limit=10)
            thread.join()

    def test_it_ends_a_connection_attempt(self, monkeypatch):
        entered, never = threading.Event(), threading.Event()

        def hang(*_arguments, **_options):
            entered.set()
            never.wait()
            raise OSError

        monkeypatch.setattr(socket, "create_connection", hang)
        client = HttpClient()
        thread = self.close_soon(client, entered)
        with pytest.raises(ClientClosed):
            client.open("GET", "http://10.255.255.1:81")
        thread.join()
        never.set()

    def test_nothing_is_sent_afterwards(self):
        client = HttpClient()
        client.close()
        with RawServer(in_turn(ok())) as server, pytest.raises(ClientClosed):
            client.get(server.url, limit=10)
        assert server.heads == []

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a thread cannot be interrupted here")
    def test_an_interruption_ends_a_connection_attempt(self, monkeypatch):
        main, never = threading.main_thread().ident, threading.Event()

        def hang(*_arguments, **_options):
            signal.pthread_kill(main, signal.SIGINT)
            never.wait()
            raise OSError

        monkeypatch.setattr(socket, "create_connection", hang)
        with HttpClient() as client, pytest.raises(KeyboardInterrupt):
            client.open("GET", "http://nowhere.test")
        never.set()


class TestCertificates:
    def test_an_unknown_authority_is_named_with_what_to_do(self, client):
        with RawServer(in_turn(ok()), tls=CERTIFICATE) as server:
            with pytest.raises(ServerUnreachable, match=r"certificate of 127\.0\.0\.1") as caught:
                client.get(server.url, limit=10)
            assert "SSL_CERT_FILE" in caught.value.hint

    def test_it_is_trusted_by_a_file(self):
        with RawServer(in_turn(ok(b"x")), tls=CERTIFICATE) as server:
            with HttpClient(ca_file=CERTIFICATE) as client:
                assert client.get(server.url, limit=10) == b"x"

    def test_it_is_trusted_by_the_environment(self, client, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with RawServer(in_turn(ok(b"x")), tls=CERTIFICATE) as server:
            assert client.get(server.url, limit=10) == b"x"

    def test_a_file_that_cannot_be_read_is_a_usage_problem(self, tmp_path):
        (tmp_path / "no.pem").write_text("no certificate")
        for name in ("no.pem", "missing.pem"):
            with HttpClient(ca_file=tmp_path / name) as client:
                with pytest.raises(UsageProblem, match=name):
                    client.get("https://127.0.0.1:1", limit=10)


class TestProxies:
    def test_other_machines_are_reached_through_one(self, client, monkeypatch):
        with RawServer(in_turn(ok(b"via"))) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:s3cret@"))
            assert client.get("http://far.test:81/x", limit=10) == b"via"
        assert proxy.heads[0].splitlines()[0] == "GET http://far.test:81/x HTTP/1.1"
        assert "Proxy-Authorization: Basic bWU6czNjcmV0" in proxy.heads[0]

    @pytest.mark.parametrize("url", ["http://far.test", "https://far.test"])
    def test_one_that_asks_for_credentials_is_named_without_them(self, client, monkeypatch, url):
        refused = ok(b"<html>", "Proxy-Authenticate: Basic", status="407 Proxy Authentication Required")
        with RawServer(in_turn(refused)) as proxy:
            address = proxy.url.replace("://", "://me:wr0ng@")
            monkeypatch.setenv("http_proxy", address)
            monkeypatch.setenv("https_proxy", address)
            with pytest.raises(ServerUnreachable) as caught:
                client.get(url, limit=10)
        assert f"proxy 127.0.0.1:{proxy.port} requires a user name" in caught.value.message
        assert "wr0ng" not in f"{caught.value.message}{caught.value.hint}"
        assert len(proxy.heads) == 1

    def test_one_that_is_gone_is_named(self, client, monkeypatch):
        with RawServer(in_turn(ok())) as proxy:
            monkeypatch.setenv("all_proxy", proxy.url)
        with pytest.raises(ServerUnreachable, match=rf"proxy 127\.0\.0\.1:{proxy.port}"):
            client.get("http://far.test", limit=10)

    @pytest.mark.parametrize("proxy", ["ftp://u:s3cret@host", "http://u:s3cret@[::1", "http://u:s3cret@h:x"])
    def test_an_address_that_is_none_is_a_usage_problem(self, client, monkeypatch, proxy):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(UsageProblem, match=r"far\.test") as caught:
            client.get("http://far.test", limit=10)
        assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"


def test_every_exception_of_the_library_has_a_kind():
    raised = [
        value
        for value in vars(httpcore2).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    kinds = tuple(kind for kind, _ in _KINDS)
    assert raised
    assert {kind.__name__ for kind in raised if not issubclass(kind, kinds)} == {"UnsupportedProtocol"}
    assert {kind for _, kind in _KINDS} <= set(FailureKind)


@pytest.mark.parametrize("url", ["ftp://h/x", "http:///x", "h/x", "http://h:99999/x", "http://h/\n"])
def test_a_url_that_is_none_is_a_usage_problem(url):
    with pytest.raises(UsageProblem):
        public_url(url)
    with HttpClient() as client, pytest.raises(UsageProblem):
        client.open("GET", url)
