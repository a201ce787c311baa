"""The memory of a process, with recorded answers of nvidia-ml-py where there is no card."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from gguf2ollama.engines import process_memory as module
from gguf2ollama.engines.engine import EngineMemory
from gguf2ollama.engines.process_memory import process_memory, sum_memory
from gguf2ollama.errors import NotFound

MIB = 1 << 20


@pytest.fixture
def nvml(monkeypatch):
    """The library of NVIDIA's driver with two cards, and processes on them."""
    library = ModuleType("pynvml")
    library.NVMLError = type("NVMLError", (Exception,), {})
    library.running = {0: [(os.getpid(), 1948 * MIB), (1, 5 * MIB)], 1: [(os.getpid(), 100 * MIB)]}
    library.nvmlInit = library.nvmlShutdown = lambda: None
    library.nvmlDeviceGetCount = lambda: 2
    library.nvmlDeviceGetHandleByIndex = lambda number: number
    library.nvmlDeviceGetComputeRunningProcesses = lambda card: [
        SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in library.running[card]
    ]
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr("gguf2ollama.memory.hardware.has_nvidia_driver", lambda: True)
    return library


def test_this_process_has_memory():
    found = process_memory(os.getpid())
    assert found.resident > 10 * MIB
    if sys.platform == "linux":
        assert found.peak >= found.resident
        assert 0 < found.own <= found.resident


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has no NVIDIA cards")
def test_what_it_has_on_all_cards_is_counted_and_that_of_others_is_not(nvml):
    assert process_memory(os.getpid()).gpu == 2048 * MIB
    nvml.running = {0: [(1, 5 * MIB)], 1: []}
    assert process_memory(os.getpid()).gpu == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has no NVIDIA cards")
def test_what_no_driver_says_is_not_known(nvml, monkeypatch):
    nvml.running[0] = [(os.getpid(), None)]  # under Windows (WDDM)
    assert process_memory(os.getpid()).gpu is None

    def refuse(_):
        raise nvml.NVMLError

    monkeypatch.setattr(nvml, "nvmlDeviceGetComputeRunningProcesses", refuse)
    assert process_memory(os.getpid()).gpu is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert process_memory(os.getpid()).gpu is None


def test_a_system_without_proc_is_asked_by_psutil(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_PROC", tmp_path)
    found = process_memory(os.getpid())
    assert found.resident > 10 * MIB
    assert found.own is None


def test_a_process_that_has_ended_is_an_error():
    with pytest.raises(NotFound, match="has ended"):
        process_memory(1 << 30)


def test_what_one_process_does_not_say_is_not_known_of_all():
    whole = EngineMemory(resident=3, peak=5, own=2, gpu=1)
    assert sum_memory([whole, whole]) == EngineMemory(resident=6, peak=10, own=4, gpu=2)
    assert sum_memory([whole, EngineMemory(resident=1)]) == EngineMemory(resident=4)
