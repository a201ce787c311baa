"""Run whole programs in turn from the same state, and measure each: its time, and the bytes written.

Linux only: what was written is read in ``/proc/PID/io`` (``write_bytes``: what was handed to the file system;
sockets do not count).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import Subject
from tests.live import parts
from tests.live.servers import RunningOllama

__all__ = ["Contest", "Measured", "Program"]

_NAME = "bench"
_BLOCK = 1 << 20
_SETTLED_SECONDS = 2.5  # digests of files changed just now are not remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One side of a comparison.

    Attributes:
        title: What the tables call it.
        commands: What is run, one after another.
        knows_digests: Whether our cache holds the digests of the shards.
    """

    title: str
    commands: tuple[tuple[str | Path, ...], ...]
    knows_digests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the runs of one program took.

    Attributes:
        seconds: From the start of its first process to the end of its last, of each run.
        written: Bytes that the program wrote, the median.
        server_written: Bytes that the server wrote meanwhile, the median.
    """

    seconds: tuple[float, ...]
    written: int
    server_written: int

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)


class Contest:
    """All programs over one model, on one server.

    Args:
        subject: The model.
        folder: An empty folder, on the file system of the server's store.
        server: A server with nothing in its store.
    """

    def __init__(self, subject: Subject, folder: Path, server: RunningOllama) -> None:
        self._folder = folder
        self._server = server
        self._shards_folder = folder / "shards"
        self._shards_folder.mkdir()
        self._merged = folder / "merged.gguf"
        self._known, self._unknown = folder / "known", folder / "unknown"
        self._shards = subject.write_shards(self._shards_folder)
        time.sleep(_SETTLED_SECONDS)
        self.bytes = sum(shard.stat().st_size for shard in self._shards)
        self.programs = dict(self._programs())
        self._run(self.programs["link"], cache=self._known)
        assert (self._known / "gguf2ollama" / "digests.json").is_file(), "no digest was remembered"

    def _programs(self) -> Sequence[tuple[str, Program]]:
        split, ollama = parts.OLLAMAS[0].tool("llama-gguf-split"), self._server.program
        first = self._shards[0]
        create = (ollama, "create", _NAME, "-f")
        from_folder, from_merged = self._folder / "Modelfile", self._folder / "Modelfile.merged"
        from_folder.write_text("FROM ./shards\n", encoding="utf-8")
        from_merged.write_text("FROM ./merged.gguf\n", encoding="utf-8")
        their_merge = (split, "--merge", first, self._merged)
        ours = Path(sys.executable).with_name("gguf2ollama")
        tried = (ours, "build", self._shards_folder, "--name", _NAME, "--no-load", "--quiet", "--via")
        build = (*tried[:-1], "--no-verify", "--via")

        def known(via: str) -> Program:
            title = f"build --via {via}, digests known"
            return Program(title=title, commands=((*build, via),), knows_digests=True)

        return [
            ("link", Program(title="build --via link", commands=((*build, "link"),))),
            ("link known", known("link")),
            (
                "link tried",
                Program(
                    title="build --via link, digests known, templates tried",
                    commands=((*tried, "link"),),
                    knows_digests=True,
                ),
            ),
            ("pull", Program(title="build --via pull", commands=((*build, "pull"),))),
            ("pull known", known("pull")),
            ("upload", Program(title="build --via upload", commands=((*build, "upload"),))),
            ("create", Program(title="ollama create, FROM the folder", commands=((*create, from_folder),))),
            (
                "merge, create",
                Program(
                    title="llama-gguf-split --merge, then ollama create",
                    commands=(their_merge, (*create, from_merged)),
                ),
            ),
            ("merge", Program(title="merge", commands=((ours, "merge", first, "-o", self._merged),))),
            ("their merge", Program(title="llama-gguf-split --merge", commands=(their_merge,))),
        ]

    def merges_agree(self) -> bool:
        """Return whether both merges write the same bytes."""
        aside = self._folder / "aside.gguf"
        self._reset()
        for command in self.programs["merge"].commands:
            self._measure(command, cache=self._unknown)
        self._merged.rename(aside)
        for command in self.programs["their merge"].commands:
            self._measure(command, cache=self._unknown)
        agree = subprocess.run(["cmp", "--silent", aside, self._merged], check=False).returncode == 0
        aside.unlink()
        return agree

    def measure(self, rounds: int) -> dict[str, Measured]:
        """Run each program so many times, in turn; each round begins with another one."""
        runs: dict[str, list[tuple[float, int, int]]] = {key: [] for key in self.programs}
        keys = list(self.programs)
        for number in range(rounds):
            start = number % len(keys)
            for key in keys[start:] + keys[:start]:
                program = self.programs[key]
                runs[key].append(
                    self._run(program, cache=self._known if program.knows_digests else self._unknown)
                )
        return {
            key: Measured(
                seconds=tuple(seconds for seconds, _, _ in each),
                written=int(statistics.median(written for _, written, _ in each)),
                server_written=int(statistics.median(written for _, _, written in each)),
            )
            for key, each in runs.items()
        }

    def _run(self, program: Program, *, cache: Path) -> tuple[float, int, int]:
        self._reset()
        before = _written_bytes(self._server.pid)
        seconds = written = 0.0
        for command in program.commands:
            took, wrote = self._measure(command, cache=cache)
            seconds, written = seconds + took, written + wrote
        return seconds, int(written), _written_bytes(self._server.pid) - before

    def _reset(self) -> None:
        """Bring all back to where it was: no model, nothing merged, shards in memory, disk at rest."""
        self._delete_models()
        self._merged.unlink(missing_ok=True)
        shutil.rmtree(self._unknown, ignore_errors=True)
        for shard in self._shards:
            with shard.open("rb", buffering=0) as stream:
                while stream.read(_BLOCK):
                    pass
        os.sync()

    def _delete_models(self) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self._server.url}/api/tags") as answer:
            names = [model["name"] for model in json.load(answer)["models"]]
        for name in names:
            content = json.dumps({"model": name}).encode()
            request = urllib.request.Request(  # noqa: S310 - our own server on loopback
                f"{self._server.url}/api/delete", data=content, method="DELETE"
            )
            direct.open(request).close()

    def _measure(self, command: Sequence[str | Path], *, cache: Path) -> tuple[float, int]:
        """Run one process; give its seconds and the bytes that it wrote."""
        environment = self._server.environment | {"XDG_CACHE_HOME": str(cache)}
        with (self._folder / "output.txt").open("w+b") as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and its figures still there
            seconds = time.perf_counter() - began
            written = _written_bytes(process.pid)
            if process.wait():
                output.seek(0)
                told = output.read().decode(errors="replace")
                raise SystemExit(f"{' '.join(map(str, command))} failed:\n{told}")
        return seconds, written


def _written_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
