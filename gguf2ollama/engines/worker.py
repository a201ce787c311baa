"""The process of an engine: lines of JSON in, lines of JSON out.

The first line out says what the library is: ``{"event": "ready", "library", "devices"}``, or
``{"event": "missing", "message"}``. Then, for each line in:

``{"do": "load", "path", "context", "gpu_layers", "cache_type", "threads", …}``
    ``{"event": "loaded", "context", "gpu_layers"}``.
``{"do": "prompt", "messages", "think"}``
    ``{"event": "prompt", "text"}``; only engines that render chats themselves.
``{"do": "chat", "messages", "think", "options"}``
``{"do": "generate", "prompt", "adds_bos", "eog", "options"}``
    ``{"event": "text", "content", "thinking"}`` for each piece, then ``{"event": "done", "reason",
    "prompt_tokens", "prompt_seconds", "answer_tokens", "answer_seconds"}``.
``{"do": "cancel"}``
    Ends the answer that is being made; it has no answer of its own.

``{"event": "error", "kind", "message"}`` comes instead where something fails. The process ends when its input
does, whatever it is at.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from gguf2ollama.engines.backends import Backend, BackendError

__all__ = ["main"]

_BACKENDS = {
    "llama.cpp": "llama_cpp",
    "llama-cpp-python": "llama_cpp_python",
    "transformers": "transformers",
}


def main(engine: str) -> None:
    """Serve until the input ends."""
    stdin, out = sys.stdin.buffer, _private_stdout()

    def emit(event: str, **values: object) -> None:
        out.write(json.dumps({"event": event, **values}).encode() + b"\n")
        out.flush()

    module = importlib.import_module(f"gguf2ollama.engines.backends.{_BACKENDS[engine]}")
    try:
        backend: Backend = module.Loaded()
    except ImportError as error:
        emit("missing", message=f"{type(error).__name__}: {error}")
        return
    emit("ready", library=backend.library, devices=list(backend.devices))
    messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled = threading.Event()
    threading.Thread(target=_read, args=(stdin, messages, cancelled), daemon=True).start()
    while True:
        message = messages.get()
        try:
            _carry_out(backend, message, emit=emit, is_cancelled=cancelled.is_set)
        except BackendError as error:
            emit("error", kind=error.kind, message=str(error))
        except MemoryError as error:
            emit("error", kind="memory", message=str(error) or "no more memory")
        except Exception as error:  # noqa: BLE001 - a library can fail in any way that Python knows
            emit("error", kind=message["do"], message=f"{type(error).__name__}: {error}")


def _private_stdout() -> BinaryIO:
    """Return what was stdout; whatever a library prints goes to stderr from now on."""
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(kept, "wb")


def _read(stdin: BinaryIO, messages: queue.SimpleQueue[dict[str, Any]], cancelled: threading.Event) -> None:
    for line in stdin:
        message = json.loads(line)
        if message["do"] == "cancel":
            cancelled.set()
        else:
            cancelled.clear()
            messages.put(message)
    os._exit(0)  # a library in the middle of an answer would not end otherwise


def _carry_out(
    backend: Backend,
    message: Mapping[str, Any],
    *,
    emit: Callable[..., None],
    is_cancelled: Callable[[], bool],
) -> None:
    def emit_text(content: str, thinking: str) -> bool:
        if content or thinking:
            emit("text", content=content, thinking=thinking)
        return is_cancelled()

    if message["do"] == "load":
        emit("loaded", **backend.load(message))
    elif message["do"] == "prompt":
        emit("prompt", text=backend.prompt(message))
    else:
        emit("done", **backend.answer(message, emit_text))


if __name__ == "__main__":
    main(sys.argv[1])
