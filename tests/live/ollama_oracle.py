"""Ask Ollama's own Go packages what they make of a text: the oracle of the differential tests.

``oracle/main.go`` is built against the module of the pinned release, from Go's module cache and without the
network, once per content of the program, into the cache of the live tests' parts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.live import parts

_MODULE = "github.com/ollama/ollama"
_VERSION = parts.OLLAMAS[0].version
_PROGRAM = Path(__file__).parent / "oracle" / "main.go"
_OFFLINE = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off", "GOWORK": "off"}


class OracleMissing(Exception):
    """The oracle cannot be built here; the text says why."""


class Oracle:
    """A running oracle."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def ask(self, kind: str, data: bytes = b"") -> Any:
        """Return the answer to one request; the kinds stand in ``oracle/main.go``."""
        request = {"kind": kind, "data": base64.b64encode(data).decode()}
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        return json.loads(self._answers.readline())


@contextlib.contextmanager
def running_oracle() -> Iterator[Oracle]:
    """Build the oracle where it is not built yet, and run it.

    Raises:
        OracleMissing: Go or Ollama's module is not here.
    """
    with subprocess.Popen(
        [_built()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise OracleMissing("the oracle has no pipes")
        yield Oracle(process.stdin, process.stdout)
        process.stdin.close()


def _built() -> Path:
    source = _PROGRAM.read_bytes()
    name = f"oracle-{_VERSION}-{hashlib.sha256(source).hexdigest()[:12]}"
    target = parts.cache_dir() / "oracle" / name
    if target.is_file():
        return target
    go = shutil.which("go")
    if go is None:
        raise OracleMissing("go is not installed")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oracle-", dir=target.parent) as folder:
        work = Path(folder)
        (work / "main.go").write_bytes(source)
        (work / "go.mod").write_text(f"module oracle\n\ngo 1.24\n\nrequire {_MODULE} v{_VERSION}\n")
        result = subprocess.run(
            [go, "build", "-buildvcs=false", "-o", name, "."],
            cwd=work,
            env=os.environ | _OFFLINE,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise OracleMissing(f"the oracle cannot be built: {result.stderr.strip()[-400:]}")
        (work / name).replace(target)
    return target


def module_folder() -> Path:
    """Return the folder of Ollama's source in Go's module cache, where the oracle could be built."""
    result = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip()) / f"{_MODULE}@v{_VERSION}"
