"""Download over connections of limited speed: how much several are faster, and what a kill costs.

A Hub on loopback sends 10 MB/s over each connection, as content delivery networks do. The file is downloaded
over one connection and over eight, by whole processes; then such processes are killed (SIGKILL) at random
moments, each next one continues, and each time that a file is whole the next begins. What the Hub sent beyond
the files was sent again; part of it went to processes that were dying: the system takes some milliseconds to
end one and its connections.

Run: ``python -m benchmarks.download [--size MB] [--rate MB] [--rounds N] [--kills N]``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.hub import write_model
from benchmarks.machine import describe_machine
from tests.fakes.hub_server import FakeHub

_NAME = "model-Q4_K_M.gguf"
_MEGABYTE = 10**6
_MOST = 8


def serve(path: Path, pipe: Connection, rate: int) -> None:
    """Be the Hub, in a process of its own; answer each message with the bytes that were sent."""
    with FakeHub(rate=rate) as hub:
        hub.add("owner/repo", {_NAME: path})
        pipe.send(hub.url)
        while pipe.recv():
            pipe.send(sum(hub.sent.values()))


@contextlib.contextmanager
def running_hub(path: Path, *, rate: int) -> Iterator[tuple[str, Connection]]:
    """Start the Hub; give its URL and the pipe to it."""
    here, there = multiprocessing.Pipe()
    hub = multiprocessing.Process(target=serve, args=(path, there, rate))
    hub.start()
    try:
        yield here.recv(), here
    finally:
        here.send(None)
        hub.join()


def start(url: str, cache: Path, *, connections: int) -> subprocess.Popen[bytes]:
    """Start the program with a cache of its own."""
    own = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(cache),
        "XDG_CACHE_HOME": str(cache),
        "HF_HUB_OFFLINE": "0",
        "GGUF2OLLAMA_CONNECTIONS": str(connections),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "gguf2ollama", "download", "owner/repo"],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def download(url: str, cache: Path, *, connections: int) -> tuple[Path, float]:
    """Download to the end; give the file and the seconds."""
    began = time.perf_counter()
    process = start(url, cache, connections=connections)
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return Path(out.decode().strip()), time.perf_counter() - began


def compare(url: str, folder: Path, *, rounds: int) -> None:
    """Print how long one connection takes, and eight."""
    took: dict[int, list[float]] = {1: [], _MOST: []}
    for _ in range(rounds):
        for connections, seconds in took.items():
            seconds.append(download(url, folder / "cache", connections=connections)[1])
            shutil.rmtree(folder / "cache")
    for connections, seconds in took.items():
        listed = ", ".join(f"{one:.2f}" for one in seconds)
        print(f"{connections} connections: median of {listed} s")
    one, most = (statistics.median(seconds) for seconds in took.values())
    print(f"ratio of medians: {one / most:.2f} (to reach: 2.5), start of the interpreter included")


def kill(url: str, pipe: Connection, folder: Path, *, size: int, digest: str, kills: int) -> None:
    """Print what is fetched again when processes are killed at random."""
    cache = folder / "cache"
    _, seconds = download(url, cache, connections=_MOST)
    shutil.rmtree(cache)
    before = ask(pipe)
    dying = 0
    chance = random.Random(0)  # noqa: S311 - the same every time
    killed, whole = 0, 0
    while killed < kills:
        process = start(url, cache, connections=_MOST)
        try:
            process.communicate(timeout=chance.uniform(0.3, 0.7) * seconds)
            whole += 1
            require_digest(cache, digest)
            shutil.rmtree(cache)
        except subprocess.TimeoutExpired:
            sent = ask(pipe)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            dying += ask(pipe) - sent
            killed += 1
    download(url, cache, connections=_MOST)
    require_digest(cache, digest)
    whole += 1
    again = ask(pipe) - before - whole * size
    print(
        f"{killed} kills in {whole} downloads: {again:,} bytes sent again,"
        f" {again / size / whole:.2%} of the files (to reach: 5 %); {dying:,} of them were sent to a process"
        f" that was dying, {again - dying:,} before: {(again - dying) / size:.2%} of one file"
    )


def ask(pipe: Connection) -> int:
    """Return the bytes that the Hub has sent."""
    pipe.send("sent?")
    return int(pipe.recv())


def require_digest(cache: Path, digest: str) -> None:
    """Require that the file is the one that was sent."""
    [path] = cache.rglob(_NAME)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def main() -> None:
    """Run all, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=60, metavar="MB")
    parser.add_argument("--rate", type=int, default=10, metavar="MB", help="of each connection, in a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=100)
    wanted = parser.parse_args()
    size = wanted.size * _MEGABYTE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(describe_machine(folder))
        write_model(folder / _NAME, size=size)
        size = (folder / _NAME).stat().st_size
        digest = hashlib.sha256((folder / _NAME).read_bytes()).hexdigest()
        with running_hub(folder / _NAME, rate=wanted.rate * _MEGABYTE) as (url, pipe):
            if wanted.rounds:
                compare(url, folder, rounds=wanted.rounds)
            kill(url, pipe, folder, size=size, digest=digest, kills=wanted.kills)


if __name__ == "__main__":
    main()
