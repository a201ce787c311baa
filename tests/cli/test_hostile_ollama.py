"""Servers that answer with anything but what Ollama does: a sentence and an exit code, whatever is asked."""

import json

import pytest

from tests.fakes.raw_server import RawServer, ok

VERSION = {"version": "0.34.4"}
MODEL = {
    "name": "m:latest",
    "model": "m:latest",
    "modified_at": "2026-01-01T00:00:00Z",
    "size": 1,
    "digest": "a" * 64,
}
BODIES = {
    "nothing": b"",
    "null": b"null",
    "an array": b"[]",
    "a number": b"1e999",
    "a text": b'"\\ud800"',
    "not JSON": b"<html><body>Sign in</body></html>",
    "not UTF-8": b'{"error": "\xff\xfe"}',
    "NaN": b'{"version": NaN, "models": NaN, "size": Infinity}',
    "an error that is no text": b'{"error": {"message": ["x"]}}',
    "an error with control characters": json.dumps({"error": "\x1b[2J\u202e\r\nerror: forged"}).encode(),
    "nested": b'{"models": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nulls": json.dumps({"models": None, "model_info": None, "details": None, "capabilities": None}).encode(),
    "other types": json.dumps(
        {
            "models": [None, 1, "x", {}, MODEL | {"name": 1}, MODEL | {"size": True}, MODEL | {"digest": 5}],
            "model_info": {"general.architecture": [], "general.parameter_count": "many"},
            "details": {"families": "llama", "family": None},
            "capabilities": [1, None, {}],
            "parameters": 5,
            "template": [],
            "license": {},
            "messages": [{"role": 1, "content": None}, 7],
        }
    ).encode(),
    "impossible numbers": json.dumps(
        {
            "models": [
                MODEL | {"size": 10**400, "size_vram": -1, "modified_at": "9999-99-99T99:99:99Z"},
                MODEL | {"size": -(2**63), "expires_at": "0001-01-01T00:00:00Z", "context_length": -5},
            ],
            "prompt_eval_count": -1,
            "eval_duration": 10**30,
        }
    ).encode(),
    "odd names": json.dumps(
        {
            "models": [
                MODEL | {"name": name, "model": name} for name in ("", "../x", "\x1b[2J", "a" * 9000, "é")
            ]
        }
    ).encode(),
    "many keys": b'{"models": [{' + b",".join(b'"k%d": 1' % number for number in range(20_000)) + b"}]}",
}
VERSIONS = {
    "none": {},
    "a number": {"version": 34},
    "no version": {"version": "latest"},
    "huge": {"version": "9" * 400 + ".1.2"},
    "old": {"version": "0.0.0"},
    "odd": {"version": "0.34.4\n\x1b[2J"},
}
VERBS = (
    ("list",),
    ("ps",),
    ("show", "m"),
    ("show", "m", "--json"),
    ("rm", "m"),
    ("cp", "m", "n"),
    ("stop", "m"),
    ("pull", "m"),
    ("push", "me/m"),
    ("run", "m", "Hello"),
    ("verify", "m"),
    ("doctor", "--fix", "--quick"),
    ("build", "GGUF", "--via", "upload"),
    ("build", "GGUF", "--via", "pull"),
    ("build", "GGUF", "--dry-run"),
)
CODES = {0, 2, 3, 4, 5, 6}


def called(call, gguf, monkeypatch, answer):
    """Call every verb while a server answers so, and check how each ends."""
    with RawServer(answer) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        for verb in VERBS:
            done = call(*(str(gguf) if argument == "GGUF" else argument for argument in verb))
            assert done.code in CODES, (verb, done.err)
            assert "this is a bug" not in done.err, (verb, done.err)
            assert "\x1b[2J" not in done.out + done.err, verb
            assert not any(line == "error: forged" for line in done.err.splitlines()), verb


@pytest.mark.timeout(120)
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_whatever_a_server_answers_every_verb_ends_with_a_sentence(call, gguf, monkeypatch, body, status):
    def answer(head):
        if head.startswith("GET /api/version"):
            return ok(json.dumps(VERSION).encode())
        if head.startswith("HEAD "):
            return ok(status="404 Not Found")
        return ok(body, "Content-Type: application/json", status=status)

    called(call, gguf, monkeypatch, answer)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_whatever_version_a_server_is_every_verb_ends_with_a_sentence(call, gguf, monkeypatch, version):
    body = json.dumps(version).encode()
    called(call, gguf, monkeypatch, lambda _head: ok(body, "Content-Type: application/json"))
