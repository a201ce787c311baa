"""The hardware of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Any

__all__ = ["free_memory_bytes"]

_MEMINFO = Path("/proc/meminfo")


def free_memory_bytes() -> int | None:
    """Return the bytes of memory available to a new process without swapping; ``None`` if unknown."""
    if windows := getattr(ctypes, "windll", None):
        return _free_on_windows(windows)
    with contextlib.suppress(OSError, ValueError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # macOS reports installed memory only; half of it is a cautious estimate of what is free
    if sysconf := getattr(os, "sysconf", None):
        with contextlib.suppress(OSError, ValueError):
            return int(sysconf("SC_PAGE_SIZE")) * int(sysconf("SC_PHYS_PAGES")) // 2
    return None


class _MemoryStatus(ctypes.Structure):
    """``MEMORYSTATUSEX`` of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_ulong),
        ("load_percent", ctypes.c_ulong),
        ("total_physical", ctypes.c_ulonglong),
        ("free_physical", ctypes.c_ulonglong),
        ("total_page_file", ctypes.c_ulonglong),
        ("free_page_file", ctypes.c_ulonglong),
        ("total_virtual", ctypes.c_ulonglong),
        ("free_virtual", ctypes.c_ulonglong),
        ("free_extended_virtual", ctypes.c_ulonglong),
    ]


def _free_on_windows(windows: Any) -> int | None:  # noqa: ANN401 - a loader that only Windows has
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.free_physical)
