"""Draw what cases of ``measure`` took of memory, as an SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama._text import one_line
from gguf2ollama.verification.page import render_page

if TYPE_CHECKING:
    from gguf2ollama.engines.measurement import Measurement

__all__ = ["plot_memory"]

_MIB = 1 << 20
# in the SVG's own units, of which a line of text is 13 high: narrow, so that letters are large on a phone
_WIDTH, _LEFT, _LONGEST = 480, 16, 290
_FIRST, _CASE, _BARS = 70, 72, (20, 37)  # from the top: the first case; from one to the next; its two bars
_TITLE = 44  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    """Bytes of RAM and on GPUs, drawn in a row."""

    kind: str
    top: int
    ram_width: float
    gpu_width: float
    value: str


def plot_memory(found: Sequence[Measurement], *, title: str) -> str:
    """Return an SVG with what RAM and GPUs took in each case that did not fail, and the estimate, as bars."""
    title = one_line(title)
    cases = [measurement for measurement in found if measurement.problem is None]
    totals = [ram + gpu for case in cases for _, ram, gpu in _series(case)]
    scale = _LONGEST / max(1, *totals)
    return render_page(
        "memory.svg.j2",
        title=title if len(title) <= _TITLE else f"…{title[1 - _TITLE :]}",  # a path ends with what matters
        width=_WIDTH,
        height=_FIRST + _CASE * len(cases),
        left=_LEFT,
        has_gpu=any(gpu for case in cases for _, _, gpu in _series(case)),
        cases=[
            {
                "label": case.label,
                "top": _FIRST + _CASE * number,
                "bars": tuple(_bars(case, top=_FIRST + _CASE * number, scale=scale)),
            }
            for number, case in enumerate(cases)
        ],
    )


def _series(case: Measurement) -> tuple[tuple[str, int, int], ...]:
    """Return the two bars of a case: its kind, and bytes of RAM and on GPUs."""
    return (
        ("measured", max(0, case.ram_growth), max(0, case.gpu_growth or 0)),
        ("estimated", case.need.ram, sum(case.need.gpus)),
    )


def _bars(case: Measurement, *, top: int, scale: float) -> Iterator[_Bar]:
    for (kind, ram, gpu), below in zip(_series(case), _BARS, strict=True):
        value = f"{ram / _MIB:,.0f} MiB" + (f" + {gpu / _MIB:,.0f} MiB" if gpu else "")
        yield _Bar(
            kind=kind,
            top=top + below,
            ram_width=round(ram * scale, 1),
            gpu_width=round(gpu * scale, 1),
            value=value,
        )
