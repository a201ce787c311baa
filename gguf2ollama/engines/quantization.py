"""Quantize a GGUF with llama.cpp: its program ``llama-quantize``, or the library in llama-cpp-python."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._text import one_line
from gguf2ollama.engines.install_lines import install_line
from gguf2ollama.engines.process import EngineProcess
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotFound
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.fs.atomic import clear_abandoned, publish, temporary_path
from gguf2ollama.fs.space import check_free_space
from gguf2ollama.ggufio import ShardSet, open_gguf

__all__ = ["Quantizer", "find_quantizer", "quantized_types", "write_quantized"]

_PROGRAM = "llama-quantize"
_MIB = 1 << 20
_FLOATS = {"F32", "F16", "BF16", "F64"}
_REASON_CHARACTERS = 400
# lines of `llama_model_quantize_impl` in src/llama-quant.cpp of llama.cpp
_TENSOR = lazy_pattern(r"\[ *(\d+)/ *(\d+)\] ")
_SIZE = lazy_pattern(r"quant size += +([0-9.]+) MiB")
_FAILURE = lazy_pattern(r"(?:failed to quantize: |error: )(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    source: Path
    target: Path
    kind: str
    number: int
    threads: int
    is_dry: bool = False


class Quantizer(Protocol):
    """What quantizes.

    Attributes:
        name: What messages call it.
    """

    name: str

    def run(self, task: _Task) -> Generator[str, None, None]:
        """Quantize, and yield what llama.cpp logs.

        Raises:
            Gguf2OllamaError: It failed; what it logged last says why.
        """


class _Program:
    """``llama-quantize``."""

    def __init__(self, path: str) -> None:
        self.name = path

    def run(self, task: _Task) -> Generator[str, None, None]:
        options = ["--allow-requantize", *(["--dry-run"] if task.is_dry else [])]
        files = [str(task.source)] if task.is_dry else [str(task.source), str(task.target)]
        command = [self.name, *options, *files, task.kind, str(task.threads)]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise NotFound(
                f"{self.name} cannot be run: {error}", hint="name another with --llama-quantize PROGRAM"
            ) from error
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield from process.stdout
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if code:
            raise Gguf2OllamaError(
                f"{self.name} ended with {f'code {code}' if code > 0 else f'signal {-code}'}",
                hint="update llama.cpp, or name another llama-quantize with --llama-quantize PROGRAM",
            )


class _Library:
    """The library of llama-cpp-python, in a process of its own."""

    name = "llama-cpp-python"

    def run(self, task: _Task) -> Generator[str, None, None]:
        message = {
            "do": "quantize",
            "source": str(task.source),
            "target": str(task.target),
            "type": task.number,
            "threads": task.threads,
            "is_dry": task.is_dry,
        }
        with contextlib.closing(EngineProcess(self.name, subject=task.source.name)) as process:
            event = process.ask(doing="starting for")
            if event["event"] == "missing":
                raise _none_found(f": {event['message']}")
            for event in process.stream(message, doing="quantizing"):
                if event["event"] == "text":
                    yield str(event["content"])


def find_quantizer(program: str | os.PathLike[str] | None = None) -> Quantizer:
    """Return what can quantize on this machine.

    Args:
        program: ``llama-quantize``; that on ``PATH``, or else llama-cpp-python, when not given.

    Raises:
        NotFound: There is nothing.
    """
    if program is not None:
        found = shutil.which(program)
        if found is None:
            raise NotFound(f"{os.fspath(program)} is not a program", hint="name llama-quantize of llama.cpp")
        return _Program(found)
    if found := shutil.which(_PROGRAM):
        return _Program(found)
    import importlib.util  # noqa: PLC0415 - where there is no program

    if importlib.util.find_spec("llama_cpp") is not None:
        return _Library()
    raise _none_found("")


def _none_found(reason: str) -> NotFound:
    return NotFound(
        f"nothing here quantizes: no {_PROGRAM} on PATH, and no llama-cpp-python{reason}",
        hint=f"install it: {install_line('llama-cpp-python', accelerator='cpu')}",
    )


def quantized_types(model: ShardSet) -> tuple[str, ...]:
    """Return the types of weights that are quantized already; none for a file to quantize from."""
    return tuple(dict.fromkeys(t.type.name for t in model.tensors if t.type.name not in _FLOATS))


def write_quantized(
    model: ShardSet,
    target: Path,
    *,
    kind: str,
    number: int,
    quantizer: Quantizer,
    threads: int,
    replace: bool,
    progress: Progress,
    notify: Callable[[str], None],
) -> Path:
    """Write a quantized copy of a model: all of it, or nothing.

    Raises:
        Gguf2OllamaError: llama.cpp failed.
        InvalidInput: It refuses the model, or wrote a broken file.
        NotEnoughSpace: The disk has too little space for what it would write.
        UsageProblem: The target exists and may not be replaced.
    """
    clear_abandoned(target.parent, target.name)
    temporary = temporary_path(target, folder=target.parent)
    task = _Task(source=model.shards[0].path, target=temporary, kind=kind, number=number, threads=threads)
    expected = _follow(quantizer, dataclasses.replace(task, is_dry=True), progress=ignore)
    if expected is None:
        raise Gguf2OllamaError(
            f"{quantizer.name} did not say how large the file will be",
            hint="update llama.cpp, or name another llama-quantize with --llama-quantize PROGRAM",
        )
    needed = expected + model.shards[0].gguf.data_offset
    check_free_space(target.parent, needed)
    notify(f"Quantizing {model.name} to {kind} with {quantizer.name}")
    try:
        _follow(quantizer, task, progress=progress)
        written = open_gguf(temporary)
        if len(written.tensors) != len(model.tensors):
            raise InvalidInput(
                f"{quantizer.name} wrote {len(written.tensors)} of {len(model.tensors)} tensors",
                hint="try again with another llama.cpp",
            )
        publish(temporary, target, replace=replace)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _follow(quantizer: Quantizer, task: _Task, *, progress: Progress) -> int | None:
    """Run a task, pass on its progress, and return the bytes of tensors that it says it writes."""
    expected, failure = None, ""
    try:
        with contextlib.closing(quantizer.run(task)) as lines:
            for line in lines:
                if (tensor := _TENSOR.search(line)) is not None:
                    done, total = int(tensor[1]), int(tensor[2])
                    progress(
                        Update(task=f"quantizing {task.source.name}", done=done, total=total, unit="items")
                    )
                if (size := _SIZE.search(line)) is not None:
                    expected = int((float(size[1]) + 0.01) * _MIB)
                if (failed := _FAILURE.search(line)) is not None:
                    failure = failure or one_line(failed[1].strip(), limit=_REASON_CHARACTERS)
    except Gguf2OllamaError as error:
        if not failure or isinstance(error, NotFound):
            raise
        raise InvalidInput(
            f"{quantizer.name} cannot quantize {task.source.name} to {task.kind}: {failure}",
            hint="use another TYPE; the smallest IQ types need an importance matrix",
        ) from error
    return expected
