"""Sites that answer without end: bounded in bytes, pages, time and memory, and waits are said."""

import itertools
import json
import threading
import tracemalloc

import pytest

from gguf2ollama.errors import ServerProblem, ServerRefused, ServerStalled
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.huggingface import HubSite
from gguf2ollama.sources.sites.modelscope import ModelScopeSite
from gguf2ollama.sources.sites.remote_streams import RangeReader
from gguf2ollama.sources.sites.settings import HubSettings, ModelScopeSettings
from tests.fakes.raw_server import RawServer, ok

COMMIT = "c" * 40
FILE = {"type": "file", "path": "m.gguf", "size": 4, "oid": "0" * 40}


@pytest.fixture
def ask(tmp_path):
    """Return a function that opens a site at a server that answers so, and asks it something."""

    def ask_it(answer, question, *, kind="hf", notify=lambda _: None):
        settings, site = {
            "hf": (HubSettings, HubSite),
            "ms": (ModelScopeSettings, ModelScopeSite),
        }[kind]
        with RawServer(answer) as server:
            use = settings(endpoint=server.url, cache=tmp_path)
            with site(use, retry_pauses=(), notify=notify) as opened:
                return question(opened)

    return ask_it


def list_files(site):
    return site.files("o/r", commit=COMMIT)


def read_info(site):
    return site.info("o/r", revision="main")


def page(entries):
    """Return an answer with entries of a listing that goes on."""
    return ok(json.dumps(entries).encode(), 'Link: </next>; rel="next"', "Connection: close")


def endless(head, piece):
    """Return a body without end; the connection is closed before it is sent."""
    return lambda _head: itertools.chain([head], itertools.repeat(piece))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize("kind", ["hf", "ms"])
@pytest.mark.parametrize("question", [list_files, read_info])
def test_a_listing_of_60_megabytes_is_refused_in_little_memory(ask, question, kind):
    tracemalloc.start()
    try:
        with pytest.raises(ServerRefused, match=r"more than [48],\d"):
            ask(endless(HEAD + b"[", b"{}," * 20_000), question, kind=kind)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_listing_that_would_take_too_much_memory_is_refused(ask):
    body = b"[" + b"{}," * 2_000_000 + b"{}]"

    with pytest.raises(ServerRefused, match="too much memory"):
        ask(lambda _head: ok(body), list_files)


def test_a_listing_of_endless_pages_is_refused(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.sources.sites.huggingface._MOST_PAGES", 20)
    count = 0

    def answer(_head):
        nonlocal count
        count += 1
        return page([FILE])

    with pytest.raises(ServerRefused, match="more than 20 pages"):
        ask(answer, list_files)
    assert count == 20


@pytest.mark.parametrize("entries", [[], "not a list"])
def test_a_next_page_without_files_is_refused(ask, entries):
    pages = iter([[FILE], entries])

    def answer(_head):
        return page(next(pages))

    with pytest.raises(ServerRefused, match="no files of o/r"):
        ask(answer, list_files)


def test_more_files_than_any_repository_has_are_refused(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.sources.sites.huggingface.MOST_FILES", 5)

    with pytest.raises(ServerRefused, match="more than 5 files"):
        ask(lambda _head: ok(json.dumps([FILE] * 6).encode()), list_files)


def test_a_listing_whose_pages_take_too_long_together_is_given_up(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.sources.sites.huggingface.LISTING_SECONDS", 0.0)

    with pytest.raises(ServerStalled, match="were not listed within"):
        ask(lambda _head: page([FILE]), list_files)


def dripping(start):
    """Return an answer that goes on byte by byte until nobody reads it any more."""

    def answer(_head):
        yield start
        while True:
            threading.Event().wait(0.01)
            yield b" "

    return answer


@pytest.mark.timeout(20)
@pytest.mark.parametrize("question", [list_files, read_info])
def test_an_answer_that_drips_is_given_up(ask, question, monkeypatch):
    monkeypatch.setattr("gguf2ollama.sources.sites.site.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("gguf2ollama.net.client._ANSWER_SECONDS", 0.2)

    with pytest.raises(ServerStalled, match=r"not complete within 0\.2 s"):
        ask(dripping(HEAD), question)


@pytest.mark.timeout(20)
def test_a_header_that_drips_is_given_up(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.sources.sites.remote_streams._RANGE_SECONDS", 0.2)
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-999/1000\r\nContent-Length: 1000\r\n\r\n"

    with pytest.raises(ServerStalled, match="not complete within"):
        ask(
            dripping(head),
            lambda site: site.open_header("o/r", RepositoryFile(path="m.gguf", size=1000), commit=COMMIT),
        )


@pytest.mark.timeout(20)
def test_a_file_that_drips_is_given_up(ask, monkeypatch):
    """Each read brings something, so that no stall is seen; what comes in a minute is too little."""
    monkeypatch.setattr("gguf2ollama.sources.sites.remote_file._LEAST_SECONDS", 0.2)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    file = RepositoryFile(path="m.gguf", size=100_000)

    def read(site):
        with RangeReader(site.remote_file("o/r", file, commit=COMMIT)) as stream:
            stream.read(1)

    with pytest.raises(ServerStalled, match=r"bytes came within 0\.2 s"):
        ask(dripping(head), read)


@pytest.mark.timeout(20)
def test_who_is_waited_for_is_said(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.net.wait.NOTE_AFTER", 0.05)
    noted = threading.Event()
    notes = []

    def notify(line):
        notes.append(line)
        noted.set()

    def answer(_head):
        noted.wait(10)
        return ok(json.dumps([FILE]).encode())

    assert [file.path for file in ask(answer, list_files, notify=notify)] == ["m.gguf"]
    assert notes[0].startswith("waiting for 127.0.0.1")


@pytest.mark.timeout(20)
def test_who_is_waited_for_is_said_once_for_all_connections(ask, monkeypatch):
    monkeypatch.setattr("gguf2ollama.net.wait.NOTE_AFTER", 0.05)
    notes, both = [], threading.Barrier(2)

    def answer(_head):
        both.wait(10)
        threading.Event().wait(0.3)  # longer than after which it is said
        return ok(json.dumps([FILE]).encode())

    def list_twice(site):
        other = threading.Thread(target=list_files, args=(site,))
        other.start()
        list_files(site)
        other.join()

    ask(answer, list_twice, notify=notes.append)
    assert len(notes) == 1


@pytest.mark.parametrize("kind", ["hf", "ms"])
@pytest.mark.parametrize(
    "path",
    ["../m.gguf", "a/../../m.gguf", "/etc/m.gguf", "a//m.gguf", "a\\..\\m.gguf", "C:m.gguf", "..", "a\0b"],
)
def test_a_path_that_leads_elsewhere_is_not_listed(ask, kind, path):
    entries = [FILE | {"path": path}, FILE]
    files = [{"Path": entry["path"], "Size": 4, "Type": "blob"} for entry in entries]
    body = entries if kind == "hf" else {"Success": True, "Data": {"Files": files}}

    found = ask(lambda _head: ok(json.dumps(body).encode()), list_files, kind=kind)

    assert [file.path for file in found] == ["m.gguf"]


@pytest.mark.parametrize(
    "answer", [b"", b"\r\n\r\n", b"HTTP/1.1 999\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_not_http_is_an_error_of_ours(ask, answer):
    with pytest.raises(ServerProblem):
        ask(lambda _head: answer, list_files)
