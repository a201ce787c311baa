"""Odd files, places and servers: a sentence and the right exit code, and no wait."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.planning.lock import read_lock
from gguf2ollama.sources.sites.site import is_safe_path, is_size
from tests.builders import tiny_llama
from tests.fakes.raw_server import RawServer, ok

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@needs_pipes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("option", ["--template", "--chat-template", "--system-file", "--license"])
def test_a_named_pipe_is_not_waited_for(call, gguf, pipe, option):
    done = call("inspect", gguf, option, pipe, "--no-verify")
    assert done.code == 2
    assert f"error: {pipe} is a named pipe, not a file" in done.err


@needs_pipes
@pytest.mark.timeout(60)
def test_a_pipe_as_lock_file_or_modelfile_is_not_waited_for(call, gguf, pipe, tmp_path):
    for arguments in (
        ("build", gguf, "--store", tmp_path / "s", "--locked", pipe),
        ("modelfile", "--lint", pipe),
    ):
        done = call(*arguments)
        assert done.code == 2
        assert "is a named pipe" in done.err


@needs_pipes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["", "digests.json", "plans", "builds"])
def test_a_pipe_in_the_place_of_the_cache_is_ignored(call, gguf, tmp_path, name):
    place = tmp_path / "cache" / "gguf2ollama" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    assert call("build", gguf, "--name", "m", "--store", tmp_path / "store", "--no-verify").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp936", "cp437:strict", "utf-16", "utf-8"])
def test_a_console_of_any_encoding_shows_names_it_does_not_have(tmp_path, encoding):
    model = tiny_llama(tmp_path / "模型 é \U0001f600.gguf")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "gguf2ollama", *arguments],
            env=os.environ | {"PYTHONIOENCODING": encoding},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    done = run("inspect", model, "--json")
    assert done.returncode == 0, done.stderr
    assert model.name in done.stdout.decode("utf-8")  # data is UTF-8 everywhere
    done = run("build", model, "--store", tmp_path / "仓库", "--name", "m")
    assert done.returncode == 0, done.stderr
    done = run("inspect", tmp_path / "没有.gguf")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"Traceback" not in done.stderr
    assert "no such file".encode(encoding.partition(":")[0])[2:] in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links are for administrators there")
def test_links_in_a_circle_and_long_names_are_said(call, gguf, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    done = call("inspect", tmp_path / "loop")
    assert (done.code, "too many levels of symbolic links" in done.err) == (2, True)
    done = call("build", gguf, "--store", tmp_path / ("x" * 300), "--no-verify")
    assert (done.code, "file name too long" in done.err) == (2, True)


def test_a_file_system_that_is_mounted_read_only_is_said(call, gguf, tmp_path, monkeypatch):
    def refuse(path, *_arguments, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    done = call("build", gguf, "--store", tmp_path / "store", "--no-verify")
    assert done.code == 2
    assert "read-only file system" in done.err.lower()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("options", [["--help"], ["--json"], []], ids=["help", "json", "text"])
def test_a_full_disk_behind_the_output_is_said(gguf, options):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gguf2ollama", "inspect", gguf, "--no-verify", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 7
    assert "cannot write the output: the disk is full" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-"])
def test_without_a_place_for_errors_the_code_says_it(tmp_path, where):
    line = f'"{sys.executable}" -m gguf2ollama inspect {tmp_path}/nope.gguf {where}'
    assert subprocess.run(line, shell=True, check=False).returncode == 3  # noqa: S602 - our own line


@pytest.fixture
def odd_names(tmp_path):
    """A folder and a file whose names are not UTF-8."""
    folder = tmp_path / os.fsdecode(b"d\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes no such name")
    return tiny_llama(folder / os.fsdecode(b"m\xfe-Q4_K_M.gguf"))


@pytest.mark.parametrize("via", ["store", "upload", "pull"])
def test_names_that_are_not_utf_8_work_as_any_other(call, server, odd_names, tmp_path, via):
    way = ("--store", tmp_path / "store") if via == "store" else ("--via", via, "--no-load")
    for source in (odd_names, odd_names.parent):
        done = call("build", source, "--name", "m", "--replace", *way)
        assert done.code == 0, done.err
    assert call("inspect", odd_names, "--json", "--no-verify").code == 0


LOCK = {
    "format": 1,
    "site": "hf",
    "repository": "o/r",
    "revision": "main",
    "commit": "c" * 40,
    "files": [{"path": "m.gguf", "bytes": 4, "sha256": None}],
    "context": 2048,
    "template_sha256": "",
    "recipe_sha256": "",
    "ollama": "0.34.4",
}


def test_a_lock_file_with_a_branch_or_impossible_numbers_is_not_one(call, tmp_path, gguf):
    path = tmp_path / "m.lock"
    path.write_text(json.dumps(LOCK))
    assert read_lock(path).commit == "c" * 40
    wrong = [{"commit": "main"}, {"commit": "../x"}, {"context": True}, {"context": -1}, {"context": 1 << 70}]
    wrong += [{"files": [LOCK["files"][0] | {"bytes": value}]} for value in (-1, True, 1 << 70)]
    for change in wrong:
        path.write_text(json.dumps(LOCK | change))
        done = call("build", "hf://o/r", "--store", tmp_path / "store", "--locked", path)
        assert (done.code, f"{path} is not a lock file" in done.err) == (4, True), change


@pytest.mark.parametrize("size", [-1, True, False, None, 1.5, "4", 1 << 70])
def test_what_is_not_a_number_of_bytes_is_not_a_size(size):
    assert not is_size(size)
    assert is_size(0)


@pytest.mark.parametrize(
    "path",
    ["nul", "NUL.gguf", "a/con.gguf/b.gguf", "COM1 .gguf", "lpt9", "m.gguf.", "a /m.gguf", "x./m.gguf"],
)
def test_names_that_windows_takes_for_others_are_not_listed(path):
    assert not is_safe_path(path)
    assert is_safe_path("console/nullable.com1.gguf")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("status", ["400 Bad", "401 No", "403 No", "404 No", "500 Broken", "200 OK"])
def test_a_server_that_echoes_the_token_does_not_get_it_shown(call, monkeypatch, status):
    def echo(head):
        said = json.dumps({"error": head, "message": head}).encode()
        headers = ("X-Error-Message: Bearer hf_s3cret", "X-Error-Code: hf_s3cret")
        return ok(said, "Content-Type: application/json", *headers, status=status)

    with RawServer(echo) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setenv("OLLAMA_API_KEY", "0llama-s3cret")
        for arguments in (("inspect", "o/r", "--no-verify", "-v"), ("list", "-v"), ("rm", "x", "-v")):
            done = call(*arguments)
            assert done.code in {0, 1, 3, 4, 5}
            assert "s3cret" not in done.out + done.err
        assert any("s3cret" in head for head in server.heads)
