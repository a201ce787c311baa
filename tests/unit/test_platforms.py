"""What differs by system: every branch by platform is listed here with a test that switches it on.

Tests run on one system, so the branches of others are entered by standing in for what they ask: the name of
the system, or whether it has a call.
"""

import ast
import ctypes
import errno
import io
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gguf2ollama import __main__ as program
from gguf2ollama.chat.reference import confinement, process, worker
from gguf2ollama.chat.reference.limits import Limits
from gguf2ollama.chat.reference.process import WorkerProcess
from gguf2ollama.engines import install_lines, process_memory
from gguf2ollama.engines import process as engine_process
from gguf2ollama.fs import atomic, locks, resumable, sharing, space
from gguf2ollama.memory import hardware
from gguf2ollama.net import dialing
from gguf2ollama.ollama import store
from gguf2ollama.ollama.manifest_server import PrivateRegistry
from gguf2ollama.sources.downloads import part_file

PACKAGE = Path(__file__).resolve().parents[2] / "gguf2ollama"
TESTS = PACKAGE.parent / "tests"

# modules that only one system has, and those of which hasattr and getattr ask what a system has
ONE_SYSTEM = {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "tty", "winreg", "_winapi"}
ASKED = {"ctypes", "errno", "os", "signal", "socket", "subprocess", "time"}
NAMES = {
    "sys.platform",
    "os.name",
    "os.uname",
    "platform.machine",
    "platform.system",
    "sys.getwindowsversion",
}

# a test is of this file, where none is named
BRANCHES = {
    "__main__.py _clean_up_when_terminated": "test_signals_of_each_system_end_the_program",
    "chat/reference/confinement.py _load_filters": "test_an_unknown_processor_filters_no_calls",
    "chat/reference/confinement.py confine": "test_other_systems_confine_nothing",
    "chat/reference/process.py WorkerProcess.__init__": (
        "unit/chat/reference/test_limits.py test_where_the_system_limits_no_memory_we_look_ourselves"
    ),
    "chat/reference/process.py WorkerProcess._launch": "test_no_console_window_opens_for_a_worker",
    "chat/reference/process.py WorkerProcess._tell_end": "test_a_worker_ends_without_the_signal_of_a_timer",
    "chat/reference/process.py WorkerProcess._wall_seconds": "test_without_timers_a_worker_has_less_time",
    "chat/reference/process.py _ask_windows": "test_windows_is_asked_for_the_memory_of_a_process",
    "chat/reference/process.py _resident_bytes": "test_windows_is_asked_for_the_memory_of_a_process",
    "chat/reference/worker.py _limit_memory": "test_windows_limits_neither_time_nor_memory",
    "chat/reference/worker.py _set_timer": "test_windows_limits_neither_time_nor_memory",
    "engines/install_lines.py find_accelerator": "test_a_mac_compiles_for_metal_unless_it_is_an_intel",
    "engines/process.py EngineProcess.__init__": "test_an_engine_gets_a_group_of_its_own_on_windows",
    "engines/process.py EngineProcess._ended": "test_an_engine_that_fails_on_windows_was_not_killed",
    "engines/process_memory.py _gpu_bytes": "test_a_mac_asks_no_driver_of_nvidia",
    "fs/atomic.py sync_folder": "test_folders_are_synchronised_where_they_can_be",
    "fs/locks.py lock_file": "test_a_file_is_locked_by_a_byte_on_windows",
    "fs/locks.py _lock_byte": "test_a_file_is_locked_by_a_byte_on_windows",
    "fs/resumable.py _open_locked": "test_without_flock_a_file_is_written_anew",
    "fs/sharing.py can_share": "test_only_linux_is_asked_to_share_bytes",
    "fs/sharing.py copy_range": (
        "unit/ggufio/test_merge.py test_writes_the_same_where_the_system_has_no_copy_file_range"
    ),
    "fs/space.py free_bytes": "test_free_space_is_known_without_statvfs",
    "fs/space.py reserve": "test_only_linux_reserves_space",
    "memory/hardware.py _metal": (
        "unit/memory/test_hardware.py test_a_mac_with_an_intel_processor_has_no_gpu_for_models"
    ),
    "memory/hardware.py find_hardware": (
        "unit/memory/test_hardware.py test_metal_may_have_a_share_of_a_macs_memory"
    ),
    "memory/hardware.py has_nvidia_driver": "test_the_driver_is_looked_for_where_windows_has_it",
    "net/dialing.py _keep_alive": "test_connections_are_kept_alive_by_what_there_is",
    "ollama/manifest_server.py _Server.server_bind": "test_the_port_of_our_registry_is_ours_alone",
    "ollama/store.py LocalStore._own": "test_without_owners_a_store_is_written_all_the_same",
    "ollama/store.py _clonefile": (
        "unit/ollama/test_store.py test_the_call_of_macos_reports_errors_as_others_do"
    ),
    "ollama/store.py _ioctl": "test_only_linux_is_asked_for_clones_by_ioctl",
    "ollama/store.py _owner": "test_without_owners_a_store_is_written_all_the_same",
    "sources/downloads/part_file.py PartFile.finish": "test_a_download_is_closed_before_its_rename",
    "sources/downloads/part_file.py _open_locked": "test_a_download_needs_no_locks_and_no_pwrite",
    "sources/downloads/part_file.py _write_at": "test_a_download_needs_no_locks_and_no_pwrite",
}
NO_BRANCH = {
    "planning/stored/plan_cache.py _code_version",  # the name is part of a key
}


class Finder(ast.NodeVisitor):
    """Finds the functions that ask which system this is, or what it has."""

    def __init__(self, module):
        self.module, self.scope, self.found = module, [], set()

    def _enter(self, node):
        self.scope.append(node.name)
        self.generic_visit(node)
        self.scope.pop()

    visit_FunctionDef = visit_ClassDef = _enter  # noqa: N815 - as ast calls them

    def note(self):
        self.found.add(f"{self.module} {'.'.join(self.scope)}")

    def visit_Attribute(self, node):
        if ast.unparse(node) in NAMES:
            self.note()
        self.generic_visit(node)

    def visit_Call(self, node):
        name = ast.unparse(node.func)
        first = ast.unparse(node.args[0]) if node.args else ""
        if (name in {"hasattr", "getattr"} and first in ASKED) or (
            name == "importlib.import_module" and first.strip("'") in ONE_SYSTEM
        ):
            self.note()
        self.generic_visit(node)

    def visit_Import(self, node):
        if ONE_SYSTEM.intersection(alias.name for alias in node.names):
            self.note()

    def visit_ImportFrom(self, node):
        if node.module in ONE_SYSTEM | {"sys", "platform"}:
            self.note()


def branches():
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        finder = Finder(path.relative_to(PACKAGE).as_posix())
        finder.visit(ast.parse(path.read_text(encoding="utf-8")))
        found |= finder.found
    return found


def test_every_branch_by_platform_is_listed_with_its_test():
    assert branches() - NO_BRANCH == set(BRANCHES)
    assert branches() >= NO_BRANCH


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_test_of_a_branch_is_there(branch):
    *file, name = BRANCHES[branch].split()
    text = (TESTS / file[0] if file else Path(__file__)).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)


def test_a_branch_that_is_not_listed_is_found():
    finder = Finder("x.py")
    finder.visit(
        ast.parse("def f():\n  if sys.platform == 'win32': pass\nclass C:\n  def g(self): import pwd")
    )
    assert finder.found == {"x.py f", "x.py C.g"}


def instead_of(module, **others):
    """Return what stands in for a module: some of its names are others; ``None`` for those that it lacks."""

    class Other:
        def __getattr__(self, name):
            value = others[name] if name in others else getattr(module, name)
            if value is None:
                raise AttributeError(name)
            return value

    return Other()


@pytest.mark.parametrize("lacking, extra", [("SIGHUP", "SIGBREAK"), ("SIGBREAK", "SIGHUP")])
def test_signals_of_each_system_end_the_program(monkeypatch, lacking, extra):
    ended = {}
    system = SimpleNamespace(
        SIGTERM=15, SIGINT=2, SIG_DFL=0, getsignal=lambda _number: 0, signal=ended.__setitem__, **{extra: 21}
    )
    monkeypatch.setattr(program, "signal", system)
    program._clean_up_when_terminated()
    assert set(ended) == {15, 21}
    with pytest.raises(BaseException, match="149"):  # 128 and the signal's number
        ended[21](21, None)
    assert not hasattr(system, lacking)


def test_an_unknown_processor_filters_no_calls(monkeypatch):
    monkeypatch.setattr(confinement.os, "uname", lambda: SimpleNamespace(machine="vax"), raising=False)
    assert confinement._load_filters()() is None


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_confine_nothing(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(confinement, "_import_rest", lambda: pytest.fail("it goes on"))
    confinement.confine()


@pytest.fixture
def started(monkeypatch):
    """What processes were started with, in place of starting them."""
    seen = {}

    def start(command, **options):
        seen.update(options, command=command)
        return SimpleNamespace(stdin=io.BytesIO(), stdout=io.BytesIO(), pid=1, kill=lambda: None)

    for module in (process, engine_process):
        others = {"Popen": start, "CREATE_NO_WINDOW": 8, "CREATE_NEW_PROCESS_GROUP": 512}
        monkeypatch.setattr(module, "subprocess", instead_of(subprocess, **others))
    return seen


def test_no_console_window_opens_for_a_worker(started):
    WorkerProcess(Limits())._launch()
    assert started["creationflags"] == 8
    assert started["env"].keys() <= {"DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TZ"}


def test_an_engine_gets_a_group_of_its_own_on_windows(monkeypatch, started):
    monkeypatch.setattr(sys, "platform", "win32")
    engine_process.EngineProcess("llama.cpp", subject="x")._log.close()
    assert (started["start_new_session"], started["creationflags"]) == (False, 512)


def test_an_engine_that_fails_on_windows_was_not_killed(monkeypatch, started):
    monkeypatch.delattr(signal, "SIGKILL", raising=False)
    engine = engine_process.EngineProcess("llama.cpp", subject="x")
    engine._process = SimpleNamespace(wait=lambda *_: 0)
    assert "memory is short" not in engine._ended(doing="loading").hint
    engine._log.close()


def test_a_worker_ends_without_the_signal_of_a_timer(monkeypatch):
    monkeypatch.delattr(signal, "SIGPROF", raising=False)
    renderer = WorkerProcess(Limits())
    monkeypatch.setattr(renderer, "_end", lambda **_: 3)
    assert renderer._tell_end().endswith("code 3")


def test_without_timers_a_worker_has_less_time(monkeypatch):
    limits = Limits()
    assert WorkerProcess(limits)._wall_seconds() == limits.wall_seconds
    monkeypatch.delattr(signal, "setitimer", raising=False)
    assert WorkerProcess(limits)._wall_seconds() == 2 * limits.seconds


def test_windows_is_asked_for_the_memory_of_a_process(monkeypatch):
    class Kernel:
        class OpenProcess:
            def __new__(cls, _rights, _inherits, pid):
                return 1000 + pid

        @staticmethod
        def K32GetProcessMemoryInfo(handle, counters, size):  # noqa: N802 - as Windows calls it
            assert handle.value == 1007
            # cb, PageFaultCount, PeakWorkingSetSize, WorkingSetSize, as PROCESS_MEMORY_COUNTERS has them
            fields = (ctypes.c_size_t * 2)(9 << 20, 7 << 20)
            ctypes.memmove(ctypes.addressof(counters._obj) + 8, fields, ctypes.sizeof(fields))
            assert size == 8 + 8 * ctypes.sizeof(ctypes.c_size_t)

        @staticmethod
        def CloseHandle(handle):  # noqa: N802 - as above
            assert handle.value == 1007

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda _name: Kernel, raising=False)
    assert process._resident_bytes(7) == 7 << 20


def test_windows_limits_neither_time_nor_memory(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(signal, "setitimer", raising=False)
    worker._set_timer(1.0)
    assert worker._limit_memory({"limits_memory": True, "memory_bytes": 1}) is False


@pytest.mark.parametrize("machine, expected", [("arm64", "metal"), ("x86_64", "cpu")])
def test_a_mac_compiles_for_metal_unless_it_is_an_intel(monkeypatch, machine, expected):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert install_lines.find_accelerator() == expected


def test_a_mac_asks_no_driver_of_nvidia(monkeypatch):
    monkeypatch.setattr(hardware, "has_nvidia_driver", lambda: pytest.fail("it is asked"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert process_memory._gpu_bytes(1) is None


@pytest.mark.parametrize("is_there", [True, False])
def test_the_driver_is_looked_for_where_windows_has_it(monkeypatch, tmp_path, is_there):
    library = tmp_path / "nvml.dll"
    if is_there:
        library.touch()
    monkeypatch.setattr(hardware, "_NVML", library)
    monkeypatch.setattr(hardware, "_NVIDIA", (tmp_path / "nvidia",))
    monkeypatch.setattr(sys, "platform", "win32")
    assert hardware.has_nvidia_driver() is is_there


def test_folders_are_synchronised_where_they_can_be(monkeypatch, tmp_path):
    opened = []
    others = {"open": lambda *_: opened.append(1), "fsync": lambda _: None, "close": lambda _: None}
    for name, times in (("nt", 0), ("posix", 1)):
        monkeypatch.setattr(atomic, "os", instead_of(os, name=name, **others))
        atomic.sync_folder(tmp_path)
        assert len(opened) == times


class Msvcrt(SimpleNamespace):
    """``msvcrt.locking`` of Windows: a byte at the position of a descriptor, held by one at a time."""

    LK_LOCK, LK_NBLCK = 1, 2

    def locking(self, descriptor, mode, count):
        assert (mode in {self.LK_LOCK, self.LK_NBLCK}, count) == (True, 1)
        self.positions.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        if self.answers:
            answer = self.answers.pop(0)
            if answer:
                raise OSError(answer, "no")


def test_a_file_is_locked_by_a_byte_on_windows(monkeypatch, tmp_path):
    system = Msvcrt(positions=[], answers=[])
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", system)
    path = tmp_path / "lock"
    path.write_bytes(b"machine")
    with path.open("r+b") as file:
        locks.lock_file(file, wait=False)
        assert file.read() == b"machine"
        assert min(system.positions) >= len(b"machine")
        system.answers = [errno.EACCES]
        with pytest.raises(PermissionError):
            locks.lock_file(file, wait=False)
        # who waits does so longer than the ten seconds of LK_LOCK
        system.answers = [errno.EDEADLK, errno.EDEADLK, 0]
        locks.lock_file(file, wait=True)
        assert system.answers == []
        system.answers = [errno.EINVAL]
        with pytest.raises(OSError, match="no"):
            locks.lock_file(file, wait=True)


def test_without_flock_a_file_is_written_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert resumable._open_locked(tmp_path / "part") is None
    with resumable.resumable_file(tmp_path / "x", identity=b"x", size=3) as (stream, done):
        assert done == 0
        stream.write(b"abc")
    assert (tmp_path / "x").read_bytes() == b"abc"


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_only_linux_is_asked_to_share_bytes(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert sharing.can_share(0, 1) is False


def test_free_space_is_known_without_statvfs(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "os", instead_of(os, statvfs=None))
    assert space.free_bytes(tmp_path) > 0


def test_only_linux_reserves_space(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_a, **_k: pytest.fail("it is asked"))
    with (tmp_path / "x").open("wb") as stream:
        space.reserve(stream, 1 << 40)
    assert (tmp_path / "x").stat().st_size == 0


@pytest.mark.parametrize("name", ["TCP_KEEPIDLE", "TCP_KEEPALIVE"])
def test_connections_are_kept_alive_by_what_there_is(monkeypatch, name):
    system = SimpleNamespace(SOL_SOCKET=1, SO_KEEPALIVE=9, IPPROTO_TCP=6, **{name: 4})
    monkeypatch.setattr(dialing, "socket", system)
    assert dialing._keep_alive() == [(1, 9, 1), (6, 4, 30)]


def test_only_linux_is_asked_for_clones_by_ioctl(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert store._ioctl() is None
    assert store._clonefile() is None


def test_without_owners_a_store_is_written_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "os", instead_of(os, geteuid=None, chown=None))
    local = store.LocalStore(tmp_path)
    digest = local.add_bytes(b"config")
    assert (tmp_path / "blobs" / digest.blob_name).read_bytes() == b"config"
    assert store._owner(tmp_path) is None


def test_the_port_of_our_registry_is_ours_alone(monkeypatch):
    set_options = []

    class Socket(socket.socket):
        def setsockopt(self, *arguments):
            set_options.append(arguments)

    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR, raising=False)
    monkeypatch.setattr(socket, "socket", Socket)
    with PrivateRegistry(label="x"):
        pass
    assert (socket.SOL_SOCKET, ~socket.SO_REUSEADDR, 1) in set_options


def open_part(folder):
    return part_file.PartFile(
        folder / "x.part",
        named=folder / "x",
        size=10,
        segment=10,
        identity=part_file.identity_of(digest="ab", mark=""),
        wait=lambda: None,
    )


def test_a_download_is_closed_before_its_rename(monkeypatch, tmp_path):
    part = open_part(tmp_path)
    part.write(0, b"0123456789")
    monkeypatch.setattr(part_file, "os", instead_of(os, name="nt"))
    replace = Path.replace
    closed = []
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (closed.append(part._stream.closed), replace(path, to))
    )
    part.finish(tmp_path / "x")
    assert closed == [True]
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_download_needs_no_locks_and_no_pwrite(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(part_file, "os", instead_of(os, pwrite=None))
    part = open_part(tmp_path)
    part.write(0, b"01234")
    part.write(5, b"56789")
    part.finish(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"0123456789"
