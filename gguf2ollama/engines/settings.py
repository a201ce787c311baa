"""What an engine is asked for: where layers go, the context, and how tokens are sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.caches import CACHE_TYPES

__all__ = [
    "ENGINES",
    "SAMPLING",
    "EmbeddedName",
    "EngineName",
    "EngineSettings",
    "GpuLayers",
    "parse_engine",
    "parse_gpu_layers",
    "sampling",
]

EmbeddedName: TypeAlias = Literal["llama.cpp", "llama-cpp-python", "transformers"]
"""The engines that run in a process of ours."""

EngineName: TypeAlias = EmbeddedName | Literal["ollama"]

ENGINES: tuple[EngineName, ...] = (*get_args(EmbeddedName), "ollama")

GpuLayers: TypeAlias = int | Literal["all", "auto"]
"""Layers on GPUs, counted from the output, which is one more; ``auto`` is as many as fit."""

DEFAULT_CONTEXT = 4096
"""Tokens, as Ollama's default; a model that was trained for less gets that."""

SAMPLING: Mapping[str, float | int | None] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.95,
    "min_p": 0.05,
    "repeat_penalty": 1.0,
    "num_predict": -1,
    "seed": None,
}
"""How tokens are sampled, by the names of Ollama's parameters, with the defaults of llama.cpp b11095
(``common_params_sampling`` in ``common/common.h``): the same in every engine. ``stop`` is known as well."""

_LONGEST = 6  # digits of a number of layers


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How a model is loaded.

    Attributes:
        context: Tokens of the context; ``None`` for 4096, or what the model was trained for if that is less.
        gpu_layers: The layers on GPUs.
        cache_type: The type of cached keys and values.
        threads: Threads of the CPU; ``None`` leaves that to the engine.
    """

    context: int | None = None
    gpu_layers: GpuLayers = "auto"
    cache_type: str = "f16"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.context is not None and not 0 < self.context < 1 << 31:
            raise UsageProblem(f"invalid context {self.context}", hint="use a number of tokens, such as 8192")
        if isinstance(self.gpu_layers, int) and self.gpu_layers < 0:
            raise UsageProblem(
                f"invalid number of layers {self.gpu_layers}", hint="use 0 or more, all or auto"
            )
        if self.cache_type not in CACHE_TYPES:
            raise UsageProblem(
                f"invalid cache type {self.cache_type!r}", hint=f"use one of {', '.join(CACHE_TYPES)}"
            )
        if self.threads is not None and self.threads < 1:
            raise UsageProblem(f"invalid number of threads {self.threads}", hint="use 1 or more")


def parse_engine(text: str) -> EngineName:
    """Return the engine of that name.

    Raises:
        UsageProblem: There is none.
    """
    for name in ENGINES:
        if text.strip().lower() == name:
            return name
    raise UsageProblem(f"invalid engine {text!r}", hint=f"use one of {', '.join(ENGINES)}")


def parse_gpu_layers(text: str) -> GpuLayers:
    """Parse a value of ``--gpu-layers``: a number of layers, ``all`` or ``auto``.

    Raises:
        UsageProblem: It is none of these.
    """
    lowered = text.strip().lower()
    if lowered == "all":
        return "all"
    if lowered == "auto":
        return "auto"
    if not (lowered.isascii() and lowered.isdigit()) or len(lowered) > _LONGEST:
        raise UsageProblem(f"invalid --gpu-layers {text!r}", hint="use a number of layers, all or auto")
    return int(lowered)


def sampling(options: Mapping[str, object]) -> dict[str, object]:
    """Return all options of sampling, those that are not given with their defaults.

    Args:
        options: By the names of Ollama's parameters.

    Raises:
        UsageProblem: An engine has no such option, or it is not of its type.
    """
    chosen: dict[str, object] = {**SAMPLING, "stop": ()}
    for name, value in options.items():
        if name not in chosen:
            raise UsageProblem(
                f"engines have no parameter {name!r}",
                hint=f"use {', '.join(SAMPLING)} or stop, or build a model for Ollama",
            )
        if name == "stop":
            chosen[name] = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageProblem(f"invalid {name} {value!r}", hint="use a number")
        else:
            chosen[name] = value
    return chosen
