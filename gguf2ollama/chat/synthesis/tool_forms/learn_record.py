"""Learn a record from what scopes become: cut each text at its parts, and decide what stands between them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.features import Scope, Table, Unknown, learn_table
from gguf2ollama.chat.synthesis.tool_forms.grammar import Path, Print, at
from gguf2ollama.chat.synthesis.tool_forms.marked_schemas import marks_in
from gguf2ollama.chat.synthesis.tool_forms.record import (
    EachItem,
    EachProperty,
    Part,
    Record,
    Step,
    print_part,
)
from gguf2ollama.chat.synthesis.tool_forms.styles import JSON_STYLES, TEXT_STYLES

__all__ = ["Sample", "Unlearnable", "learn_record"]

_MOST_ROUNDS = 4


class Unlearnable(Exception):
    """The texts follow no rules that are known here: one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A scope and the text that it becomes.

    Attributes:
        marks: Texts of the scope that nothing else prints: none may be left between the parts.
        inner: What loops over its properties print, where that is known.
        may_fail: Whether the sample may be left out where no part explains its marks.
    """

    scope: Scope
    text: str
    marks: tuple[str, ...]
    inner: tuple[tuple[EachProperty, str], ...] = ()
    may_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A sample cut at its parts: (part, how often it was printed before), and one more text than parts."""

    scope: Scope
    parts: tuple[tuple[Part, int], ...]
    texts: tuple[str, ...]


def learn_record(
    samples: Sequence[Sample], *, paths: Sequence[Path], loops: Sequence[EachProperty]
) -> Record:
    """Learn a record that prints every sample.

    Raises:
        Unlearnable: There is none.
    """
    record: Record | None = None
    parts = [part for path in paths for part in _parts_of(path, samples)]
    for _ in range(_MOST_ROUNDS):
        cuts = [cut for one in samples if (cut := _cut(one, parts, loops, record)) is not None]
        learnt = _record_of(cuts)
        if learnt == record:
            break
        record = learnt
    if record is None:
        raise Unlearnable("no part of a tool is printed in a known format")
    return record


def _parts_of(path: Path, samples: Sequence[Sample]) -> Iterator[Part]:
    """Find how the values at a path are printed: texts, and others."""
    found = [(at(one.scope, path), one.text) for one in samples]
    texts = [(value, text) for value, text in found if isinstance(value, str) and value]
    for style in TEXT_STYLES:
        if texts and all(style.print(value) in text for value, text in texts):
            yield Print(path=path, style=style)
            break
    others = [(value, text) for value, text in found if value and not isinstance(value, str)]
    marked = [(value, text) for value, text in others if any(mark in text for mark in marks_in(value))]
    for style in JSON_STYLES:  # some are printed whole, and all of which any mark is printed
        if all(style.print(value) in text for value, text in marked) and any(
            style.print(value) in text for value, text in others
        ):
            yield Print(path=path, style=style)
            return
    items = _items_of(path, [(value, text) for value, text in others if isinstance(value, list)])
    if items is not None:
        yield items


def _items_of(path: Path, lists: Sequence[tuple[Sequence[Any], str]]) -> EachItem | None:
    """Find a list whose texts are printed as they are, with the same text between every two items."""
    between = next((one for value, text in lists if (one := _gap(value, text)) is not None), None)
    if between is None:
        return None
    numbers = [gap for value, text in lists if isinstance(value[0], int) and (gap := _gap(value, text))]
    if not numbers or numbers[0] == between:
        return EachItem(path=path, between=between)
    before, found, after = between.partition(numbers[0])
    return EachItem(path=path, between=numbers[0], marks=(after, before)) if found else None


def _gap(value: Sequence[Any], text: str) -> str | None:
    """Return what stands between the first two items of a list, where it stands between all of them."""
    words = [one if isinstance(one, str) else json.dumps(one) for one in value]
    if len(words) > 1:
        for start in _places(text, words[0]):
            end = text.find(words[1], start + len(words[0]))
            gap = text[start + len(words[0]) : end]
            if end >= 0 and text.startswith(gap.join(words), start) and not marks_in(gap):
                return gap
    return None


def _cut(
    sample: Sample, parts: Sequence[Part], loops: Sequence[EachProperty], record: Record | None
) -> _Cut | None:
    """Cut a text at the parts found in it, the first and longest first.

    Raises:
        Unlearnable: A mark is left that no part prints.
    """
    places = sorted(
        (
            (start, -len(printed), number, part, printed)
            for number, (part, printed) in enumerate(_printed(sample, parts, loops, record))
            for start in _places(sample.text, printed)
        ),
        key=lambda place: place[:3],
    )
    cut: list[tuple[Part, int]] = []
    texts: list[str] = []
    end = 0
    for start, _, _, part, printed in places:
        if start >= end:
            texts.append(sample.text[end:start])
            cut.append((part, sum(other == part for other, _ in cut)))
            end = start + len(printed)
    texts.append(sample.text[end:])
    if any(mark in text for mark in sample.marks for text in texts):
        if sample.may_fail:
            return None
        raise Unlearnable("a field of a tool is printed in an unknown format")
    return _Cut(scope=sample.scope, parts=tuple(cut), texts=tuple(texts))


def _printed(
    sample: Sample, parts: Sequence[Part], loops: Sequence[EachProperty], record: Record | None
) -> Iterator[tuple[Part, str]]:
    yield from sample.inner
    for loop in loops:
        if record is not None and not sample.inner and at(sample.scope, loop.path):
            with contextlib.suppress(Unknown):
                yield loop, print_part(loop, sample.scope, record)
    for part in parts:
        if not isinstance(part, EachProperty) and at(sample.scope, part.path):
            with contextlib.suppress(TypeError):
                yield part, print_part(part, sample.scope, record)


def _places(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))


def _record_of(cuts: Sequence[_Cut]) -> Record:
    order = _order([cut.parts for cut in cuts])
    steps = []
    for number, (part, nth) in enumerate(order):
        present = learn_table([(cut.scope, (part, nth) in cut.parts) for cut in cuts])
        if present is None:
            raise Unlearnable(f"whether {_told(part)} is printed follows no known rule")
        steps.append(Step(part=part, present=present, before=_before(number, order, cuts)))
    return Record(steps=tuple(steps), after=_before(len(order), order, cuts))


def _told(part: Part) -> str:
    return "the list of properties" if isinstance(part, EachProperty) else part.path[-1].lstrip("@")


def _order(sequences: Sequence[Sequence[tuple[Part, int]]]) -> list[tuple[Part, int]]:
    """Find the one order in which parts are printed.

    Raises:
        Unlearnable: One part is printed now before, now behind another.
    """
    followers: dict[tuple[Part, int], set[tuple[Part, int]]] = {}
    for sequence in sequences:
        for number, part in enumerate(sequence):
            followers.setdefault(part, set()).update(sequence[number + 1 :])
    order: list[tuple[Part, int]] = []
    while followers:
        first = next(
            (part for part in followers if not any(part in later for later in followers.values())), None
        )
        if first is None:
            raise Unlearnable("the fields of a tool are printed in varying order")
        order.append(first)
        del followers[first]
    return order


def _before(
    number: int, order: Sequence[tuple[Part, int]], cuts: Sequence[_Cut]
) -> tuple[tuple[int, Table], ...]:
    """Decide what stands before a step, or behind all, by which step was printed last."""
    seen: dict[int, list[tuple[Scope, str | bool]]] = {}
    for cut in cuts:
        steps = [order.index(part) for part in cut.parts] + [len(order)]
        for at_part, step in enumerate(steps):
            if step == number:
                last = steps[at_part - 1] if at_part else -1
                seen.setdefault(last, []).append((cut.scope, cut.texts[at_part]))
    tables = []
    for last, samples in sorted(seen.items()):
        table = learn_table(samples)
        if table is None:
            raise Unlearnable("the separator between two fields of a tool follows no known rule")
        tables.append((last, table))
    return tuple(tables)
