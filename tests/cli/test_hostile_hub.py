"""Hubs that list, describe and send what they should not: a sentence, few requests, nothing elsewhere."""

import hashlib
import json
import re

import pytest

from tests.builders import tiny_llama
from tests.fakes.raw_server import RawServer, ok

COMMIT = "c" * 40
NAME = "M-Q4_K_M.gguf"
MOST_REQUESTS = 60  # what the most patient of these takes, twice
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("hub") / NAME).read_bytes()


class Hub:
    """A Hub of one repository, each of whose answers can be another."""

    def __init__(self, model):
        self.model = model
        sha256 = hashlib.sha256(model).hexdigest()
        self.info = {"id": "o/r", "sha": COMMIT, "siblings": [{"rfilename": NAME}]}
        self.file = {
            "type": "file",
            "path": NAME,
            "size": len(model),
            "oid": "0" * 40,
            "lfs": {"oid": sha256, "size": len(model), "pointerSize": 130},
        }
        self.tree = [self.file]
        self.send = None

    def __call__(self, head):
        path = head.split(" ")[1]
        if path.startswith("/api/models/o/r/tree"):
            return ok(self.tree if isinstance(self.tree, bytes) else json.dumps(self.tree).encode(), JSON)
        if path.startswith("/api/models/o/r"):
            return ok(self.info if isinstance(self.info, bytes) else json.dumps(self.info).encode(), JSON)
        if "/resolve/" not in path or NAME not in path:
            return ok(status="404 Not Found")
        return self.send(head) if self.send else self.part(head, self.model)

    def part(self, head, content, *, shift=0, total=None, extra=()):
        """Return a part of a file, as asked for but for what lies about it."""
        found = re.search(r"(?i)\nrange: bytes=(\d+)-(\d*)", head)
        if head.startswith("HEAD "):
            return ok(b"", f"X-Linked-Size: {len(content)}", "Accept-Ranges: bytes", *extra)
        if found is None:
            return ok(content, "Accept-Ranges: bytes", *extra)
        start, end = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
        if start > end:
            return ok(status="416 Range Not Satisfiable")
        said = f"Content-Range: bytes {start + shift}-{end + shift}/{total or len(content)}"
        return ok(content[start : end + 1], said, *extra, status="206 Partial Content")


def listed(**changes):
    def change(hub):
        hub.tree = [hub.file | changes]

    return change


def described(**changes):
    def change(hub):
        hub.info |= changes

    return change


def answered(name, body):
    return lambda hub: setattr(hub, name, body)


def sent(make):
    return lambda hub: setattr(hub, "send", lambda head: make(hub, head))


LIES = {
    "negative size": listed(size=-1, lfs=None),
    "boolean size": listed(size=True, lfs={"oid": "0" * 64, "size": True}),
    "huge size": listed(size=1 << 70, lfs=None),
    "size of 100 TB": listed(size=10**14, lfs={"oid": "0" * 64, "size": 10**14}),
    "no digest": listed(lfs={"oid": None, "size": "x"}),
    "another digest": listed(lfs={"oid": "0" * 64, "size": 1 << 20}),
    "out of the folder": listed(path="../../M-Q4_K_M.gguf"),
    "absolute path": listed(path="/tmp/M-Q4_K_M.gguf"),  # noqa: S108 - where it must not be
    "a device": listed(path="nul.gguf"),
    "a dot at the end": listed(path="M-Q4_K_M.gguf."),
    "twice": lambda hub: setattr(hub, "tree", [hub.file, hub.file | {"size": 1, "lfs": None}]),
    "a folder and a file": lambda hub: setattr(
        hub, "tree", [hub.file, hub.file | {"path": f"{NAME}/x.gguf"}]
    ),
    "no list": answered("tree", {"error": "x"}),
    "a list of nulls": answered("tree", [None, 1, "x", [], {}]),
    "not JSON": answered("tree", b"<html>"),
    "no commit": described(sha=None),
    "a commit that leads elsewhere": described(sha="../../x"),
    "a short commit": described(sha="main"),
    "info is a list": answered("info", []),
    "info is not UTF-8": answered("info", b"\xff\xfe"),
    "odd tags": described(tags=[None, 5, {}], cardData=[], gguf="x", id=7),
    "zeros": sent(lambda hub, head: hub.part(head, bytes(len(hub.model)))),
    "half of the file": sent(lambda hub, head: hub.part(head, hub.model[: len(hub.model) // 2])),
    "more than the file": sent(lambda hub, head: hub.part(head, hub.model + bytes(1 << 20))),
    "another part": sent(lambda hub, head: hub.part(head, hub.model, shift=7)),
    "another total": sent(lambda hub, head: hub.part(head, hub.model, total=10**18)),
    "compressed": sent(lambda hub, head: hub.part(head, hub.model, extra=("Content-Encoding: gzip",))),
    "a circle": sent(lambda _hub, head: ok(b"", f"Location: {head.split(' ')[1]}", status="302 Found")),
    "to a file": sent(lambda _hub, _head: ok(b"", "Location: file:///etc/passwd", status="302 Found")),
    "to a socket": sent(lambda _hub, _head: ok(b"", "Location: ftp://127.0.0.1/x", status="302 Found")),
    "to nowhere": sent(lambda _hub, _head: ok(b"", status="302 Found")),
    "gone": sent(lambda _hub, _head: ok(b"{}", JSON, status="410 Gone")),
    "wait for ever": sent(
        lambda _hub, _head: ok(b"", "Retry-After: 99999999", status="429 Too Many Requests")
    ),
    "broken": sent(lambda _hub, _head: ok(b"", status="500 Broken")),
    "an LFS pointer": sent(lambda hub, head: hub.part(head, b"version https://git-lfs.github.com/spec/v1\n")),
    "a web page": sent(lambda hub, head: hub.part(head, b"<!DOCTYPE html><html>Sign in")),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_whatever_a_hub_says_each_verb_ends_with_a_sentence(call, monkeypatch, tmp_path, model, lie):
    hub = Hub(model)
    lie(hub)
    before = set(tmp_path.rglob("*"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with RawServer(hub) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for arguments in (
            ("quants", "o/r"),
            ("inspect", "o/r", "--no-verify"),
            ("download", "o/r"),
            ("build", "o/r", "--name", "m", "--store", tmp_path / "store", "--no-verify"),
        ):
            server.heads.clear()
            done = call(*arguments)
            assert done.code in {0, 2, 3, 4, 5, 6, 7}, done.err
            assert "this is a bug" not in done.err
            assert len(server.heads) <= MOST_REQUESTS
            left = [
                path for path in (tmp_path / "hf").rglob("*") if path.suffix in {".incomplete", ".ranges"}
            ]
            assert all(path.with_suffix(".incomplete").stat().st_size for path in left)
    places = ("hf", "store", "cache")
    made = set(tmp_path.rglob("*")) - before
    assert all(path.relative_to(tmp_path).parts[0] in places for path in made)
    blobs = [path for path in (tmp_path / "store" / "blobs").glob("sha256-*") if path.is_file()]
    assert all(f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}" == path.name for path in blobs)


def test_the_hub_of_these_tests_is_believed_where_it_does_not_lie(call, monkeypatch, tmp_path, model):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with RawServer(Hub(model)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        done = call("build", "o/r", "--name", "m", "--store", tmp_path / "store", "--no-verify")
        assert done.code == 0, done.err
        assert len(server.heads) <= MOST_REQUESTS // 2
