"""Load a model into an engine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.engines.settings import EngineSettings, GpuLayers, parse_engine
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import fetch, resolve

if TYPE_CHECKING:
    from gguf2ollama.engines.engine import Engine
    from gguf2ollama.ggufio import ShardSet

__all__ = ["load", "local_model"]


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
    host: str | None = None,
    ca_file: Path | None = None,
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
        engine: ``llama.cpp``, ``llama-cpp-python``, ``transformers``, or ``ollama``: the server ``host``, on
            which a temporary model is built.
        gpu_layers: Layers on GPUs, the output counted as one; ``"all"``, or ``"auto"`` for as many as fit.
        context: Tokens of the context; 4096, or what the model was trained for, when not given.
        cache_type: The type of cached keys and values.
        threads: Threads of the CPU; the engine decides when not given.
        quant: Of a repository: the quantization.
        file: Of a repository: a file, any shard of one, or a folder.
        revision: Of a repository: a branch, a tag or a commit.
        force: Load the model though the memory that is free now is too little; a server decides by itself.
        host: The address of the server for the engine ``ollama``; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
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
    settings = EngineSettings(context=context, gpu_layers=gpu_layers, cache_type=cache_type, threads=threads)
    selection = SourceSelection(quant=quant, file=file, revision=revision)
    model = local_model(source, selection=selection, progress=progress, notify=notify)
    if name == "ollama":
        return _load_on_server(model, settings=settings, host=host, ca_file=ca_file, progress=progress)
    return load_embedded(model, engine=name, settings=settings, force=force, progress=progress, notify=notify)


def local_model(
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> ShardSet:
    """Return the files of a model on this machine, which are downloaded if they are not here."""
    hardware = find_hardware()
    digests = DigestCache()
    ref = resolve(
        source,
        selection=selection,
        takes_projector=False,
        room=hardware.room if hardware is not None else None,
        digests=digests,
        notify=notify,
    )
    return fetch(ref, digests=digests, progress=progress, notify=notify).model


def _load_on_server(
    model: ShardSet,
    *,
    settings: EngineSettings,
    host: str | None,
    ca_file: Path | None,
    progress: Progress,
) -> Engine:
    """Build a model of a temporary name, and load it; unloading removes it."""
    # for this engine alone
    from gguf2ollama.api.build import build  # noqa: PLC0415
    from gguf2ollama.engines.server import load_on_server  # noqa: PLC0415
    from gguf2ollama.install.temporary_models import leased_name  # noqa: PLC0415
    from gguf2ollama.names import ModelName, ServerAddress  # noqa: PLC0415
    from gguf2ollama.ollama import Client  # noqa: PLC0415

    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    with contextlib.ExitStack() as ending:
        client = ending.enter_context(Client(address, ca_file=ca_file))
        name = ending.enter_context(leased_name(ModelName.parse("engine")))
        build(
            model.shards[0].path,
            host=host,
            ca_file=ca_file,
            name=str(name),
            verify=False,
            load=False,
            progress=progress,
        )
        ending.callback(client.delete, name)
        kept = contextlib.ExitStack()
        served = load_on_server(
            client, name, model=model, settings=settings, hardware=find_hardware(), ending=kept
        )
        kept.enter_context(ending.pop_all())
        return served
    raise AssertionError  # the stack suppresses nothing
