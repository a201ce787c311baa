"""Show measurements of engines: a table like the tutorial's, JSON, CSV and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gguf2ollama._text import one_line
from gguf2ollama.cli.render.format import columns
from gguf2ollama.engines.measurement import error_percent

if TYPE_CHECKING:
    from gguf2ollama.engines.engine import EngineMemory
    from gguf2ollama.engines.measurement import Measurement

__all__ = [
    "describe_case",
    "measurement_csv",
    "measurement_json",
    "measurement_table",
]

_MIB = 1 << 20
_HEADER = (
    "engine",
    "layers",
    "ctx",
    "cache",
    "RAM before",
    "loaded",
    "answering",
    "estimate",
    "error",
    "GPU loaded",
    "answering",
    "estimate",
    "error",
    "load s",
    "first s",
    "prompt t/s",
    "answer t/s",
)


def describe_case(measurement: Measurement) -> str:
    """Return a line about one case, once it is there."""
    if measurement.problem is not None:
        return f"{measurement.label}: failed: {measurement.problem}"
    return f"{measurement.label}: loaded in {measurement.load_seconds:.1f} s by {measurement.library}"


def measurement_table(found: Sequence[Measurement]) -> str:
    """Return all cases in a table, in MiB as the tutorial has them; below it, what failed."""
    rows = [_row(measurement) for measurement in found if measurement.problem is None]
    lines = [columns(_HEADER, rows), "", "RAM and GPU in MiB: growth since before, peaks in --json"]
    failed = [describe_case(measurement) for measurement in found if measurement.problem is not None]
    return "\n".join([*lines, *map(one_line, failed)])


def _row(measurement: Measurement) -> list[str]:
    before = measurement.before
    gpu_need = sum(measurement.need.gpus)
    return [
        measurement.engine,
        str(measurement.layers),
        str(measurement.context),
        measurement.settings.cache_type,
        _mib(before.resident),
        _growth(measurement.loaded.resident - before.resident),
        _growth(measurement.ram_growth),
        _growth(measurement.need.ram),
        _percent(error_percent(measurement.need.ram, measurement.ram_growth)),
        _growth(_difference(measurement.loaded.gpu, before.gpu)),
        _growth(measurement.gpu_growth),
        _growth(gpu_need) if gpu_need else "-",
        _percent(error_percent(gpu_need, measurement.gpu_growth) if gpu_need else None),
        f"{measurement.load_seconds:.2f}",
        f"{measurement.first_seconds:.2f}",
        _rate(measurement.prompt_rate),
        _rate(measurement.answer_rate),
    ]


def measurement_json(measurement: Measurement) -> dict[str, Any]:
    """Return one case as JSON: bytes, seconds and tokens."""
    problem, gpu_need = measurement.problem, sum(measurement.need.gpus)
    return {
        "engine": measurement.engine,
        "library": measurement.library,
        "gpu_layers": measurement.layers,
        "context": measurement.context,
        "cache_type": measurement.settings.cache_type,
        "before": _memory_json(measurement.before),
        "loaded": _memory_json(measurement.loaded),
        "answering": _memory_json(measurement.answering),
        "estimate": {
            "ram_bytes": measurement.need.ram,
            "gpu_bytes": gpu_need,
            "ram_error_percent": error_percent(measurement.need.ram, measurement.ram_growth),
            "gpu_error_percent": error_percent(gpu_need, measurement.gpu_growth) if gpu_need else None,
        },
        "reported_bytes": measurement.reported,
        "load_seconds": measurement.load_seconds,
        "first_token_seconds": measurement.first_seconds,
        "prompt_tokens": measurement.prompt_tokens,
        "answer_tokens": measurement.answer_tokens,
        "prompt_tokens_per_second": measurement.prompt_rate,
        "answer_tokens_per_second": measurement.answer_rate,
        "problem": None if problem is None else str(problem),
    }


def _memory_json(memory: EngineMemory) -> dict[str, int | None]:
    return {
        "resident_bytes": memory.resident,
        "peak_bytes": memory.peak,
        "own_bytes": memory.own,
        "gpu_bytes": memory.gpu,
    }


def measurement_csv(found: Sequence[Measurement]) -> str:
    """Return all cases as CSV: the keys of the JSON, those within others joined by a dot."""
    rows = [_flat(measurement_json(measurement)) for measurement in found]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def _mib(count: int) -> str:
    return f"{count / _MIB:.0f}"


def _growth(count: int | None) -> str:
    return "-" if count is None else f"{count / _MIB:+.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f} %"


def _rate(value: float) -> str:
    return f"{value:.1f}" if value else "-"
