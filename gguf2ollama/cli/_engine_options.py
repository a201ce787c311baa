"""The options that load a model into an engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from gguf2ollama.cli._options import Decorated, option, repository_options
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.engines.settings import GpuLayers

__all__ = ["LoadKeywords", "engine_option", "load_options", "source_options", "tokens"]


class LoadKeywords(TypedDict, total=False):
    """The keywords of :func:`gguf2ollama.load` that options set; what is not given is left out."""

    gpu_layers: GpuLayers
    context: int
    cache_type: str
    threads: int
    quant: str
    file: str
    revision: str
    force: bool


def engine_option(function: Decorated) -> Decorated:
    """Add ``--engine``."""
    return option(
        "--engine",
        group="model",
        metavar="NAME",
        help="Engine to load a SOURCE into: llama.cpp, llama-cpp-python, transformers, or"
        " ollama with a temporary model on the server.",
    )(function)


def source_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add ``--quant``, ``--file`` and ``--revision``; they go into ``load_keywords``."""

    @repository_options
    @functools.wraps(verb)
    def wrapped(
        *arguments: object,
        quant: str | None,
        hub_file: str | None,
        revision: str | None,
        load_keywords: LoadKeywords | None = None,
        **options: object,
    ) -> None:
        keywords: LoadKeywords = load_keywords or {}
        if quant is not None:
            keywords["quant"] = quant
        if hub_file is not None:
            keywords["file"] = hub_file
        if revision is not None:
            keywords["revision"] = revision
        verb(*arguments, load_keywords=keywords, **options)

    return wrapped


def load_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the options of loading and sampling; the verb gets them as ``load_keywords`` and ``sampling``."""

    @option(
        "--gpu-layers",
        group="model",
        metavar="N|all|auto",
        help="Layers on GPUs, the output counted as one.  [default: auto, as many as fit]",
    )
    @option(
        "--ctx",
        group="model",
        metavar="N",
        help="Context length in tokens, e.g. 8192 or 8k.  [default: 4096]",
    )
    @option(
        "--cache-type",
        group="model",
        metavar="TYPE",
        help="Type of the KV cache, e.g. q8_0.  [default: f16]",
    )
    @option("--threads", group="model", type=int, metavar="N", help="Threads of the CPU to use.")
    @option(
        "--param",
        "params",
        group="model",
        multiple=True,
        metavar="K=V",
        help="Set a parameter of the answer, e.g. temperature=0; can be repeated.",
    )
    @option("--force", group="model", is_flag=True, help="Load even if too little memory is free.")
    @functools.wraps(verb)
    def wrapped(
        *arguments: object,
        gpu_layers: str | None,
        ctx: str | None,
        cache_type: str | None,
        threads: int | None,
        params: tuple[str, ...],
        force: bool,
        load_keywords: LoadKeywords | None = None,
        **options: object,
    ) -> None:
        keywords: LoadKeywords = load_keywords or {}
        if gpu_layers is not None:
            from gguf2ollama.engines.settings import parse_gpu_layers  # noqa: PLC0415 - seldom given

            keywords["gpu_layers"] = parse_gpu_layers(gpu_layers)
        if ctx is not None:
            keywords["context"] = tokens(ctx)
        if cache_type is not None:
            keywords["cache_type"] = cache_type.lower()
        if threads is not None:
            keywords["threads"] = threads
        if force:
            keywords["force"] = True
        verb(*arguments, load_keywords=keywords, sampling=_sampling(params), **options)

    return wrapped


def tokens(text: str) -> int:
    """Parse a context length in tokens.

    Raises:
        UsageProblem: It is not a number of them.
    """
    from gguf2ollama.memory.parse import parse_context  # noqa: PLC0415 - seldom given

    count = parse_context(text)
    if not isinstance(count, int):
        raise UsageProblem(f"invalid --ctx {text!r} for an engine", hint="use a token count, 8192 or 8k")
    return count


def _sampling(texts: tuple[str, ...]) -> dict[str, object]:
    if not texts:
        return {}
    from gguf2ollama.engines.settings import sampling  # noqa: PLC0415 - seldom given
    from gguf2ollama.modelfiles import parse_parameter  # noqa: PLC0415 - seldom given

    options: dict[str, object] = {}
    for parameter in map(parse_parameter, texts):
        if parameter.name == "stop":
            options["stop"] = (*options.get("stop", ()), str(parameter.value))  # type: ignore[misc]
        else:
            options[parameter.name] = parameter.value
    sampling(options)  # refuses what no engine knows
    return options
