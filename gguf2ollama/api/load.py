"""Load a model into an engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from gguf2ollama.engines.settings import EngineSettings, GpuLayers, parse_engine
from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import fetch, resolve

if TYPE_CHECKING:
    from gguf2ollama.engines.engine import Engine

__all__ = ["load"]


def load(
    source: str | os.PathLike[str],
    *,
    engine: str = "llama.cpp",
    gpu_layers: GpuLayers = "auto",
    context: int | None = None,
    cache_type: str = "f16",
    threads: int | None = None,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> Engine:
    """Load a model into an engine, which runs in a process of its own, and return it.

    ::

        with gguf2ollama.load("Qwen/Qwen2.5-7B-Instruct-GGUF", quant="q4_k_m") as model:
            for chunk in model.chat([{"role": "user", "content": "Hello"}]):
                print(chunk.content, end="")

    Args:
        source: As for :func:`gguf2ollama.inspect`; what is not on this machine is downloaded.
        engine: ``llama.cpp``, ``llama-cpp-python`` or ``transformers``.
        gpu_layers: Layers on GPUs, the output counted as one; ``"all"``, or ``"auto"`` for as many as fit.
        context: Tokens of the context; 4096, or what the model was trained for, when not given.
        cache_type: The type of cached keys and values.
        threads: Threads of the CPU; the engine decides when not given.
        quant: Of a repository: the quantization.
        file: Of a repository: a file, any shard of one, or a folder.
        revision: Of a repository: a branch, a tag or a commit.
        force: Load the model though the memory that is free now is too little.
        progress: Called with the bytes of downloads and merges.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: The engine cannot be started, or its process ended.
        InvalidInput: The engine cannot read the file.
        NotEnoughSpace: The memory or the disk has too little space.
        NotFound: There is no such model, or the engine's library is not installed.
        UsageProblem: A setting does not go with the model, the engine or the machine.
    """
    from gguf2ollama.engines.embedded import load_embedded  # noqa: PLC0415 - after the settings are checked

    name = parse_engine(engine)
    if name == "ollama":
        raise UsageProblem(
            "the engine ollama needs a server, and the model built there",
            hint=f"gguf2ollama build {source}, then gguf2ollama run NAME",
        )
    settings = EngineSettings(context=context, gpu_layers=gpu_layers, cache_type=cache_type, threads=threads)
    hardware = find_hardware()
    digests = DigestCache()
    ref = resolve(
        source,
        selection=SourceSelection(quant=quant, file=file, revision=revision),
        takes_projector=False,
        room=hardware.room if hardware is not None else None,
        digests=digests,
        notify=notify,
    )
    files = fetch(ref, digests=digests, progress=progress, notify=notify)
    return load_embedded(
        files.model, engine=name, settings=settings, force=force, progress=progress, notify=notify
    )
