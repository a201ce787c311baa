"""Download a file from a Hub on loopback, side by side with ``hf download``.

Runs whole processes in turn, start of the interpreter included, each into an empty cache, and prints the
medians. Ours also checks the digest, which theirs does not.

Run: ``python -m benchmarks.hub [--size MB] [--rounds N] [--rate MB]``; it needs three times the size on the
disk for temporary files.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.machine import describe_machine
from tests.builders import tiny_llama
from tests.fakes.hub_server import FakeHub

_NAME = "model-Q4_K_M.gguf"
_MEGABYTE = 10**6


def serve(path: Path, pipe: Connection, rate: int | None) -> None:
    """Be the Hub, in a process of its own, until a message comes."""
    with FakeHub(rate=rate) as hub:
        hub.add("owner/repo", {_NAME: path})
        pipe.send(hub.url)
        pipe.recv()


def write_model(path: Path, *, size: int) -> None:
    """Write a small GGUF, and as many random bytes behind it as make it so long."""
    noise = random.Random(0)  # noqa: S311 - the same every time
    with tiny_llama(path).open("ab") as stream:
        while (left := size - stream.tell()) > 0:
            stream.write(noise.randbytes(min(left, 1 << 20)))


def measure(program: str, *arguments: str, folder: Path, url: str) -> float:
    """Run one download into an empty cache; give its seconds."""
    cache = folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    own = {"HF_ENDPOINT": url, "HF_HOME": str(cache), "XDG_CACHE_HOME": str(cache), "HF_HUB_OFFLINE": "0"}
    os.sync()
    began = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name(program), "download", "owner/repo", *arguments],
        env=os.environ | own,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Run all rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2000, metavar="MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, metavar="MB", help="what a connection sends in a second")
    wanted = parser.parse_args()
    rate = None if wanted.rate is None else wanted.rate * _MEGABYTE
    ours, theirs = ("gguf2ollama",), ("hf", _NAME)
    took: dict[tuple[str, ...], list[float]] = {ours: [], theirs: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        machine = describe_machine(folder)
        write_model(folder / _NAME, size=wanted.size * _MEGABYTE)
        here, there = multiprocessing.Pipe()
        hub = multiprocessing.Process(target=serve, args=(folder / _NAME, there, rate))
        hub.start()
        try:
            url = here.recv()
            for number in range(wanted.rounds):
                for program in (ours, theirs) if number % 2 else (theirs, ours):
                    took[program].append(measure(*program, folder=folder, url=url))
        finally:
            here.send(None)
            hub.join()
    print(machine)
    for program, seconds in took.items():
        rate = wanted.size / statistics.median(seconds)
        told = ", ".join(f"{one:.2f}" for one in seconds)
        print(f"{program[0]} download: {rate:,.0f} MB/s, median of {told} s")


if __name__ == "__main__":
    main()
