"""The guide to engines, in both languages: every command and program in it runs, on a real model and servers.

The repository that it names is on a Hub of the tests, with the small model under the names of the large one.
What needs a library that is not installed here is left to ``make test-engines``.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.ggufio import ShardSet, split
from gguf2ollama.memory.hardware import find_hardware
from tests.fakes.hub_server import FakeHub
from tests.live.servers import LLAMA_SERVER

pytestmark = pytest.mark.live

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH, CHINESE = DOCS / "how-to/engines.md", DOCS / "zh/engines.md"
_BLOCK = re.compile(r"(?:<!-- not run: ([^>]+) -->\n)?```(console|python)\n(.*?)```", re.DOTALL)
_LIBRARIES = {"llama-cpp-python": "llama_cpp", "llama_cpp": "llama_cpp", "transformers": "transformers"}


def steps(document):
    """Return what a document has the reader run, in its order: commands and programs."""
    found = []
    for mark, language, body in _BLOCK.findall(document.read_text(encoding="utf-8")):
        assert mark in {"", "installs", "needs an engine"}
        if language == "python":
            found.append(body)
        elif mark != "installs":
            found += [line.removeprefix("$ ") for line in body.splitlines()]
    return found


def is_runnable(step):
    named = {
        module for name, module in _LIBRARIES.items() if f"--engine {name}" in step or f"from {name}" in step
    }
    return all(importlib.util.find_spec(module) for module in named)


def test_both_languages_have_the_same_commands_and_programs():
    assert steps(ENGLISH) == steps(CHINESE)
    assert len(steps(ENGLISH)) > 15


@pytest.fixture
def reader(smollm2, newest_ollama, llama_tool, tmp_path):
    """Return a function that runs a command or a program where the reader is."""
    model = ShardSet.discover(smollm2)
    shards = split(smollm2, tmp_path / "qwen2.5-7b-instruct-q4_k_m", max_tensors=len(model.tensors) // 2 + 1)
    folder = tmp_path / "work"
    folder.mkdir()
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "llama-quantize").symlink_to(llama_tool("llama-quantize"))
    with FakeHub() as hub:
        hub.add("Qwen/Qwen2.5-7B-Instruct-GGUF", {path.name: path for path in shards})
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= LLAMA_SERVER | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "OLLAMA_HOST": newest_ollama.url,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        }

        def run(step):
            program = [sys.executable, "-c", step]
            if step.startswith("gguf2ollama "):
                program = [sys.executable, "-m", *shlex.split(step)]
            return subprocess.run(
                program,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

        yield run


def test_every_command_of_the_guide_runs(reader):
    hardware = find_hardware()
    ran = 0
    for step in filter(is_runnable, steps(ENGLISH)):
        done = reader(step)
        if re.search(r"run .*--gpu-layers (all|8)", step) and not (hardware and hardware.gpus):
            assert done.returncode == 2, f"{step}\n{done.stderr}"
            assert "finds no GPU on this machine" in done.stderr
        else:
            assert done.returncode == 0, f"{step}\n{done.stderr}"
            assert done.stdout.strip() or done.stderr.strip(), step
        ran += 1
    assert ran > 12
