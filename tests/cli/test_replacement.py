"""A name that was not given replaces other weights only if somebody says so."""

import os
import subprocess
import sys

import pytest

from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama


@pytest.fixture
def two(tmp_path):
    """Two files of one name with other weights, and a store that has the first."""
    paths = [tmp_path / folder / "tiny-Q8_0.gguf" for folder in ("a", "b")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        tiny_llama(path, seed=seed)
    return paths


def test_without_a_terminal_nobody_is_asked(call, two, tmp_path):
    for path in two:
        done = call("build", path, "--store", tmp_path / "store")
    assert done.code == 2
    assert "tiny:q8_0 already exists" in done.err
    assert "--replace" in done.err
    assert call("build", two[1], "--store", tmp_path / "store", "--replace").code == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("answer,code", [("y", 0), ("n", 2), ("", 2)])
def test_at_a_terminal_a_person_is_asked(call, two, tmp_path, answer, code):
    assert call("build", two[0], "--store", tmp_path / "store").code == 0
    person, terminal = os.openpty()
    try:
        os.write(person, f"{answer}\n".encode())
        arguments = ["build", two[1], "--store", tmp_path / "store", "--no-verify"]
        done = subprocess.run(  # noqa: PLW1510 - the code is what is looked at
            [sys.executable, "-m", "gguf2ollama", *arguments], stdin=terminal, stderr=terminal, timeout=120
        )
        shown = os.read(person, 1 << 16).decode()
    finally:
        os.close(terminal)
        os.close(person)
    assert done.returncode == code
    assert "Replace it? [y/N]" in shown


def test_a_server_that_rewrites_what_is_uploaded_has_the_same_weights_by_their_record(call, monkeypatch, two):
    with FakeOllama(version="0.32.15") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert [call("build", two[0], "--via", "upload").code for _ in range(2)] == [0, 0]
        assert call("build", two[1], "--via", "upload").code == 2
