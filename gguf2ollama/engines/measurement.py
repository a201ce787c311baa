"""What a model takes and how fast it is in an engine, measured, beside what was estimated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from gguf2ollama._dataclass import dataclass
from gguf2ollama.engines.engine import Engine, EngineMemory
from gguf2ollama.engines.fit import Need
from gguf2ollama.engines.settings import EngineName, EngineSettings
from gguf2ollama.errors import Gguf2OllamaError

__all__ = ["Measurement", "error_percent", "measure_case"]

_LOOK_EVERY = 8  # pieces of an answer: looking takes a few milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One case: an engine with its settings.

    Attributes:
        engine: The engine.
        settings: How the model was loaded.
        library: What loaded it, with its version; ``""`` if nothing did.
        context: Tokens of its context.
        layers: Layers on GPUs that were asked for, the output counted as one.
        before: The memory of the process with the library and no model.
        loaded: The same with the model.
        answering: The most that was seen while it answered.
        reported: What a server says that the model takes; ``None`` without a server.
        load_seconds: How long loading took, without the start of the process.
        first_seconds: From the question to the first piece of the answer.
        prompt_tokens, answer_tokens: Tokens that were read and written.
        prompt_rate, answer_rate: Tokens a second; 0 if the engine does not say.
        need: What was estimated.
        problem: Why there is no measurement; ``None`` if there is one.
    """

    engine: EngineName
    settings: EngineSettings
    context: int
    layers: int
    need: Need
    library: str = ""
    before: EngineMemory = EngineMemory(resident=0)
    loaded: EngineMemory = EngineMemory(resident=0)
    answering: EngineMemory = EngineMemory(resident=0)
    reported: int | None = None
    load_seconds: float = 0.0
    first_seconds: float = 0.0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    prompt_rate: float = 0.0
    answer_rate: float = 0.0
    problem: Gguf2OllamaError | None = None

    @property
    def label(self) -> str:
        """The engine and how the model was loaded, in a few words."""
        return (
            f"{self.engine}, {self.layers} layers on GPUs, {self.context} tokens, {self.settings.cache_type}"
        )

    @property
    def ram_growth(self) -> int:
        """Bytes of RAM that the model took, while it answered."""
        return self.answering.resident - self.before.resident

    @property
    def gpu_growth(self) -> int | None:
        """The same on GPUs; ``None`` if no driver says."""
        if self.answering.gpu is None:
            return None
        return self.answering.gpu - (self.before.gpu or 0)


def error_percent(estimated: int, measured: int | None) -> float | None:
    """Return by how many per cent an estimate is above what was measured; ``None`` if that is nothing."""
    return None if not measured or measured < 0 else 100 * (estimated - measured) / measured


def measure_case(
    load: Callable[[], Engine],
    *,
    engine: EngineName,
    settings: EngineSettings,
    context: int,
    layers: int,
    need: Need,
    prompt: str,
    options: Mapping[str, object],
) -> Measurement:
    """Load a model, ask it something, and unload it; a failure is part of the result."""
    try:
        with load() as model:
            return _measure(
                model, settings=settings, layers=layers, need=need, prompt=prompt, options=options
            )
    except Gguf2OllamaError as error:
        return Measurement(
            engine=engine, settings=settings, context=context, layers=layers, need=need, problem=error
        )


def _measure(
    model: Engine,
    *,
    settings: EngineSettings,
    layers: int,
    need: Need,
    prompt: str,
    options: Mapping[str, object],
) -> Measurement:
    report = model.report
    looks = [report.after]
    started = time.monotonic()
    first, metrics = 0.0, None
    for number, chunk in enumerate(model.chat([{"role": "user", "content": prompt}], options=options)):
        first = first or time.monotonic() - started
        metrics = chunk.metrics or metrics
        if number % _LOOK_EVERY == 0 or chunk.done:
            looks.append(model.memory())
    rates = [0.0, 0.0]
    if metrics is not None:
        pairs = (
            (metrics.prompt_eval_count, metrics.prompt_eval_duration),
            (metrics.eval_count, metrics.eval_duration),
        )
        rates = [count / seconds if seconds > 0 else 0.0 for count, seconds in pairs]
    return Measurement(
        engine=report.engine,
        settings=settings,
        library=report.library,
        context=report.context,
        layers=layers,
        need=need,
        before=report.before,
        loaded=report.after,
        answering=_most(looks),
        reported=report.reported,
        load_seconds=report.seconds,
        first_seconds=first,
        prompt_tokens=metrics.prompt_eval_count if metrics else 0,
        answer_tokens=metrics.eval_count if metrics else 0,
        prompt_rate=rates[0],
        answer_rate=rates[1],
    )


def _most(looks: list[EngineMemory]) -> EngineMemory:
    """Return the most of each kind that was seen."""
    return EngineMemory(
        resident=max(look.resident for look in looks),
        peak=max((look.peak for look in looks if look.peak is not None), default=None),
        own=max((look.own for look in looks if look.own is not None), default=None),
        gpu=max((look.gpu for look in looks if look.gpu is not None), default=None),
    )
