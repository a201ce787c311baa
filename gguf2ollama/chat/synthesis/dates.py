"""The day's date in what a chat template prints, and how a Go template prints it.

A chat template asks for it by ``strftime_now``; Ollama has ``currentDate``, the day as ``2031-09-17``,
which the macro ``cut_date`` cuts into parts. Hours, days of the week and the like cannot be had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from gguf2ollama._lazy import lazy_pattern

__all__ = ["find_dates", "go_date", "split_at_dates", "unknown_parts"]

_ASKED = lazy_pattern(r"""strftime_now\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
_PART = lazy_pattern(r"%-?[A-Za-z%]")
_GO: Mapping[str, str] = {
    "%Y": "$year",
    "%m": "$number",
    "%d": "$day",
    "%B": "$month",
    "%b": "slice $month 0 3",
    "%F": "$date",
}


def find_dates(template: str, *, day: datetime) -> dict[str, str]:
    """Return the dates that a chat template can print on a day: their texts, and the formats they have."""
    formats = dict.fromkeys(double or single for double, single in _ASKED.findall(template))
    return {day.strftime(one): one for one in formats if one}


def split_at_dates(text: str, dates: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Cut a text into pairs of plain text and the format of the date behind it, ``""`` behind the last."""
    if not dates:
        yield text, ""
        return
    start = 0
    for found in re.finditer("|".join(map(re.escape, sorted(dates, key=len, reverse=True))), text):
        yield text[start : found.start()], dates[found[0]]
        start = found.end()
    yield text[start:], ""


def unknown_parts(date_format: str) -> list[str]:
    """Return the parts of a format that Ollama cannot tell, such as ``%H``."""
    return [part for part in _PART.findall(date_format) if part not in _GO]


def go_date(date_format: str) -> Iterator[tuple[str, str]]:
    """Return pairs of plain text and the expression of Go for the part of the date behind it."""
    start = 0
    for found in _PART.finditer(date_format):
        yield date_format[start : found.start()], _GO[found[0]]
        start = found.end()
    yield date_format[start:], ""
