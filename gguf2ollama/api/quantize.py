"""Quantize a GGUF."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.atomic import require_writable
from gguf2ollama.ggufio import ShardSet
from gguf2ollama.ggufio.ggml import file_type_name, file_type_number

__all__ = ["quantize"]


def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    kind: str,
    *,
    replace: bool = False,
    threads: int = 0,
    program: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    warn: Callable[[str], None] = ignore,
) -> Path:
    """Write a quantized copy of a GGUF with llama.cpp; Ollama does not quantize GGUFs from 0.30 on.

    Args:
        source: The file, or any shard of it; the copy is one file.
        target: The file to write.
        kind: The type, such as ``Q4_K_M``.
        replace: Whether an existing file may be replaced.
        threads: Threads of the CPU; 0 leaves that to llama.cpp.
        program: ``llama-quantize``; that on ``PATH``, else the library of llama-cpp-python, when not given.
        progress: Called with the tensors that are done.
        notify: Called with a line about each step.
        warn: Called with a warning.

    Raises:
        Gguf2OllamaError: llama.cpp failed.
        InvalidInput: The source is invalid, or llama.cpp refuses it.
        NotEnoughSpace: The disk has too little space.
        NotFound: There is no such file, or nothing that quantizes.
        UsageProblem: There is no such type, or the target exists or is the source.
    """
    from gguf2ollama.engines.quantization import (  # noqa: PLC0415 - after the type is checked
        find_quantizer,
        quantized_types,
        write_quantized,
    )

    number, target = file_type_number(kind), Path(target)
    model = ShardSet.discover(source)
    require_writable(target, replace=replace)
    if any(target.exists() and target.samefile(shard.path) for shard in model.shards):
        raise UsageProblem(f"{target} is the file to quantize", hint="choose another name")
    if quantized := quantized_types(model):
        warn(
            f"{model.name} is quantized already ({', '.join(quantized)}): quantizing it again loses more than"
            " quantizing the F16 or BF16 file does"
        )
    return write_quantized(
        model,
        target,
        kind=file_type_name(number),
        number=number,
        quantizer=find_quantizer(program),
        threads=threads,
        replace=replace,
        progress=progress,
        notify=notify,
    )
