"""An Ollama on another machine, behind a proxy that speaks TLS and demands a key: every command works."""

import json

import pytest

from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama
from tests.fakes.tls_proxy import CERTIFICATE, TlsProxy

KEY = "k3y-of-the-proxy"


@pytest.fixture
def proxy(monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with FakeOllama(version="0.34.4") as server, TlsProxy(server.url, key=KEY) as proxy:
        monkeypatch.setenv("OLLAMA_HOST", proxy.url)
        yield proxy


@pytest.fixture
def gguf(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf")


COMMANDS = (
    ("build", "GGUF", "--name", "smol", "--via", "upload", "--no-verify"),
    ("list",),
    ("show", "smol"),
    ("run", "smol", "Say hi"),
    ("ps",),
    ("cp", "smol", "other"),
    ("push", "me/smol"),
    ("pull", "me/smol"),
    ("stop", "smol"),
    ("rm", "other"),
)


def test_every_command_reaches_it_with_a_key_and_an_authority(call, proxy, gguf, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    for verb, *arguments in COMMANDS:
        if verb == "push":
            call("cp", "smol", "me/smol", "--ca", CERTIFICATE)
        done = call(verb, *(gguf if one == "GGUF" else one for one in arguments), "--ca", CERTIFICATE)
        assert done.code == 0, (verb, done.err)
        assert KEY not in done.out + done.err
    assert not proxy.refused
    assert {"POST /api/create", "GET /api/tags", "POST /api/show", "POST /api/chat"} <= set(proxy.passed)


def test_the_environment_names_the_authority_as_well(call, proxy, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert call("list").code == 0


def test_an_unknown_authority_is_said_with_what_to_do(call, proxy, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    done = call("list")
    assert done.code == 5
    assert f"the certificate of {proxy.url} cannot be verified" in done.err
    assert "--ca FILE" in done.err
    assert not proxy.passed


@pytest.mark.parametrize("key, message", [("", "requires authentication"), ("wr0ng", "rejected the API key")])
def test_a_key_that_is_missing_or_wrong_is_said(call, proxy, gguf, monkeypatch, key, message):
    monkeypatch.setenv("OLLAMA_API_KEY", key)
    for verb in (("list",), ("show", "smol"), ("build", gguf, "--via", "upload")):
        done = call(*verb, "--ca", CERTIFICATE)
        assert done.code == 5, done.err
        assert f"{proxy.url} {message} (HTTP 401)" in done.err
        assert "OLLAMA_API_KEY" in done.err
        assert "wr0ng" not in done.err
    assert not proxy.passed


def test_a_key_that_no_header_can_hold_is_a_usage_problem(call, proxy, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "two\nlines")
    done = call("list", "--json")
    assert done.code == 2
    assert json.loads(done.err)["error"]["message"] == "OLLAMA_API_KEY contains invalid characters"


def test_an_authority_that_cannot_be_read_is_a_usage_problem(call, proxy, tmp_path):
    done = call("list", "--ca", tmp_path / "missing.pem")
    assert done.code == 2
    assert "missing.pem" in done.err
