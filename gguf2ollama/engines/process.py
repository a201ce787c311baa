"""The process in which an engine runs: started, asked in lines of JSON, and its end reported."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from typing import IO, Any

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._text import one_line
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotEnoughSpace, UsageProblem

__all__ = ["EngineProcess"]

_LOG_BYTES = 64 << 10  # of the end of what the process wrote to stderr
_REASON_CHARACTERS = 400
_LINE_BYTES = 64 << 20  # of an answer: a prompt can be long
_END_SECONDS = 10
_LOG_SECONDS = 2
_LOG_PREFIX = lazy_pattern(r"^.*error loading model: |^[\d.]+ [EW] +")


def worker_command(engine: str) -> list[str]:
    """Return the command that starts an engine in this Python.

    ``-P``: no module of the user's current folder takes the place of one that the engine imports.
    """
    return [sys.executable, "-P", "-X", "utf8", "-m", "gguf2ollama.engines.worker", engine]


class EngineProcess:
    """A process with one engine and at most one model.

    Args:
        engine: The engine.
        subject: What messages call the model: its path or name, as the user gave it.

    Raises:
        Gguf2OllamaError: The process cannot be started.
    """

    def __init__(self, engine: str, *, subject: str) -> None:
        self._engine = engine
        self._subject = subject
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                worker_command(engine),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                # Ctrl-C is for this process, which then ends an answer or the engine
                start_new_session=sys.platform != "win32",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            self._log.close()
            raise Gguf2OllamaError(
                f"the process of {engine} failed to start: {error}",
                hint="check that this user may run the Python that gguf2ollama is installed in",
            ) from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, message: Mapping[str, object] | None = None, *, doing: str) -> dict[str, Any]:
        """Send a message, if one is given, and return the one event that answers it.

        Raises:
            Gguf2OllamaError: The engine reports an error, or its process ended; it is ended then.
        """
        try:
            if message is not None:
                self._send(message)
            return self._event(doing=doing)
        except BaseException:  # an interruption too: what it would still answer must not be read later
            self.close()
            raise

    def stream(self, message: Mapping[str, object], *, doing: str) -> Generator[dict[str, Any], None, None]:
        """Send a message, and return the events up to ``done``; a caller that stops reading ends the answer.

        Raises:
            Gguf2OllamaError: As :meth:`ask` does; after an error that it reports, the engine goes on.
        """
        self._send(message)
        is_done = False
        try:
            while not is_done:
                try:
                    event = self._event(doing=doing)
                except BaseException as error:
                    is_done = not isinstance(error, KeyboardInterrupt)
                    raise
                is_done = event["event"] == "done"
                yield event
        finally:
            if not is_done:
                self._cancel()

    def close(self) -> None:
        """End the process: at its ease, then by force."""
        process = self._process
        with contextlib.suppress(OSError):
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        process.stdout.close()
        self._log.close()

    def _cancel(self) -> None:
        """End an answer of which nobody reads the rest; the model stays loaded."""
        try:
            self._send({"do": "cancel"})
            while self._event(doing="answering")["event"] != "done":
                pass
        except Gguf2OllamaError:
            pass  # the next question reports it
        except KeyboardInterrupt:
            self.close()
            raise

    def _send(self, message: Mapping[str, object]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError, ValueError):  # where it is gone, reading reports it
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _event(self, *, doing: str) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = b"" if self._process.stdout.closed else self._process.stdout.readline(_LINE_BYTES)
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise self._ended(doing=doing)
        if event["event"] == "error":
            raise self._reported(event, doing=doing)
        return event

    def _reported(self, event: Mapping[str, Any], *, doing: str) -> Gguf2OllamaError:
        """Return an error that the engine found."""
        message = one_line(str(event.get("message", "")), limit=_REASON_CHARACTERS)
        kind = event.get("kind")
        if kind == "context":
            return UsageProblem(
                f"{self._engine} cannot answer: {message}", hint="load the model with a larger --ctx"
            )
        if kind == "memory":
            return NotEnoughSpace(
                f"{self._engine} ran out of memory while {doing} {self._subject}: {message}",
                hint="use a smaller quantization, a smaller --ctx, or another engine",
            )
        reason = self._logged_reason() if kind == "load" else ""
        return InvalidInput(
            f"{self._engine} failed while {doing} {self._subject}: {reason or message}",
            hint="`gguf2ollama inspect` shows the file, and which engines know its architecture",
        )

    def _ended(self, *, doing: str) -> Gguf2OllamaError:
        """Return why the process is gone."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        reason = self._logged() if not self._log.closed else ""
        how = f"code {code}" if code >= 0 else _signal_name(-code)
        is_killed = code == -getattr(signal, "SIGKILL", 0) and code != 0
        return Gguf2OllamaError(
            f"the process of {self._engine} ended with {how} while {doing} {self._subject}"
            + (f": {reason}" if reason else ""),
            hint="the system ends a process so where memory is short: use a smaller quantization or --ctx"
            if is_killed
            else "try another engine, or --gpu-layers 0",
        )

    def _logged_reason(self) -> str:
        """Return why a file could not be loaded, as the engine logged it; ``""`` where it did not.

        llama.cpp writes its log from a thread of its own, so that a line may come later than the error
        that it explains.
        """
        deadline = time.monotonic() + _LOG_SECONDS
        while not (reason := self._logged()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return reason

    def _logged(self) -> str:
        """Return the last line about an error that the engine logged; ``""`` for none."""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_BYTES))
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines()]
        specific = [line for line in lines if "error loading model" in line]
        found = specific or [line for line in lines if "error" in line.lower() or "abort" in line.lower()]
        return one_line(_LOG_PREFIX.sub("", found[-1]), limit=_REASON_CHARACTERS) if found else ""


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
