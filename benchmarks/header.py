"""Open the header of a GGUF with a large vocabulary, against ``gguf.GGUFReader``.

Makes a file with 152,000 tokens and 151,000 merges in a temporary folder and opens it with both readers in
turn, each time in a process of its own, and with ours over HTTP too, from a server on loopback. Prints the
medians of the time for opening alone (no interpreter start, no import), their ratio, and (on Linux) the most
memory that opening took beyond what the imports took; and what was fetched over HTTP beyond the header.

Run: ``python -m benchmarks.header [--rounds N]``; a round takes about 10 s, nearly all of it in GGUFReader.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from gguf2ollama.ggufio import Tensor, TensorType, TypedValue, ValueType, open_gguf, write_gguf
from gguf2ollama.sources.sites.remote_streams import MOST_BYTES
from tests.fakes.range_server import RangeServer

TOKENS = 152_000
MERGES = 151_000
TARGET = 300
OURS_PER_ROUND = 5
BEYOND = 20_000_000  # bytes of the remote file that nobody needs to fetch

_TIMED = """
import sys, time
{imports}

def most_memory():
    if sys.platform != "linux":
        return 0
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

before = most_memory()
start = time.perf_counter()
{call}
seconds = time.perf_counter() - start
print(seconds, most_memory() - before)
"""
OURS_OVER_HTTP = _TIMED.format(
    imports="import httpcore2; from gguf2ollama.sources import open_remote_gguf",
    call="gguf = open_remote_gguf(sys.argv[1])",
)
OURS = _TIMED.format(imports="from gguf2ollama.ggufio import open_gguf", call="gguf = open_gguf(sys.argv[1])")
THEIRS = _TIMED.format(imports="from gguf import GGUFReader", call="gguf = GGUFReader(sys.argv[1])")

SYLLABLES = (
    *("a", "an", "at", "be", "con", "de", "di", "en", "er", "es", "ex", "fi", "for", "ga", "he", "in", "ion"),
    *("ing", "is", "it", "ja", "ke", "la", "le", "li", "lo", "ma", "me", "mi", "mo", "na", "ne", "no", "of"),
    *(
        "on",
        "or",
        "pa",
        "per",
        "po",
        "pre",
        "pro",
        "qu",
        "ra",
        "re",
        "ri",
        "ro",
        "sa",
        "se",
        "si",
        "so",
        "st",
    ),
    *("ta", "te", "th", "ti", "to", "tra", "tion", "un", "ur", "us", "ve", "vi", "wa", "y", "za"),
)
SCRIPTS = (range(0x4E00, 0x9FA5), range(0x0430, 0x0450), range(0x0621, 0x064A), range(0x0E01, 0x0E30))


def vocabulary(noise: random.Random) -> list[str]:
    """Make distinct tokens as byte-level BPE writes them: words, code, and scripts beyond Latin."""
    letters = byte_letters()
    tokens: dict[str, None] = dict.fromkeys(letters.values())
    while len(tokens) < TOKENS:
        if noise.random() < 0.75:
            word = "".join(noise.choices(SYLLABLES, k=noise.choice((1, 2, 2, 3, 3, 4))))
            word = word.title() if noise.random() < 0.2 else word
        elif noise.random() < 0.4:
            word = noise.choice("()[]{}<>=+-*/._;:#\n\t") * noise.randint(1, 12) + noise.choice(SYLLABLES)
        else:
            script = noise.choice(SCRIPTS)
            word = "".join(chr(noise.choice(script)) for _ in range(noise.randint(1, 4)))
        word = (" " if noise.random() < 0.5 else "") + word
        tokens["".join(letters[byte] for byte in word.encode())] = None
    return list(tokens)


def byte_letters() -> dict[int, str]:
    """Return the letter by which GPT-2's tokenizer writes each byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return {byte: chr(byte if byte in printable else next(spare)) for byte in range(256)}


def write_model(path: Path) -> None:
    """Write a GGUF with a vocabulary of that size and the tensors of a 36-block model, without much data."""
    noise = random.Random(0)  # noqa: S311 - the same file every time
    tokens = vocabulary(noise)
    merges = [f"{token[:cut]} {token[cut:]}" for token in tokens if (cut := len(token) // 2)][:MERGES]
    metadata = {
        "general.architecture": TypedValue(ValueType.STRING, "qwen2"),
        "general.name": TypedValue(ValueType.STRING, "A vocabulary of real size"),
        "qwen2.block_count": TypedValue(ValueType.UINT32, 36),
        "tokenizer.ggml.model": TypedValue(ValueType.STRING, "gpt2"),
        "tokenizer.ggml.tokens": TypedValue.array(ValueType.STRING, tokens),
        "tokenizer.ggml.token_type": TypedValue.array(ValueType.INT32, [1] * len(tokens)),
        "tokenizer.ggml.merges": TypedValue.array(ValueType.STRING, merges),
        "tokenizer.ggml.eos_token_id": TypedValue(ValueType.UINT32, 151_645),
    }
    names = (
        "attn_norm",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_norm",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
    )
    tensors = [
        Tensor(name=f"blk.{block}.{name}.weight", shape=(256, 16), type=TensorType.Q4_K, data=bytes(144 * 16))
        for block in range(36)
        for name in names
    ]
    write_gguf(path, metadata=metadata, tensors=tensors)


def measure(program: str, source: Path | str) -> tuple[float, int]:
    """Run one reader in a process of its own; give seconds and kilobytes."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(source)], check=True, capture_output=True, text=True
    )
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes)


def measure_over_http(path: Path, runs: int) -> tuple[list[tuple[float, int]], int]:
    """Run ours so many times over HTTP; give seconds and kilobytes, and the bytes that one run fetched."""
    content = path.read_bytes() + bytes(BEYOND)
    with RangeServer(content) as server:
        measured = [measure(OURS_OVER_HTTP, server.url()) for _ in range(runs)]
        asked = [request.range for request in server.requests]
    fetched = sum(min(end, len(content)) - start for start, end in filter(None, asked))
    return measured, fetched // runs


def main() -> int:
    """Measure and print; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ours: list[tuple[float, int]] = []
    remote: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_model(path)
        header = open_gguf(path).data_offset
        for _ in range(rounds):
            ours += [measure(OURS, path) for _ in range(OURS_PER_ROUND)]
            runs, fetched = measure_over_http(path, OURS_PER_ROUND)
            remote += runs
            theirs.append(measure(THEIRS, path))
    all_runs = (ours, remote, theirs)
    our_time, remote_time, their_time = (statistics.median(time for time, _ in runs) for runs in all_runs)
    our_memory, remote_memory, their_memory = (max(size for _, size in runs) / 1000 for runs in all_runs)
    ratio, beyond = their_time / our_time, fetched - header
    print(f"header of {header:,} bytes, {TOKENS:,} tokens, {MERGES:,} merges; {rounds} rounds")
    print(f"gguf2ollama.ggufio  {our_time * 1000:9.1f} ms  {our_memory:6.0f} MB")
    print(f"  over HTTP         {remote_time * 1000:9.1f} ms  {remote_memory:6.0f} MB")
    print(f"gguf.GGUFReader     {their_time * 1000:9.1f} ms  {their_memory:6.0f} MB")
    print(f"ratio of medians    {ratio:9.0f}     (to reach: {TARGET})")
    print(f"fetched over HTTP beyond the header: {beyond:,} bytes (at most: {MOST_BYTES:,})")
    return 0 if ratio >= TARGET and beyond <= MOST_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
