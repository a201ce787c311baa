"""Build ``gorender`` against a version of Ollama's Go module, and talk to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.live import parts
from tests.live.conftest import missing

_OFFLINE = {"GOPROXY": "off", "GOSUMDB": "off"}


class GoRender:
    """A running ``gorender``."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def ask(self, template: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a template and the body of ``/api/chat``."""
        self._requests.write(json.dumps({"template": template, **body}) + "\n")
        self._requests.flush()
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer


@contextmanager
def running_gorender(version: str) -> Iterator[GoRender]:
    """Run ``gorender`` as built with a version of Ollama; skip the test where that version is not there."""
    with subprocess.Popen(
        [_built(version)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield GoRender(process.stdin, process.stdout)
        process.stdin.close()


def module_folder(version: str, *, is_needed: bool = True) -> Path:
    """Return the folder of Ollama's module in Go's module cache; skip the test that needs it in vain."""
    go = shutil.which("go")
    if go is None:
        missing("go")
    cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    folder = Path(cache.stdout.strip()) / f"{parts.MODULE}@v{version}"
    if is_needed and not folder.is_dir():
        missing(f"Ollama's Go module {version}")
    return folder


def _built(version: str) -> Path:
    """Build the program out of Go's module cache, once per content of its source."""
    program = parts.GoRender(version)
    if not program.is_there:
        module_folder(version)
        try:
            program.build(**_OFFLINE)
        except parts.BuildFailed as error:
            missing(f"Ollama's Go module {version} ({error})")
    return program.path
