"""Show measurements of engines: a table like the tutorial's, JSON, CSV and a plot."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf2ollama._text import one_line
from gguf2ollama.cli.render.format import columns
from gguf2ollama.engines.measurement import error_percent
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.fs.atomic import atomic_file, require_writable

if TYPE_CHECKING:
    from gguf2ollama.engines.engine import EngineMemory
    from gguf2ollama.engines.measurement import Measurement

__all__ = [
    "describe_case",
    "measurement_csv",
    "measurement_json",
    "measurement_table",
    "plot_memory",
    "require_plotting",
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
    case = _case(measurement)
    if measurement.problem is not None:
        return f"{case}: failed: {measurement.problem}"
    return f"{case}: loaded in {measurement.load_seconds:.1f} s by {measurement.library}"


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


def require_plotting(path: Path) -> None:
    """Refuse a plot that could not be written, before anything is measured.

    Raises:
        NotFound: matplotlib is not installed, or the folder does not exist.
        UsageProblem: It is not to be an SVG.
    """
    if path.suffix.lower() != ".svg":
        raise UsageProblem(f"{path} is not an SVG", hint="name a file that ends with .svg")
    require_writable(path, kind="plot")
    if importlib.util.find_spec("matplotlib") is None:
        raise NotFound(
            "--plot needs matplotlib, which is not installed",
            hint=f"install it: {sys.executable} -m pip install 'matplotlib>=3.8'",
        )


def plot_memory(found: Sequence[Measurement], path: Path, *, title: str) -> None:
    """Draw for each case what RAM and GPU took, and the estimate, as bars."""
    import matplotlib as mpl  # noqa: PLC0415 - for a plot alone
    from matplotlib.figure import Figure  # noqa: PLC0415 - for a plot alone

    cases = [measurement for measurement in found if measurement.problem is None]
    places = range(len(cases))
    figure = Figure(figsize=(8, 1.6 + 0.6 * len(cases)), layout="constrained")
    axes = figure.subplots()
    series = (
        ("measured", -0.2, [case.ram_growth for case in cases], [case.gpu_growth or 0 for case in cases]),
        ("estimated", 0.2, [case.need.ram for case in cases], [sum(case.need.gpus) for case in cases]),
    )
    for index, (name, offset, ram, gpu) in enumerate(series):
        at = [place + offset for place in places]
        in_ram, on_gpu = [count / _MIB for count in ram], [count / _MIB for count in gpu]
        axes.barh(at, in_ram, height=0.36, color=f"C{index}", label=f"RAM, {name}")
        if any(gpu):
            axes.barh(
                at, on_gpu, height=0.36, left=in_ram, color=f"C{index}", alpha=0.5, label=f"GPU, {name}"
            )
    # a dollar sign would begin a formula
    axes.set_yticks(list(places), [_case(case).replace("$", r"\$") for case in cases])
    axes.invert_yaxis()
    axes.set_xlabel("MiB")
    axes.set_title(one_line(title, limit=80).replace("$", r"\$"))
    figure.legend(loc="outside lower center", ncols=4)
    with mpl.rc_context({"svg.hashsalt": "gguf2ollama"}), atomic_file(path) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})


def _case(measurement: Measurement) -> str:
    settings = measurement.settings
    return (
        f"{measurement.engine}, {measurement.layers} layers on GPUs, {measurement.context} tokens,"
        f" {settings.cache_type}"
    )


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
