"""The memory that a machine has: RAM, graphics cards, and what of them a model can have.

What counts is what the machine has less what its system keeps, not what happens to be free: a model that is
planned twice gets the same context both times, and Ollama unloads other models to make room for one. What is
used now is known as well, for a remark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass

__all__ = ["Gpu", "Hardware", "MemoryRoom", "find_hardware", "has_nvidia_driver"]

_GIB = 1 << 30
_RAM_SHARE = 5  # of RAM, a fifth stays with the system and other programs …
_RAM_LEAST, _RAM_MOST = 2 * _GIB, 16 * _GIB  # … within these bounds: a desktop with a browser takes that much
_FIT_MARGIN = 1024 << 20  # what llama-server leaves free on each GPU (--fit-target, default 1024 MiB)
_GPU_CONTEXT = 457 << 20  # what a process takes on a GPU beside its buffers (ml/device.go of Ollama 0.34.4)
_METAL_CONTEXT = 512 << 20  # the same with Metal
_METAL_TURN = 36 * _GIB  # below, Metal lets a process have 2/3 of RAM, from there 3/4

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_NVIDIA = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))  # the last: WSL
_NVML = Path("C:/Windows/System32/nvml.dll")
_CARDS = Path("/sys/class/drm")
_SHARED = -1  # the memory of a GPU that has none of its own
_STRIX_HALO = "0x1586"  # the PCI device of gfx1151 (Radeon 8050S and 8060S)
_LONGEST = 20  # digits of a 64-bit number
_UNLIMITED = 1 << 60  # cgroups of version 1 say "no limit" by a number above this


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A graphics card, or the share of a Mac's memory that Metal may have.

    Attributes:
        name: Its name, as its driver says it.
        total_bytes: Its memory.
        free_bytes: What of it was free when it was looked at; ``None`` if not known.
    """

    name: str
    total_bytes: int
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRoom:
    """The memory that a model can have, in bytes.

    Attributes:
        ram: Of RAM.
        gpus: Of each GPU.
        unified: Whether that of the GPUs is a part of that of RAM.
        is_minimum: Whether the machine may have more: this is what models take there now.
    """

    ram: int
    gpus: tuple[int, ...] = ()
    unified: bool = False
    is_minimum: bool = False

    @property
    def vram(self) -> int:
        """Of all GPUs."""
        return sum(self.gpus)

    @property
    def total(self) -> int:
        """Of GPUs and RAM together."""
        return self.ram if self.unified else self.ram + self.vram


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The memory of a machine.

    Attributes:
        ram_bytes: Its RAM, or the limit of the container or service if that is lower.
        gpus: Its graphics cards that Ollama uses.
        unified: Whether the GPU's memory is a part of the RAM.
        free_ram_bytes: What of the RAM a new program could have had; ``None`` if not known.
    """

    ram_bytes: int
    gpus: tuple[Gpu, ...] = ()
    unified: bool = False
    free_ram_bytes: int | None = None

    def without(self, *, ram: int, vram: int) -> Hardware:
        """Return it as if so many bytes were not in use; which of several GPUs has them does not matter."""
        free = self.free_ram_bytes
        gpus = list(self.gpus)
        if gpus and (first := gpus[0]).free_bytes is not None:
            gpus[0] = dataclasses.replace(first, free_bytes=first.free_bytes + vram)
        return dataclasses.replace(
            self, gpus=tuple(gpus), free_ram_bytes=None if free is None else free + ram
        )

    @property
    def room(self) -> MemoryRoom:
        """What of it a model can have.

        Of RAM, all but a fifth, which is at least 2 GiB and at most 16 GiB (of less than 4 GiB, half). Of
        each GPU, all but the margin that llama-server leaves and what a process takes there itself.
        """
        kept = min(max(self.ram_bytes // _RAM_SHARE, _RAM_LEAST), _RAM_MOST)
        ram = self.ram_bytes - min(kept, self.ram_bytes // 2)
        kept = _FIT_MARGIN + (_METAL_CONTEXT if self.unified else _GPU_CONTEXT)
        gpus = (max(gpu.total_bytes - kept, 0) for gpu in self.gpus)
        return MemoryRoom(
            ram=ram,
            gpus=tuple(min(count, ram) if self.unified else count for count in gpus if count),
            unified=self.unified,
        )


def find_hardware() -> Hardware | None:
    """Return the memory of this machine; ``None`` if it cannot be found out."""
    ram = _linux_ram() or _psutil_ram()
    if ram is None:
        return None
    total, free = ram
    if (limit := _cgroup_limit()) is not None and limit < total:
        total, free = limit, None if free is None else min(free, limit)
    if sys.platform == "darwin":
        gpus = tuple(_metal(total))
        return Hardware(ram_bytes=total, gpus=gpus, unified=bool(gpus), free_ram_bytes=free)
    gpus = (*_nvidia(), *_amd())
    if gpus and all(gpu.total_bytes == _SHARED for gpu in gpus):
        shared = tuple(dataclasses.replace(gpu, total_bytes=total) for gpu in gpus)
        return Hardware(ram_bytes=total, gpus=shared, unified=True, free_ram_bytes=free)
    own = tuple(gpu for gpu in gpus if gpu.total_bytes != _SHARED)
    return Hardware(ram_bytes=total, gpus=own, free_ram_bytes=free)


def has_nvidia_driver() -> bool:
    """Return whether there is a driver of NVIDIA, and so a reason to import its library."""
    return any(path.exists() for path in ((_NVML,) if sys.platform == "win32" else _NVIDIA))


def _linux_ram() -> tuple[int, int | None] | None:
    """Return total and available bytes from what psutil reads, too: importing that takes 24 ms of CPU."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(":")
            if key in {"MemTotal", "MemAvailable"}:
                found[key] = int(value.split()[0]) * 1024
    return (found["MemTotal"], found.get("MemAvailable")) if "MemTotal" in found else None


def _psutil_ram() -> tuple[int, int | None] | None:
    import psutil  # noqa: PLC0415 - for other systems alone

    with contextlib.suppress(psutil.Error, OSError, RuntimeError):
        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available)
    return None


def _cgroup_limit() -> int | None:
    """Return the lowest limit of memory of the control groups that this process is in; ``None`` for none.

    That of a container or a service; see ``memory.max`` in Documentation/admin-guide/cgroup-v2.rst and
    ``memory.limit_in_bytes`` in cgroup-v1/memory.rst of Linux. Ollama reads the former for itself
    (discover/cpu_linux.go of 0.34.4).
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        limits = list(_cgroup_limits(_CGROUP.read_text(encoding="utf-8")))
        return min(limits, default=None)
    return None


def _cgroup_limits(groups: str) -> Iterator[int]:
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "-", "")
        if not controllers:
            root, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.strip("/")
        # a container without a namespace of its own sees paths of the host, and its own group as the root
        for folder in (group, *group.parents):
            if folder != root and root not in folder.parents:
                break
            limit = _read_number(folder / name)  # version 2 says "max" where there is none
            if limit is not None and 0 < limit < _UNLIMITED:
                yield limit


def _metal(ram_bytes: int) -> Iterator[Gpu]:
    """Return what Metal may have of a Mac's RAM, unless it has an Intel processor, where Ollama uses the CPU.

    ``recommendedMaxWorkingSetSize``, without the framework: 2/3 of up to 36 GiB and 3/4 of more as far as
    people have posted it (10,922.67 MiB of 16 GiB in abetlen/llama-cpp-python issue 687, 48 GiB of 64 GiB in
    ggml-org/llama.cpp issue 1870; macOS 26 lets it have more), or what ``iogpu.wired_limit_mb`` is set to.
    """
    import platform  # noqa: PLC0415 - on a Mac alone

    if platform.machine() != "arm64":
        return
    share = ram_bytes * 2 // 3 if ram_bytes <= _METAL_TURN else ram_bytes * 3 // 4
    yield Gpu(name="Metal", total_bytes=min(_wired_limit() or share, ram_bytes))


def _wired_limit() -> int | None:
    import subprocess  # noqa: PLC0415 - on a Mac alone

    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=5)
        return int(done.stdout) << 20 or None
    return None


def _nvidia() -> Iterator[Gpu]:
    """Return the NVIDIA cards, as NVML lists them; none where there is no driver."""
    if not has_nvidia_driver():
        return
    with contextlib.suppress(ImportError):
        import pynvml  # noqa: PLC0415 - where there is a card

        with contextlib.suppress(pynvml.NVMLError, OSError):
            pynvml.nvmlInit()
            try:
                yield from [
                    _nvidia_card(pynvml, number) for number in range(int(pynvml.nvmlDeviceGetCount()))
                ]
            finally:
                pynvml.nvmlShutdown()


def _nvidia_card(nvml: Any, number: int) -> Gpu:  # noqa: ANN401 - a module without types
    handle = nvml.nvmlDeviceGetHandleByIndex(number)
    name = nvml.nvmlDeviceGetName(handle)
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError_NotSupported:  # one that uses the RAM, such as a GB10
        return Gpu(name=name, total_bytes=_SHARED)
    return Gpu(name=name, total_bytes=int(memory.total), free_bytes=int(memory.free))


def _amd() -> Iterator[Gpu]:
    """Return the AMD cards, by the files of their driver (``mem_info_vram_*``, Documentation/gpu/amdgpu).

    Of GPUs within a processor, which have no memory chips of a vendor, Ollama uses one by default
    (``integratedGPUAllowedByDefault`` in discover/runner.go of 0.34.4).
    """
    for file in sorted(_CARDS.glob("card*/device/mem_info_vram_total")):
        total = _read_number(file)
        vendor = _read_text(file.with_name("mem_info_vram_vendor"))
        is_integrated = vendor in {"", "unknown"}
        if total and (not is_integrated or _read_text(file.with_name("device")) == _STRIX_HALO):
            used = _read_number(file.with_name("mem_info_vram_used"))
            free = None if used is None else max(total - used, 0)
            yield Gpu(name="AMD", total_bytes=total, free_bytes=free)


def _read_text(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _read_number(path: Path) -> int | None:
    text = _read_text(path)
    return int(text) if text.isdigit() and len(text) <= _LONGEST else None
