"""Start real Ollama servers for the tests, and end them with all that they started."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama.ollama import ServerFeatures, ServerVersion
from tests.live import parts

# Its kernels for Intel's AMX end in a segmentation fault on some virtual machines that show AMX (b11095,
# Q4_1, `ldtilecfg`); they go with the rearranging of weights, which takes time at each load besides. And its
# threads wait for one another by spinning: on a machine that is busy, two take seconds for each token.
# llama.cpp in process is made to wait without that by OpenMP: ten times as fast there.
LLAMA_SERVER = {"LLAMA_ARG_REPACK": "0", "LLAMA_ARG_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
_START_SECONDS = 60
_END_SECONDS = 15
_ATTEMPTS = 3
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
_VERSION = re.compile(r"version is (\d+)\.(\d+)\.(\d+)")
_OLDEST_LIKE_THE_NEWEST = (0, 34, 1)  # that keeps files as they are, as parts.OLLAMAS[0] does


@dataclass(frozen=True)
class RunningOllama:
    """A real server.

    Attributes:
        version: What it says it is.
        features: What it can do.
        url: Its address, as ``OLLAMA_HOST`` takes it.
        program: The ``ollama`` program.
        store: Its ``OLLAMA_MODELS``.
        environment: A clean environment for programs that are to talk to it.
        log: Where it writes what it does.
    pid: Its process.
    """

    version: str
    features: ServerFeatures
    url: str
    program: Path
    store: Path
    environment: dict[str, str]
    log: Path
    pid: int


def find_program(part: parts.Ollama) -> Path | None:
    """Return the program of a release: from the cache, or, for the newest, one on PATH that will do."""
    if part.is_there:
        return part.program
    installed = shutil.which("ollama")
    if part != parts.OLLAMAS[0] or installed is None:
        return None
    program = Path(installed).resolve()
    has_runner = (program.parent.parent / "lib" / "ollama" / "llama-server").is_file()
    return program if has_runner and version_of(program) >= _OLDEST_LIKE_THE_NEWEST else None


def version_of(program: Path) -> tuple[int, ...]:
    """Ask a program for its version; ``()`` when it does not say."""
    # it asks a server first, and would tell the version of that one
    environment = _environment(Path.home()) | {"OLLAMA_HOST": "127.0.0.1:1"}
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, env=environment
    )
    match = _VERSION.search(answer.stdout + answer.stderr)
    return tuple(map(int, match.groups())) if match else ()


@contextlib.contextmanager
def running_ollama(
    part: parts.Ollama,
    program: Path,
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    user: int | None = None,
) -> Iterator[RunningOllama]:
    """Run a server with its home and its store in ``folder``, on a free port of 127.0.0.1.

    Args:
        part: The release.
        program: Its program.
        folder: Its home.
        settings: Variables of its environment.
        user: The user that runs it, which needs root; this one by default.

    Raises:
        RuntimeError: It does not start; the message ends with its log.
    """
    log = folder / "serve.log"
    environment = _environment(folder) | dict(settings or {})
    command = [*(as_user(user) if user is not None else ()), str(program)]
    process, url, version = _start(command, environment, log)
    try:
        yield RunningOllama(
            version=version,
            features=ServerFeatures.of(ServerVersion.reported(version)),
            url=url,
            program=program,
            store=folder / "models",
            environment=environment | {"OLLAMA_HOST": url},
            log=log,
            pid=process.pid,
        )
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process started in a session of its own, and everything that it started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which no setting of the user's, and no proxy, has a say."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "USERPROFILE": str(folder),
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_KEEP_ALIVE": "2m",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NO_CLOUD": "1",
        **LLAMA_SERVER,
    }


def as_user(user: int, *, groups: Sequence[int] = ()) -> list[str]:
    """Return the start of a command that another user runs; it may read all files."""
    rights = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    more = ("--groups", ",".join(map(str, groups))) if groups else ("--clear-groups",)
    return ["setpriv", "--reuid", str(user), "--regid", str(user), *more, *rights, "--"]


def _start(
    command: Sequence[str], environment: dict[str, str], log: Path
) -> tuple[subprocess.Popen[bytes], str, str]:
    """Start the server; another program may take the port just before it does, so try again then.

    Gives the process, its address and its version.
    """
    for _ in range(_ATTEMPTS):
        url = f"http://127.0.0.1:{_free_port()}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment | {"OLLAMA_HOST": url},
                start_new_session=True,
            )
        try:
            if version := _answered(process, url):
                return process, url, version
        except BaseException:
            end(process)
            raise
        end(process)
        if b"address already in use" not in log.read_bytes():
            break
    raise RuntimeError(f"{command[-1]} serve does not start:\n{log.read_text(errors='replace')[-3000:]}")


def _answered(process: subprocess.Popen[bytes], url: str) -> str:
    """Wait until the server says its version, and give it; nothing when it never does."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            direct.open(f"{url}/api/version", timeout=5) as answer,
        ):
            return str(json.load(answer)["version"])
        time.sleep(0.05)
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
