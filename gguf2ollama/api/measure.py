"""Measure a model in engines: memory and speed, beside the estimate."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.api.load import load, local_model
from gguf2ollama.engines.fit import choose_layers, context_of, estimate_need
from gguf2ollama.engines.settings import EngineSettings, GpuLayers, parse_engine
from gguf2ollama.events import Progress, ignore
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.sources.model import SourceSelection

if TYPE_CHECKING:
    from gguf2ollama.engines.measurement import Measurement

__all__ = ["DEFAULT_PROMPT", "measure"]

DEFAULT_PROMPT = "Write one paragraph about how rain is made."


def measure(  # noqa: D417 - the others are documented at `load`
    source: str | os.PathLike[str],
    *,
    engines: Sequence[str] = ("llama.cpp",),
    gpu_layers: Sequence[GpuLayers] = ("auto",),
    contexts: Sequence[int | None] = (None,),
    cache_types: Sequence[str] = ("f16",),
    threads: int | None = None,
    prompt: str = DEFAULT_PROMPT,
    tokens: int = 50,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    force: bool = False,
    host: str | None = None,
    ca_file: Path | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> Iterator[Measurement]:
    """Measure a model with each combination of settings, each in a fresh process.

    The answers are greedy. A case that fails is a measurement with its problem; the others go on.

    Args:
        source: As for :func:`gguf2ollama.load`; so are the arguments not named here.
        engines: The engines; ``ollama`` measures its process where that is on this machine.
        gpu_layers: The layers on GPUs to try.
        contexts: Tokens of contexts to try; ``None`` for the default.
        cache_types: The types of cached keys and values to try.
        prompt: What the model is asked.
        tokens: Tokens of the answer.

    Yields:
        A measurement for each case, once it is there.

    Raises:
        Gguf2OllamaError: The source cannot be used, or a setting is invalid.
    """
    from gguf2ollama.engines.measurement import measure_case  # noqa: PLC0415 - after the settings are checked

    names = [parse_engine(engine) for engine in engines]
    kinds = [
        EngineSettings(gpu_layers=layers, context=context, cache_type=kind, threads=threads)
        for layers, context, kind in itertools.product(gpu_layers, contexts, cache_types)
    ]
    selection = SourceSelection(quant=quant, file=file, revision=revision)
    model = local_model(source, selection=selection, progress=progress, notify=notify)
    path = model.shards[0].path
    hardware = find_hardware()
    cases = [
        (engine, settings, choose_layers(model, settings, engine=engine, hardware=hardware))
        for engine, settings in itertools.product(names, kinds)
    ]
    for engine, settings, layers in cases:
        yield measure_case(
            lambda: load(
                path,
                engine=engine,  # noqa: B023 - called before the next case
                gpu_layers=settings.gpu_layers,  # noqa: B023
                context=settings.context,  # noqa: B023
                cache_type=settings.cache_type,  # noqa: B023
                threads=settings.threads,  # noqa: B023
                force=force,
                host=host,
                ca_file=ca_file,
                notify=notify,
            ),
            engine=engine,
            settings=settings,
            context=context_of(model.metadata, settings),
            layers=layers,
            need=estimate_need(model, engine=engine, settings=settings, layers=layers, hardware=hardware),
            prompt=prompt,
            options={"temperature": 0, "num_predict": tokens},
        )
