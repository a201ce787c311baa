"""What llama.cpp allocates for models of real shapes, read from the log of ``llama-server``.

A model is a header with tensors that are holes in a sparse file: it costs no disk, and nothing is computed.
Which tensors llama.cpp wants is asked of itself: it names what is missing, and the shape that it expects. The
facts go to ``tests/unit/memory/measured.json``, which the estimate is held to.

Run: ``python -m benchmarks.memory_truth --server PATH [--rpc HOST:PORT] [--tensors FILE] [NAME ...]``
With RPC, of which the server must be built, it measures a device: an ``rpc-server`` takes every operation.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

from benchmarks.memory_makes import MAKES, Make
from gguf2ollama.memory import MemoryEstimate, estimate_memory

BUILD = 11095
"""The build of llama.cpp that the facts are of: that of Ollama 0.34.4 in the live tests."""
FACTS = Path(__file__).parents[1] / "tests" / "unit" / "memory" / "measured.json"
CPU = (
    "-c 4096",
    "-c 32768",
    "-c 4096 -fa off",
    "-c 16384 -ub 2048",
    "-c 8192 -np 4",
    "-c 8192 -np 4 -kvu",
    "-c 8192 -ctk q8_0 -ctv q8_0",
)
DEVICE = ("-c 4096 -ngl 99", "-c 32768 -ngl 99", "-c 4096 -ngl 99 -fa off", "-c 8192 -ngl 99 -np 4 -kvu")
_F32_NAMES = re.compile(r"ssm_|conv|gate_inp|lerp|time_|altup|exp_probs|norm|proj")
_END = re.compile(r"sched_reserve: graph|error loading model|cleaning up before exit")
_SECONDS = 60
_TRIES = 4
_MAX_BYTES = 3 << 30  # of a KV cache, which is really allocated


def write_model(
    path: Path, make: Make, tensors: Mapping[str, Sequence[int]], *, has_tokens: bool = False
) -> None:
    """Write the header of a model, and let its tensors be holes.

    Args:
        path: The file.
        make: The model.
        tensors: Its tensors.
        has_tokens: Whether its tokens are listed, which llama.cpp does not need to know their number.
    """
    writer = GGUFWriter(str(path), make.architecture)
    for key, value in make.keys.items():
        name = key[1:] if key.startswith("=") else f"{make.architecture}.{key}"
        match value:
            case bool():
                writer.add_bool(name, value)
            case int():
                writer.add_uint32(name, value)
            case float():
                writer.add_float32(name, value)
            case _:
                writer.add_array(name, value)
    writer.add_tokenizer_model("none")
    if has_tokens:
        writer.add_token_list([b""] * make.keys["vocab_size"])
    total = 0
    for name, shape in tensors.items():
        is_small = len(shape) == 1 or shape[0] % 32 or _F32_NAMES.search(name)
        kind = GGMLQuantizationType.F32 if is_small else GGMLQuantizationType.Q4_0
        block, size = GGML_QUANT_SIZES[kind]
        bytes_ = int(np.prod(shape, dtype=np.int64)) // block * size
        rows = list(reversed(shape))
        if is_small:
            writer.add_tensor_info(name, rows, np.dtype(np.float32), bytes_)
        else:
            rows[-1] = rows[-1] // block * size
            writer.add_tensor_info(name, rows, np.dtype(np.uint8), bytes_, raw_dtype=kind)
        total += -(-bytes_ // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    writer.fout[0].flush()
    os.truncate(path, writer.fout[0].tell() + 64 + total)
    writer.close()


def load(server: Path, path: Path, options: Sequence[str]) -> str:
    """Return what a server logs until it has allocated all its memory, or has failed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        server,
        "-m",
        path,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-warmup",
        "-fit",
        "off",
        "--no-repack",
    ]
    with subprocess.Popen(
        [*command, "-lv", "4", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    ) as process:
        clock = threading.Timer(_SECONDS, process.kill)
        clock.start()
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if _END.search(line):
                process.terminate()  # so that it takes leave of an rpc-server
                break
        lines += process.stdout
        clock.cancel()
    return "".join(lines)


def fit(server: Path, folder: Path, make: Make) -> dict[str, list[int]]:
    """Return the tensors that llama.cpp wants of a model: by name, the fastest dimension first."""
    tensors: dict[str, list[int]] = {
        f"blk.{layer}.{name}": [1]
        for layer in range(make.keys["block_count"])
        for name in make.optional
        if not any(name.startswith(prefix) and layer in layers for prefix, layers in make.without.items())
    }
    while True:
        path = folder / "fitted.gguf"
        write_model(path, make, tensors)
        text = load(server, path, ["-c", "256", "-np", "1"])
        if wrong := re.search(r"tensor '([^']+)' has wrong shape; expected ([\d, ]+), got", text):
            shape = [int(number) for number in wrong[2].split(",")]
            while len(shape) > 1 and shape[-1] == 1:
                shape.pop()
            if tensors[wrong[1]] == shape:
                raise SystemExit(f"{wrong[1]} is never right: {shape}")
            tensors[wrong[1]] = shape
        elif missing := re.search(r"missing tensor '([^']+)'|tensor '([^']+)' not found", text):
            name = missing[1] or missing[2]
            tensors[name] = next((tensors[other] for other in tensors if _kind(other) == _kind(name)), [1])
        elif "buffer size" in text:
            return tensors
        else:
            raise SystemExit(text)


def _kind(name: str) -> str:
    return re.sub(r"\d+", "N", name, count=1)


def read_facts(text: str) -> dict[str, Any] | None:
    """Return what a log says was allocated, in MiB as it is printed; ``None`` if it did not come so far."""
    buffers = {
        "compute": r"sched_reserve: +(\S+) compute buffer size = +([\d.]+) MiB",
        "kv": r"llama_kv_cache\S*: +(\S+) KV buffer size = +([\d.]+) MiB",
        "recurrent": r"llama_memory_recurrent: +(\S+) RS buffer size = +([\d.]+) MiB",
        "output": r"llama_context: +(\S+) +output buffer size = +([\d.]+) MiB",
    }
    facts: dict[str, Any] = {}
    for kind, pattern in buffers.items():
        sums: dict[str, float] = {}
        for name, size in re.findall(pattern, text):
            device = "gpu0" if name.startswith("RPC") else "cpu"
            sums[device] = round(sums.get(device, 0) + float(size), 2)
        if sums:
            facts[kind] = sums
    return facts if "compute" in facts else None


def estimate(make: Make, settings: str) -> MemoryEstimate:
    """Return our estimate of a model with settings of a server."""
    words = settings.split()
    options = {word: words[index + 1 : index + 2] for index, word in enumerate(words)}

    def number(option: str, default: int) -> int:
        return int(options[option][0]) if option in options else default

    metadata = {"general.architecture": make.architecture} | {
        key[1:] if key.startswith("=") else f"{make.architecture}.{key}": value
        for key, value in make.keys.items()
    }
    return estimate_memory(
        metadata,
        context=number("-c", 4096),
        cache_type_k=options.get("-ctk", ["f16"])[0],
        cache_type_v=options.get("-ctv", ["f16"])[0],
        ubatch=number("-ub", 512),
        slots=number("-np", 1),
        unified="-kvu" in options,
        flash_attention=options.get("-fa", ["on"])[0] != "off",
        gpu_layers=number("-ngl", 0),
        build=BUILD,
    )


def measure(server: Path, path: Path, make: Make, rpc: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield settings and facts of a model."""
    for settings in DEVICE if rpc else CPU:
        if estimate(make, settings).kv > _MAX_BYTES:
            continue
        options = settings.split()
        if rpc:
            options += ["--rpc", rpc]
        if "-np" not in options:
            options += ["-np", "1"]
        for _ in range(_TRIES if rpc else 1):
            facts = read_facts(load(server, path, options))
            if facts is not None:
                yield settings, facts
                break
            time.sleep(1)  # an rpc-server may be restarting, which ends where a client breaks off


def main() -> None:
    """Measure the models that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MAKES, []], metavar="NAME")
    parser.add_argument("--server", type=Path, required=True, help="llama-server")
    parser.add_argument("--rpc", default="", help="an rpc-server, HOST:PORT")
    parser.add_argument("--output", type=Path, default=FACTS, help="where the facts are kept")
    parser.add_argument("--tensors", type=Path, help="keep here which tensors a model has")
    options = parser.parse_args()
    known = json.loads(options.tensors.read_text()) if options.tensors and options.tensors.exists() else {}
    facts = json.loads(options.output.read_text()) if options.output.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or MAKES:
            make = MAKES[name]
            if name not in known:
                known[name] = fit(options.server, Path(folder), make)
                if options.tensors:
                    options.tensors.write_text(json.dumps(known))
            path = Path(folder) / "model.gguf"
            write_model(path, make, known[name])
            measured = dict(measure(options.server, path, make, options.rpc))
            print(f"{name}: {len(measured)} settings", file=sys.stderr, flush=True)
            facts[name] = {"architecture": make.architecture, "keys": dict(make.keys)} | {
                "measured": {**facts.get(name, {}).get("measured", {}), **measured}
            }
            options.output.write_text(_json(facts))


def _json(facts: Mapping[str, Any]) -> str:
    """Return the facts with one line for each model's keys and for each measurement."""
    lines = []
    for name, model in sorted(facts.items()):
        rows = ",\n   ".join(
            f"{json.dumps(key)}: {json.dumps(row)}" for key, row in model["measured"].items()
        )
        lines.append(
            f' {json.dumps(name)}: {{"architecture": {json.dumps(model["architecture"])},\n'
            f'  "keys": {json.dumps(model["keys"])},\n  "measured": {{\n   {rows}}}}}'
        )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
