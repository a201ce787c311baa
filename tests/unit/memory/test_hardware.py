"""What a machine has for models: RAM, limits of containers, graphics cards."""

import platform
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from gguf2ollama.memory import hardware
from gguf2ollama.memory.hardware import Gpu, Hardware, find_hardware

GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A Linux machine of 16 GiB without cards or limits, whose files a test changes."""
    for name in ("_CGROUPS", "_CARDS"):
        monkeypatch.setattr(hardware, name, tmp_path / name)
    monkeypatch.setattr(hardware, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(hardware, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(hardware, "_NVIDIA", (tmp_path / "nvidia",))
    monkeypatch.setattr(sys, "platform", "linux")
    write(tmp_path / "meminfo", f"MemTotal: {16 << 20} kB\nMemFree: 1 kB\nMemAvailable: {9 << 20} kB\n")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def nvml(monkeypatch, machine):
    """The library of NVIDIA's driver with two cards; its calls are recorded."""
    module, calls = ModuleType("pynvml"), []
    module.NVMLError = type("NVMLError", (Exception,), {})
    module.NVMLError_NotSupported = type("NVMLError_NotSupported", (module.NVMLError,), {})
    memory = {0: (24 * GIB, 20 * GIB), 1: (8 * GIB, GIB)}
    module.nvmlInit = lambda: calls.append("init")
    module.nvmlShutdown = lambda: calls.append("shutdown")
    module.nvmlDeviceGetCount = lambda: 2
    module.nvmlDeviceGetHandleByIndex = lambda number: number
    module.nvmlDeviceGetName = lambda number: b"RTX 3090" if number == 0 else "GTX 1070"
    module.nvmlDeviceGetMemoryInfo = lambda number: SimpleNamespace(
        total=memory[number][0], free=memory[number][1]
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
    write(machine / "nvidia", "")
    module.calls = calls
    return module


def test_ram_is_what_the_machine_has_and_free_memory_is_beside_it(machine):
    assert find_hardware() == Hardware(ram_bytes=16 * GIB, free_ram_bytes=9 * GIB)


@pytest.mark.parametrize("content", ["", "MemTotal: many kB\n", "MemTotal:\n"])
def test_without_linux_files_psutil_is_asked(machine, content):
    write(machine / "meminfo", content)
    assert find_hardware().ram_bytes == psutil.virtual_memory().total


def test_memory_that_cannot_be_found_out_is_unknown(machine, monkeypatch):
    def refuse():
        raise psutil.AccessDenied

    (machine / "meminfo").unlink()
    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert find_hardware() is None


@pytest.mark.parametrize(
    "ram,for_models",
    [(1, 0.5), (3, 1.5), (4, 2), (8, 6), (16, 12.8), (64, 51.2), (128, 112), (1024, 1008)],
)
def test_a_fifth_of_ram_within_bounds_stays_with_the_system(ram, for_models):
    assert Hardware(ram_bytes=ram * GIB).room.ram == pytest.approx(for_models * GIB, abs=1)


def test_memory_for_models_does_not_depend_on_what_is_free():
    busy = Hardware(ram_bytes=GIB, gpus=(Gpu(name="a", total_bytes=8 * GIB, free_bytes=0),), free_ram_bytes=0)
    idle = Hardware(ram_bytes=GIB, gpus=(Gpu(name="a", total_bytes=8 * GIB),))
    assert busy.room == idle.room


def test_each_gpu_keeps_the_margin_of_llama_server_and_a_process_of_its_own():
    gpus = tuple(Gpu(name="a", total_bytes=count * GIB) for count in (24, 8, 1))
    machine = Hardware(ram_bytes=16 * GIB, gpus=gpus)
    kept = (1024 + 457) << 20
    assert machine.room.gpus == (24 * GIB - kept, 8 * GIB - kept)
    assert machine.room.total == machine.room.ram + 32 * GIB - 2 * kept


def test_unified_memory_counts_once():
    mac = Hardware(ram_bytes=16 * GIB, gpus=(Gpu(name="Metal", total_bytes=11 * GIB),), unified=True)
    assert mac.room.gpus == (11 * GIB - (1536 << 20),)
    assert mac.room.total == mac.room.ram


@pytest.mark.parametrize(
    "groups,files",
    [
        ("0::/\n", {"memory.max": "4294967296\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "4294967296\n"}),
        ("0::/host/only\n", {"memory.max": "4294967296\n"}),
        ("9:cpu:/\n4:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": "4294967296\n"}),
        ("4:memory:/docker/abc\n", {"memory/memory.limit_in_bytes": "4294967296\n"}),
    ],
    ids=["v2", "v2 parent", "v2 without namespace", "v1", "v1 without namespace"],
)
def test_the_limit_of_a_container_counts_as_its_ram(machine, groups, files):
    write(machine / "cgroup", groups)
    for name, text in files.items():
        write(machine / "_CGROUPS" / name, text)
    assert find_hardware() == Hardware(ram_bytes=4 * GIB, free_ram_bytes=4 * GIB)


@pytest.mark.parametrize(
    "groups,text",
    [
        ("0::/\n", "max\n"),
        ("0::/\n", "-1\n"),
        ("0::/\n", ""),
        ("4:memory:/\n", "9223372036854771712\n"),
        ("0::/\n", f"{64 * GIB}\n"),
        ("nonsense\n\n", "1\n"),
        ("0::/../../..\n", "max\n"),
    ],
)
def test_no_limit_and_nonsense_leave_the_ram_as_it_is(machine, groups, text):
    write(machine / "cgroup", groups)
    write(machine / "_CGROUPS" / "memory.max", text)
    write(machine / "_CGROUPS" / "memory" / "memory.limit_in_bytes", text)
    assert find_hardware().ram_bytes == 16 * GIB


def test_nvidia_cards_are_read_from_their_driver_and_it_is_let_go(nvml):
    assert find_hardware().gpus == (
        Gpu(name="RTX 3090", total_bytes=24 * GIB, free_bytes=20 * GIB),
        Gpu(name="GTX 1070", total_bytes=8 * GIB, free_bytes=GIB),
    )
    assert nvml.calls == ["init", "shutdown"]


def test_without_a_driver_its_library_is_not_even_imported(machine, nvml, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (machine / "nvidia").unlink()
    assert find_hardware().gpus == ()
    assert nvml.calls == []


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_fails_is_no_card(nvml, monkeypatch, failing):
    def fail(*_):
        raise nvml.NVMLError

    monkeypatch.setattr(nvml, failing, fail)
    assert find_hardware() == Hardware(ram_bytes=16 * GIB, free_ram_bytes=9 * GIB)


def test_a_gpu_that_uses_the_ram_shares_it(nvml, monkeypatch):
    def refuse(_):
        raise nvml.NVMLError_NotSupported

    monkeypatch.setattr(nvml, "nvmlDeviceGetMemoryInfo", refuse)
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 1)
    found = find_hardware()
    assert (found.gpus, found.unified) == ((Gpu(name="RTX 3090", total_bytes=16 * GIB),), True)
    assert found.room.total == found.room.ram


def test_a_driver_without_its_library_is_no_card(nvml, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_hardware().gpus == ()


def amd_card(machine, number, **files):
    for name, text in files.items():
        write(machine / "_CARDS" / f"card{number}" / "device" / name, f"{text}\n")


def test_amd_cards_are_read_from_their_driver(machine):
    amd_card(machine, 0, mem_info_vram_total=16 * GIB, mem_info_vram_used=GIB, mem_info_vram_vendor="samsung")
    amd_card(machine, 1, mem_info_vram_total="broken", mem_info_vram_vendor="samsung")
    amd_card(machine, 2, mem_info_vram_total=8 * GIB, mem_info_vram_vendor="hynix")
    assert find_hardware().gpus == (
        Gpu(name="AMD", total_bytes=16 * GIB, free_bytes=15 * GIB),
        Gpu(name="AMD", total_bytes=8 * GIB),
    )


def test_of_the_amd_gpus_within_processors_those_count_that_ollama_uses(machine):
    amd_card(machine, 0, mem_info_vram_total=4 * GIB, device="0x1638")
    amd_card(machine, 1, mem_info_vram_total=4 * GIB, device="0x1638", mem_info_vram_vendor="unknown")
    amd_card(machine, 2, mem_info_vram_total=96 * GIB, device="0x1586")
    assert find_hardware().gpus == (Gpu(name="AMD", total_bytes=96 * GIB),)


@pytest.mark.parametrize(
    "wired,ram,share", [(0, 18, 12), (0, 36, 24), (0, 64, 48), (14336, 16, 14), (None, 48, 36)]
)
def test_metal_may_have_a_share_of_a_macs_memory(machine, monkeypatch, wired, ram, share):
    def sysctl(*_, **__):
        if wired is None:
            raise FileNotFoundError
        return SimpleNamespace(stdout=f"{wired}\n".encode())

    write(machine / "meminfo", f"MemTotal: {ram << 20} kB\n")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(subprocess, "run", sysctl)
    assert find_hardware() == Hardware(
        ram_bytes=ram * GIB, gpus=(Gpu(name="Metal", total_bytes=share * GIB),), unified=True
    )


def test_a_mac_with_an_intel_processor_has_no_gpu_for_models(machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert find_hardware() == Hardware(ram_bytes=16 * GIB, free_ram_bytes=9 * GIB)
