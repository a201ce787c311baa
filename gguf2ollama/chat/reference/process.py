"""The other end of the worker: starts it, asks it, and ends it where a template breaks a limit."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from gguf2ollama.chat.reference.limits import Limits
from gguf2ollama.errors import Gguf2OllamaError

__all__ = ["LimitBroken", "WorkerProcess"]

_BOOT = (
    "import sys; sys.path += sys.argv[2:];"
    " from gguf2ollama.chat.reference.worker import main; main(sys.argv[1])"
)
_NEEDED = ("gguf2ollama", "jinja2", "markupsafe")
_PASSED_ON = ("DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TZ")
_POLL_SECONDS = 0.2
_END_SECONDS = 5.0
_OTHER_BYTES_OF_A_LINE = 16 << 20
_BYTES_OF_A_CHARACTER = 6  # at most, as JSON in UTF-8: \u001f


class LimitBroken(Exception):
    """The worker broke a limit and is gone; says how, to go after the template's name."""


class WorkerProcess:
    """A process that renders chat templates: started when it is first asked, or before, and after its end."""

    def __init__(self, limits: Limits, *, limits_memory: bool = sys.platform != "darwin") -> None:
        """Take the limits.

        Args:
            limits: What a message may take.
            limits_memory: Whether the system is asked to limit memory; macOS agrees and does not do it.
                Where it doesn't, we look now and then, and the limit is a rough one.
        """
        self._limits = limits
        self._limits_memory = limits_memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._is_memory_limited = False
        self._is_ready = False

    def begin(self) -> None:
        """Start the process without waiting for it: it imports what it needs while this one goes on.

        A failure shows when it is asked.
        """
        if self._process is None:
            with contextlib.suppress(Gguf2OllamaError):
                self._launch()

    def ask(self, message: str) -> list[dict[str, Any]]:
        """Send a message of one line and give its answers.

        Raises:
            LimitBroken: The template took more than it may; the worker was ended.
            Gguf2OllamaError: No worker can be started.
        """
        deadline = time.monotonic() + self._wall_seconds()
        try:
            process = self._process or self._launch()
            if not self._is_ready:
                self._await_start(process)
            _send(process, message)
            return self._read(process, deadline=deadline)
        except BaseException:  # an interruption too: what it would still answer must not be read later
            self._end()
            raise

    def close(self) -> None:
        """End the worker, at once: it keeps nothing that it would have to bring to an end."""
        self._end()

    def _wall_seconds(self) -> float:
        limits = self._limits
        return limits.wall_seconds if hasattr(signal, "setitimer") else 2 * limits.seconds

    def _launch(self) -> subprocess.Popen[bytes]:
        configuration = json.dumps(asdict(self._limits) | {"limits_memory": self._limits_memory})
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, configuration, *_homes()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise _no_start(str(error)) from error
        self._lines = queue.SimpleQueue()
        cap = _OTHER_BYTES_OF_A_LINE + self._limits.characters * _BYTES_OF_A_CHARACTER
        threading.Thread(target=_read_lines, args=(process.stdout, self._lines, cap), daemon=True).start()
        self._is_ready = False
        return process

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        try:
            (hello,) = self._read(process, deadline=time.monotonic() + self._limits.wall_seconds)
        except LimitBroken as error:
            raise _no_start(f"it {error}") from error
        self._is_memory_limited = hello.get("is_memory_limited") is True
        self._is_ready = True

    def _read(self, process: subprocess.Popen[bytes], *, deadline: float) -> list[dict[str, Any]]:
        """Read the answers to a message, and look after the limits that the system does not look after."""
        while True:
            left = deadline - time.monotonic()
            try:
                line = self._lines.get(timeout=max(0.0, min(left, _POLL_SECONDS)))
            except queue.Empty:
                if left <= 0:
                    raise LimitBroken(f"did not finish within {self._wall_seconds():g} seconds") from None
                if not self._is_memory_limited and _resident_bytes(process.pid) > self._limits.memory_bytes:
                    raise LimitBroken(_tell(self._limits, "memory")) from None
                continue
            answers = _parse(line)
            if not answers:
                raise LimitBroken(self._tell_end())
            if "limit" in answers[0]:
                raise LimitBroken(_tell(self._limits, answers[0]["limit"]))
            return answers

    def _tell_end(self) -> str:
        """Return why the worker is gone, or wrote what it should not."""
        code = self._end(grace_seconds=_END_SECONDS)
        if code == -getattr(signal, "SIGPROF", 0):
            return _tell(self._limits, "time")
        return f"crashed the renderer, which ended with {f'signal {-code}' if code < 0 else f'code {code}'}"

    def _end(self, *, grace_seconds: float = 0) -> int:
        """End the worker, after the time that it is given to end by itself; give how it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
        process.kill()
        code = process.wait()
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        return code


def _homes() -> list[str]:
    """Return the folders from which the worker imports what it needs: it looks into no other."""
    found: dict[str, None] = {}
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise _no_start(f"the package {name} is not installed")
        found[str(Path(spec.origin).parent.parent)] = None
    return list(found)


def _no_start(why: str) -> Gguf2OllamaError:
    return Gguf2OllamaError(
        f"the process that renders chat templates failed to start: {why}",
        hint="install gguf2ollama in a virtual environment that this user can run, or pass --no-verify",
    )


def _send(process: subprocess.Popen[bytes], message: str) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(OSError):  # where it is gone, reading tells
        process.stdin.write(message.encode("utf-8", "surrogatepass") + b"\n")
        process.stdin.flush()


def _read_lines(stream: IO[bytes], lines: queue.SimpleQueue[bytes], cap: int) -> None:
    """Put every line into the queue; an empty one at the end, and where a line is too long."""
    with stream:
        while True:
            line = stream.readline(cap)
            if not line.endswith(b"\n"):
                lines.put(b"")
                return
            lines.put(line)


def _parse(line: bytes) -> list[dict[str, Any]]:
    """Return the answers in a line; none where it is not one that a worker of ours would write."""
    try:
        answers = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return []
    is_list = isinstance(answers, list) and all(isinstance(one, dict) for one in answers)
    return answers if is_list else []


def _tell(limits: Limits, limit: object) -> str:
    sentences = {
        "time": f"ran for more than {limits.seconds:g} seconds",
        "memory": f"used more than {limits.memory_bytes >> 20:,} MiB of memory",
        "output": f"printed more than {limits.characters:,} characters",
    }
    return sentences.get(str(limit), "exceeded a limit")


def _resident_bytes(pid: int) -> int:
    """Return the memory that a process takes now; 0 where that cannot be told."""
    if sys.platform == "win32":
        return _ask_windows(pid)
    try:
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=False)
        return int(shown.stdout) << 10
    except (OSError, ValueError):
        return 0


def _ask_windows(pid: int) -> int:
    """Ask ``GetProcessMemoryInfo`` for the working set."""
    import ctypes  # noqa: PLC0415  # only here

    class Counters(ctypes.Structure):
        _fields_ = [("size", ctypes.c_uint32), ("faults", ctypes.c_uint32), ("bytes", ctypes.c_size_t * 8)]

    counters = Counters()
    counters.size = ctypes.sizeof(counters)
    kernel = getattr(ctypes, "WinDLL")("kernel32")  # noqa: B009  # only Windows has it
    kernel.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.OpenProcess(0x1000, False, pid))  # PROCESS_QUERY_LIMITED_INFORMATION
    try:
        kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size)
    finally:
        kernel.CloseHandle(process)
    return int(counters.bytes[1])
