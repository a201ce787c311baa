"""Run the command line in this process, against a fake server on a socket."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gguf2ollama.cli import run
from gguf2ollama.cli.render.keys import ERROR
from tests.builders import build_shards, tiny_llama
from tests.cli.json_keys import check_output, deviations
from tests.fakes.ollama_server import FakeOllama
from tests.sparing import (  # noqa: F401 - fixtures
    _few_conversations,
    _no_wait_before_a_retry,
    _no_wait_for_the_disk,
    _one_worker,
    _same_choice,
    all_conversations,
    own_worker,
)


class Done(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote to stdout, which is JSON with the documented keys."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """What it wrote to stderr last, which is an error as JSON."""
        return json.loads(self.err.splitlines()[-1])["error"]


@pytest.fixture(autouse=True)
def _no_store_or_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def call(capsys, monkeypatch):
    """Return a function that runs one call."""

    def one(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        texts = tuple(map(str, arguments))
        code = run(texts)
        done = Done(code, *capsys.readouterr())
        if "--json" in texts and done.out:
            check_output(texts, done.json)
        if "--json" in texts and code not in {0, 10}:
            assert deviations({"error": done.error}, ERROR) == []
        return done

    return one


@pytest.fixture
def server(monkeypatch) -> Iterator[FakeOllama]:
    with FakeOllama(version="0.34.4") as fake:
        monkeypatch.setenv("OLLAMA_HOST", fake.url)
        yield fake


@pytest.fixture
def gguf(tmp_path):
    """A small model whose template is plain ChatML."""
    return tiny_llama(tmp_path / "Tiny-Chat-Q4_K_M.gguf")


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    return build_shards(folder, name="sharded", count=3, metadata={"llama.context_length": 512})
