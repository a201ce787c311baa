"""The memory of a process, as its system and the drivers of GPUs say it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gguf2ollama.engines.engine import EngineMemory
from gguf2ollama.errors import NotFound

__all__ = ["process_memory", "sum_memory"]

_PROC = Path("/proc")


def process_memory(pid: int) -> EngineMemory:
    """Return the memory of a process.

    Resident and peak are ``VmRSS`` and ``VmHWM`` of ``/proc/PID/status`` on Linux, the working set and its
    peak on Windows; macOS says no peak of another process. That on GPUs is NVML's, of NVIDIA cards.

    Raises:
        NotFound: There is no such process, or it is another user's.
    """
    import psutil  # noqa: PLC0415 - 24 ms that other calls do not need

    try:
        found = psutil.Process(pid).memory_info()
    except psutil.Error as error:
        raise NotFound(f"the process {pid} of the engine has ended") from error
    status = _status(pid)
    peak = status.get("VmHWM", getattr(found, "peak_wset", None))
    return EngineMemory(
        resident=status.get("VmRSS", int(found.rss)),
        peak=None if peak is None else int(peak),
        own=status.get("RssAnon"),
        gpu=_gpu_bytes(pid),
    )


def sum_memory(parts: Iterable[EngineMemory]) -> EngineMemory:
    """Return the memory of several processes together; what one of them does not say is not known of all."""
    found = tuple(parts)
    return EngineMemory(
        resident=sum(part.resident for part in found),
        peak=_sum(part.peak for part in found),
        own=_sum(part.own for part in found),
        gpu=_sum(part.gpu for part in found),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = tuple(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _status(pid: int) -> dict[str, int]:
    """Return the sizes in ``/proc/PID/status``, in bytes; nothing where the system has no such file."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if value.endswith(" kB"):
                found[key] = int(value.split()[0]) * 1024
    return found


def _gpu_bytes(pid: int) -> int | None:
    """Return the bytes of a process on NVIDIA cards; ``None`` where no driver says it."""
    if sys.platform == "darwin":
        return None
    from gguf2ollama.memory.hardware import has_nvidia_driver  # noqa: PLC0415 - not needed for help

    if not has_nvidia_driver():
        return None
    with contextlib.suppress(ImportError):
        import pynvml  # noqa: PLC0415 - where there is a card

        with contextlib.suppress(pynvml.NVMLError, OSError):
            pynvml.nvmlInit()
            try:
                return _sum_cards(pynvml, pid)
            finally:
                pynvml.nvmlShutdown()
    return None


def _sum_cards(nvml: Any, pid: int) -> int | None:  # noqa: ANN401 - a module without types
    """Sum up what a process has on each card; a driver under Windows says ``None`` (WDDM)."""
    sizes = [
        process.usedGpuMemory
        for number in range(int(nvml.nvmlDeviceGetCount()))
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(number))
        if process.pid == pid
    ]
    return None if None in sizes else sum(int(size) for size in sizes)
