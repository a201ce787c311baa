"""The command that installs what is missing, for this machine."""

import sys
import tomllib
from pathlib import Path

import pytest

from gguf2ollama.engines import install_lines
from gguf2ollama.engines.install_lines import LIBRARIES, find_accelerator, install_line

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def test_the_libraries_are_those_of_the_extras():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    for engine, libraries in LIBRARIES.items():
        assert tuple(extras[engine.replace(".", "-")]) == libraries


@pytest.mark.parametrize(
    "engine, accelerator, parts",
    [
        ("llama.cpp", "cpu", ["-m pip install", "xllamacpp>="]),
        ("llama.cpp", "metal", ["xllamacpp>="]),
        ("llama.cpp", "cuda", ["--force-reinstall", "whl/cu", "xllamacpp"]),
        ("llama.cpp", "rocm", ["whl/rocm-"]),
        ("llama.cpp", "vulkan", ["whl/vulkan"]),
        ("llama-cpp-python", "cpu", ["'llama-cpp-python>="]),
        ("llama-cpp-python", "cuda", ["CMAKE_ARGS='-DGGML_CUDA=on -DCMAKE_CUDA_COMPILER=/c u/bin/nvcc' "]),
        ("llama-cpp-python", "metal", ["CMAKE_ARGS=-DGGML_METAL=on "]),
        ("llama-cpp-python", "rocm", ["CMAKE_ARGS=-DGGML_HIP=on "]),
        ("llama-cpp-python", "vulkan", ["CMAKE_ARGS=-DGGML_VULKAN=on ", "--no-cache-dir"]),
        ("transformers", "cuda", ["'torch>=", "'transformers>="]),
    ],
)
def test_each_machine_has_its_line(engine, accelerator, parts, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", "/c u")
    line = install_line(engine, accelerator=accelerator)
    assert all(part in line for part in parts), line
    assert ("CMAKE_ARGS" in line) == (engine == "llama-cpp-python" and accelerator != "cpu")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that makes this a machine with a certain card and tools."""

    def make(*, nvidia=False, vendor="", tools=()):
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(install_lines, "has_nvidia_driver", lambda: nvidia)
        monkeypatch.setattr(install_lines, "_ROCM", tmp_path / "rocm")
        monkeypatch.setattr(install_lines, "_CARDS", tmp_path)
        monkeypatch.setattr("shutil.which", lambda name: name if name in tools else None)
        if vendor:
            (tmp_path / "renderD128").mkdir()
            card = tmp_path / "card0/device"
            card.mkdir(parents=True)
            (card / "vendor").write_text(f"{vendor}\n")

    return make


@pytest.mark.parametrize(
    "facts, expected",
    [
        ({}, "cpu"),
        ({"nvidia": True}, "cuda"),
        ({"vendor": "0x1002", "tools": ("hipconfig",)}, "rocm"),
        ({"vendor": "0x1002", "tools": ("glslc",)}, "vulkan"),
        ({"vendor": "0x8086", "tools": ("vulkaninfo",)}, "vulkan"),
        ({"vendor": "0x8086"}, "cpu"),
    ],
)
def test_what_a_build_can_use_is_found_by_driver_card_and_tools(machine, facts, expected):
    machine(**facts)
    assert find_accelerator() == expected
