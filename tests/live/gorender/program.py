"""Build ``gorender`` against a version of Ollama's Go module, and talk to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tests.live import parts
from tests.live.conftest import missing

MODULE = "github.com/ollama/ollama"
_OFFLINE = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off", "GOWORK": "off"}


class GoRender:
    """A running ``gorender``."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def ask(self, template: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give the answer to a template and the body of ``/api/chat``."""
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
    """Give the folder of Ollama's module in Go's module cache; skip the test that needs it in vain."""
    go = shutil.which("go")
    if go is None:
        missing("go")
    cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    folder = Path(cache.stdout.strip()) / f"{MODULE}@v{version}"
    if is_needed and not folder.is_dir():
        missing(f"Ollama's Go module {version}")
    return folder


def _built(version: str) -> Path:
    """Build the program out of Go's module cache, once per content of its source."""
    source = (Path(__file__).parent / "main.go").read_bytes()
    target = parts.cache_dir() / "gorender" / f"gorender-{version}-{sha256(source).hexdigest()[:12]}"
    if target.is_file():
        return target
    go = shutil.which("go")
    if go is None:
        missing("go")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as folder:
        work = Path(folder)
        (work / "main.go").write_bytes(source)
        (work / "go.mod").write_text(f"module gorender\n\ngo 1.24\n\nrequire {MODULE} v{version}\n")
        command = [go, "build", "-buildvcs=false", "-o", target.name, "."]
        built = subprocess.run(
            command, cwd=work, env=os.environ | _OFFLINE, capture_output=True, text=True, check=False
        )
        if built.returncode:
            missing(f"Ollama's Go module {version} ({built.stderr.strip()[-200:]})")
        (work / target.name).replace(target)
    return target
