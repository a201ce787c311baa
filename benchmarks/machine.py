"""What a machine is, for the head of a table of figures (Linux)."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["describe_machine"]


def describe_machine(folder: Path) -> str:
    """Tell processor, memory, kernel and the file system of a folder in one line."""
    processor = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    kilobytes = int(_field(Path("/proc/meminfo"), "MemTotal").split()[0])
    return (
        f"{processor}, {os.cpu_count()} cores, {kilobytes / (1 << 20):.0f} GiB of memory,"
        f" Linux {platform.release()}, {_file_system(folder)}"
    )


def _field(path: Path, name: str) -> str:
    """Return the first value of a ``name : value`` file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder (``/proc/self/mountinfo``, proc(5))."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return "a file system that is not known"
