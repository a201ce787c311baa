"""The command that installs an engine's library on this machine, with what its GPU needs."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama.engines.settings import EmbeddedName
from gguf2ollama.memory.hardware import has_nvidia_driver

__all__ = ["Accelerator", "find_accelerator", "install_line"]

Accelerator: TypeAlias = Literal["cpu", "cuda", "metal", "rocm", "vulkan"]

LIBRARIES: Mapping[EmbeddedName, tuple[str, ...]] = {
    "llama.cpp": ("xllamacpp>=2026.10",),
    "llama-cpp-python": ("llama-cpp-python>=0.3.16",),
    "transformers": ("accelerate>=1.1", "torch>=2.4", "transformers>=5"),
}
"""What an engine needs: the requirements of the extra of this package that has its name."""

_ROCM = Path("/opt/rocm")
_CARDS = Path("/sys/class/drm")
_FLAGS: Mapping[Accelerator, str] = {
    "cuda": "-DGGML_CUDA=on",
    "metal": "-DGGML_METAL=on",
    "rocm": "-DGGML_HIP=on",
    "vulkan": "-DGGML_VULKAN=on",
}
_XLLAMACPP_WHEELS: Mapping[Accelerator, str] = {"cuda": "cu128", "rocm": "rocm-6.4.1", "vulkan": "vulkan"}
_AMD_VENDOR = "0x1002"


def find_accelerator() -> Accelerator:
    """Return what a build of llama.cpp can use here: by driver, card, and the tools to compile for them."""
    import platform  # noqa: PLC0415 - not needed for help

    if sys.platform == "darwin":
        return "metal" if platform.machine() == "arm64" else "cpu"
    if has_nvidia_driver():
        return "cuda"
    vendors = {_read(path) for path in _CARDS.glob("card*/device/vendor")}
    if _AMD_VENDOR in vendors and (_ROCM.is_dir() or shutil.which("hipconfig")):
        return "rocm"
    has_card = any(_CARDS.glob("renderD*"))
    return "vulkan" if has_card and (shutil.which("vulkaninfo") or shutil.which("glslc")) else "cpu"


def install_line(engine: EmbeddedName, *, accelerator: Accelerator | None = None) -> str:
    """Return the command that installs the library of an engine into the Python that runs this program.

    xllamacpp's wheels at PyPI are for CPUs and Metal, and those for other GPUs in an index of its own;
    llama-cpp-python is compiled with ``CMAKE_ARGS`` (their READMEs); torch's wheels bring CUDA on Linux.

    Args:
        engine: The engine.
        accelerator: What it is to use; what :func:`find_accelerator` finds when not given.
    """
    chosen = accelerator or find_accelerator()
    pip = [sys.executable or "python3", "-m", "pip", "install"]
    line = shlex.join([*pip, *LIBRARIES[engine]])
    if engine == "llama.cpp" and chosen in _XLLAMACPP_WHEELS:
        wheels = f"https://xorbitsai.github.io/xllamacpp/whl/{_XLLAMACPP_WHEELS[chosen]}"
        return shlex.join([*pip, "--force-reinstall", "--index-url", wheels, "xllamacpp"])
    if engine == "llama-cpp-python" and (flags := _FLAGS.get(chosen)):
        if chosen == "cuda" and (home := os.environ.get("CUDA_HOME")):
            flags += f" -DCMAKE_CUDA_COMPILER={home}/bin/nvcc"
        again = ["--force-reinstall", "--no-cache-dir"]  # one that is there, or was built, may be for the CPU
        return f"CMAKE_ARGS={shlex.quote(flags)} {shlex.join([*pip, *again, 'llama-cpp-python'])}"
    return line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


if __name__ == "__main__":  # for `make test-gpu`
    print(*map(install_line, sys.argv[1:]), sep="\n")  # type: ignore[arg-type] # noqa: T201
