"""The table of memory: what llama-server logged, what we estimate, and what gguf-parser does.

Run: ``python -m benchmarks.memory_table --tensors FILE --gguf-parser PROGRAM``, after
:mod:`benchmarks.memory_truth`, which kept ``FILE``; ``PROGRAM`` is built by ``go build -o PROGRAM .`` in
``benchmarks/gguf_parser``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_machine
from benchmarks.memory_makes import MAKES
from benchmarks.memory_truth import BUILD, FACTS, estimate, write_model

RESULTS = Path(__file__).with_name("MEMORY.md")
_MIB = 1 << 20
_HEAD = """\
# Memory

Written by `python -m benchmarks.memory_table`. {machine}.

{models} models of real shapes with few layers and no weights, loaded by llama-server b{build} with {settings}
settings in all: contexts, batches, slots, unified and quantized caches, with and without flash attention, on
the CPU and on a device (`benchmarks/memory_truth.py`; its facts are in `tests/unit/memory/measured.json`).
Beside its log our estimate from the header alone, and that of gguf-parser {version} for the same files: its
"input", "graph" and "output" together. It reckons with logits for all tokens of a batch, as llama.cpp did
until b9454, so its buffers are too large for Ollama 0.31 and newer.

| | KV cache within 0.5 % | compute and output within 15 % | the same, at most 3 % below |
|---|---:|---:|---:|
{shares}

An estimate takes {milliseconds:.1f} ms of CPU on average. MiB of all devices together, with 32,768 tokens:

| model | settings | KV: log | ours | gguf-parser | compute, output: log | ours | gguf-parser |
|---|---|---:|---:|---:|---:|---:|---:|
"""
_TAIL = """\

Published logs say more than `llama-server` does where their program is another. gpt-oss-120b on LM
Studio's llama.cpp 1.44.0 (Metal, August 2025, 4,096 tokens, no flash attention, full windowed cache)
printed 819.26 MiB of compute buffer; the estimate is 559.25, and llama.cpp of August 7, 2025 (9a96389, as
llama-cpp-python 0.3.15 has it, built here for the CPU, with the same shape and settings) allocates
560.14. The 260.00 MiB more are 65 times 4,096 x 512 numbers of two bytes: a second copy of the scores of
64 heads and one more such plane. No llama.cpp that is published makes one, so the estimate does not
either.
"""


class Row(NamedTuple):
    """The MiB of a model with settings: by the log, by us and by gguf-parser."""

    model: str
    settings: str
    kv: tuple[float, float, float]
    compute: tuple[float, float, float]


def parse_line(settings: str, path: Path) -> str:
    """Return the line that gguf-parser's program reads."""
    words = settings.split()
    values = {word: words[index + 1] for index, word in enumerate(words[:-1])}
    is_flash = values.get("-fa") != "off"
    return (
        f"{values['-c']} {values.get('-ub', 512)} {values.get('-np', 1)} {values.get('-ngl', 0)} "
        f"{int(is_flash)} {values.get('-ctk', 'f16')} {path}"
    )


def measure(facts: Mapping[str, Any], tensors: Mapping[str, Any], program: Path) -> Iterator[Row]:
    """Yield what each says of each model."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        path = Path(folder) / "model.gguf"
        for name, model in facts.items():
            write_model(path, MAKES[name], tensors[name], has_tokens=True)
            for settings, logged in model["measured"].items():
                print(parse_line(settings, path), file=process.stdin, flush=True)
                other = json.loads(process.stdout.readline())
                ours = estimate(MAKES[name], settings)
                sums = {kind: sum(sizes.values()) for kind, sizes in logged.items()}
                yield Row(
                    name,
                    settings,
                    (sums.get("kv", 0), ours.kv / _MIB, other.get("kv", 0) / _MIB),
                    (
                        sums["compute"] + sums["output"],
                        (ours.compute + ours.output) / _MIB,
                        (other.get("compute", 0) + other.get("output", 0)) / _MIB,
                    ),
                )


def share(rows: list[Row], holds: Callable[[Row], bool]) -> str:
    """Return how many rows hold, and their share."""
    count = sum(map(holds, rows))
    return f"{count} of {len(rows)} ({count / len(rows):.0%})"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tensors", type=Path, required=True)
    parser.add_argument("--gguf-parser", type=Path, required=True)
    options = parser.parse_args()
    facts = json.loads(FACTS.read_text())
    rows = list(measure(facts, json.loads(options.tensors.read_text()), options.gguf_parser))
    began = time.process_time()
    for row in rows:
        estimate(MAKES[row.model], row.settings)
    milliseconds = (time.process_time() - began) / len(rows) * 1000
    cached = [row for row in rows if row.kv[0]]
    shares = []
    for index, title in ((1, "ours"), (2, "gguf-parser")):
        kv = share(cached, lambda row, index=index: abs(row.kv[index] / row.kv[0] - 1) <= 0.005)  # type: ignore[misc]
        ratios = [row.compute[index] / row.compute[0] for row in rows]
        near = sum(0.85 <= ratio <= 1.15 for ratio in ratios)
        safe = sum(0.97 <= ratio <= 1.15 for ratio in ratios)
        shares.append(
            f"| {title} | {kv} | {near} of {len(rows)} ({near / len(rows):.0%}) "
            f"| {safe} of {len(rows)} ({safe / len(rows):.0%}) |"
        )
    version = next(
        line.split()[-1]
        for line in (Path(__file__).with_name("gguf_parser") / "go.mod").read_text().splitlines()
        if "gguf-parser-go" in line
    )
    lines = [
        f"| {row.model} | `{row.settings}` | "
        + " | ".join(f"{value:,.1f}" for value in (*row.kv, *row.compute))
        + " |"
        for row in rows
        if row.settings in {"-c 32768", "-c 32768 -ngl 99"}
    ]
    RESULTS.write_text(
        _HEAD.format(
            machine=describe_machine(Path.cwd()),
            models=len(facts),
            build=BUILD,
            settings=len(rows),
            version=version,
            shares="\n".join(shares),
            milliseconds=milliseconds,
        )
        + "\n".join(lines)
        + "\n"
        + _TAIL
    )


if __name__ == "__main__":
    main()
