"""Open the header of a GGUF with a large vocabulary, against npm's ``@huggingface/gguf``.

Takes the package from npm's registry into a temporary folder and opens the same file as
``benchmarks/header.py`` with both readers in turn, each time in a process of its own. Prints the medians of
the time for opening alone (no start, no import) and their ratio.

Run: ``python -m benchmarks.header_npm [--rounds N]``; it needs Node 20 with npm, and the network.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.header import OURS, measure, write_model

PACKAGE = "@huggingface/gguf@0.4.6"
TARGET = 15

THEIRS = """
import { gguf } from "@huggingface/gguf";
const start = performance.now();
const { metadata } = await gguf(process.argv[2], { allowLocalFile: true });
const seconds = (performance.now() - start) / 1000;
if (!metadata["tokenizer.ggml.tokens"].length) throw new Error("no tokens");
console.log(seconds);
"""


def main() -> int:
    """Measure and print; exit 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("node and npm are not on PATH")
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
        subprocess.run(install, cwd=folder, check=True)
        path, program = folder / "model.gguf", folder / "open.mjs"
        write_model(path)
        program.write_text(THEIRS, encoding="utf-8")
        for _ in range(rounds):
            ours.append(measure(OURS, path)[0])
            done = subprocess.run([node, program, path], check=True, capture_output=True, text=True)
            theirs.append(float(done.stdout))
    our_time, their_time = statistics.median(ours), statistics.median(theirs)
    ratio = their_time / our_time
    print(f"{PACKAGE}, the same file; {rounds} rounds")
    print(f"gguf2ollama.ggufio  {our_time * 1000:9.1f} ms")
    print(f"@huggingface/gguf   {their_time * 1000:9.1f} ms")
    print(f"ratio of medians    {ratio:9.0f}     (to reach: {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
