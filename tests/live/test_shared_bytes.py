"""Real file systems that share bytes between files: a store there takes a model without copying it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.ggufio import Shard
from gguf2ollama.ggufio.copying import write_ranges
from gguf2ollama.ggufio.ranges import FileRange, GivenBytes
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.conftest import missing
from tests.live.servers import find_program, running_ollama

pytestmark = pytest.mark.live

MAKERS = {"xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "btrfs": ["mkfs.btrfs", "-q"]}
PACKAGES = {"xfs": "xfsprogs", "btrfs": "btrfs-progs"}
MEGABYTE = 1 << 20


def works(*command):
    """Run a program; tell whether it is there and did it."""
    try:
        return subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module", params=MAKERS)
def disk(request, tmp_path_factory):
    """Mount a file system of 400 MB of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    image, place = folder / "image", folder / "disk"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(400 * MEGABYTE)
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a file system here")
    if shutil.which(MAKERS[request.param][0]) is None:
        missing(f"{MAKERS[request.param][0]} of {PACKAGES[request.param]}")
    assert works(*MAKERS[request.param], image)
    if not works("mount", "-o", "loop", image, place):
        pytest.skip(
            f"this kernel mounts no {request.param} from a file (it may lack loop devices or {request.param})"
        )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def folder(disk):
    """Return an empty folder there."""
    with tempfile.TemporaryDirectory(dir=disk) as place:
        yield Path(place)


@pytest.fixture
def model(folder):
    """Return a model of 38 MB there."""
    return tiny_llama(folder / "model.gguf", width=512, blocks=4)


def used(folder):
    """Count the bytes that all files of the file system take on its disk."""
    os.sync()
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_a_store_takes_a_clone_which_stays_as_it_is_when_the_file_is_changed(
    model, folder, part, monkeypatch, tmp_path
):
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = find_program(part)
    if program is None:
        missing(f"Ollama {part.version}")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    with running_ollama(part, program, folder) as server, Client(server.url) as client:
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        before, told = used(folder), []
        assert (
            build(
                model, name="shared", host=server.url, load=False, notify=told.append
            ).plan.destination.transport
            == "link"
        )
        assert f"{model.name}: reflinked (0 bytes copied)" in told
        assert used(folder) - before < MEGABYTE
        blob = server.store / "blobs" / f"sha256-{digest}"
        assert not blob.samefile(model)
        with model.open("r+b") as stream:
            stream.seek(-4, os.SEEK_END)
            stream.write(b"new!")
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == digest
        assert client.render("shared", [{"role": "user", "content": "Hi"}])
        assert list(client.chat("shared", [{"role": "user", "content": "Hi"}], options={"num_predict": 2}))


@pytest.mark.parametrize("shift", [0, 8192, 8224])
def test_a_range_is_shared_when_it_lies_in_the_blocks_in_the_same_way(model, folder, shift):
    shard = Shard.open(model)
    skipped = 5000
    ranges = [GivenBytes(bytes(skipped + shift)), FileRange(model, skipped, shard.size - skipped)]
    before = used(folder)
    with atomic_file(folder / "copy", size=skipped + shift + shard.size) as target:
        write_ranges(target, ranges, {model: shard.gguf}, report=lambda _count: None)
    assert (folder / "copy").read_bytes()[skipped + shift :] == model.read_bytes()[skipped:]
    taken = used(folder) - before
    assert taken > shard.size - MEGABYTE if shift % 4096 else taken < MEGABYTE


@pytest.fixture
def elsewhere(tmp_path):
    """Return a folder on another file system than that of temporary files."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own below it
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place)


def test_a_file_of_another_file_system_is_linked_symbolically_if_asked(elsewhere, tmp_path, monkeypatch):
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    part = parts.OLLAMAS[0]
    program = find_program(part)
    if program is None:
        missing(f"Ollama {part.version}")
    model = tiny_llama(elsewhere / "model.gguf")
    with running_ollama(part, program, tmp_path) as server, Client(server.url) as client:
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        (server.store / "blobs").mkdir(parents=True, exist_ok=True)
        told: list[str] = []
        build(model, name="there", host=server.url, symlink=True, notify=told.append)
        assert any("symbolically linked (0 bytes copied" in line for line in told)
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        assert (server.store / "blobs" / f"sha256-{digest}").readlink() == model
        assert list(client.chat("there", [{"role": "user", "content": "Hi"}], options={"num_predict": 2}))
        client.create("variant", from_="there").drain()
