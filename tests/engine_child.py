"""A process in place of an engine's: it speaks the protocol, and answers with what it was asked."""

from __future__ import annotations

import json
import os
import signal
import sys


def emit(event: str, **values: object) -> None:
    """Write one event."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def main(engine: str, devices: str, *, dies: bool) -> None:
    """Serve until the input ends; or end like one that the system kills while it loads."""
    if engine == "missing":
        emit("missing", message="No module named 'engine'")
        return
    emit("ready", library=f"{engine} 1.0", devices=[name for name in devices.split(",") if name])
    for line in sys.stdin:
        message = json.loads(line)
        if message["do"] == "load":
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            emit("loaded", context=message["context"], gpu_layers=message["gpu_layers"])
        elif message["do"] == "prompt":
            emit("prompt", text=json.dumps(message["messages"]))
        elif message["do"] in {"chat", "generate"}:
            if message["do"] == "chat":
                emit("text", content="", thinking="hm")
            else:  # these engines print the tags
                emit("text", content="<think>hm</think>", thinking="")
            said = message["prompt"] if message["do"] == "generate" else message["messages"][-1]["content"]
            emit("text", content=f"{engine}: {said} ", thinking="")
            emit("text", content=json.dumps(message["options"]), thinking="")
            emit(
                "done",
                reason="stop",
                prompt_tokens=8,
                prompt_seconds=0.5,
                answer_tokens=4,
                answer_seconds=0.25,
            )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], dies="dies" in sys.argv)
