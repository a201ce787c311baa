"""Find from what a chat template renders how it writes the arguments of a call down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama.chat.synthesis.text import common_ends, common_prefix, common_suffix
from gguf2ollama.chat.synthesis.tool_forms.arguments_form import (
    Arguments,
    ArgumentsForm,
    EachArgument,
    Key,
    Kind,
    Part,
    Value,
    WholeArguments,
    kind_of,
)
from gguf2ollama.chat.synthesis.tool_forms.grammar import Refusal, Text
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import ODD_TEXT
from gguf2ollama.chat.synthesis.tool_forms.styles import (
    ESCAPES_PROBE,
    JSON_STYLES,
    TEXT_STYLES,
    Style,
    escapes_of,
)

__all__ = ["RenderArguments", "find_arguments_form"]

RenderArguments: TypeAlias = Callable[[Sequence[Arguments]], Sequence[str | None]]

_TEXT = f"vq {ODD_TEXT} qv"
_SAMPLES: Mapping[Kind, tuple[Any, Any]] = {
    "text": (_TEXT, " wq\n\ttext\n"),
    "number": (7123, 45.5),
    "true": (True, True),
    "false": (False, False),
    "null": (None, None),
    "mapping": ({"mq": [_TEXT, 8, True, None]}, {"oq": {"pq": 4.5, "rq": False}}),
    "array": ([_TEXT, 9.5, False], [{"sq": "tq"}, None]),
}
_HELD_OUT: tuple[Arguments, ...] = (
    {"city": "Paris", "days": 3},
    {"a": "", "b": [], "c": {}, "d": "multi\n line ", "e": 1},
    {
        "exact": True,
        "filter": {"tags": ["x", "y'"], "until": None},
        "limit": 0.5,
        "query": 'a "b" <c> é 🎉 \\n',
        "rest": [[1, 2], [], [{"k": False}]],
    },
    {"only": None},
    {"code": "def f():\n    return {\"x\": 'y'}\n"},
)


def find_arguments_form(render: RenderArguments) -> ArgumentsForm | Refusal:
    """Learn from renders how a chat template writes the arguments of a call down.

    ``render`` takes arguments, and gives for each what the template makes of one and the same conversation in
    which a tool is called with them, ``None`` where it raises.
    """
    whole = {f"kq{number}": value for number, values in enumerate(_SAMPLES.values()) for value in values[:1]}
    text, *held_out = render([whole, {}, *_HELD_OUT])
    if text is None:
        return Refusal(reason="the template rejects the tool call")
    for style in JSON_STYLES:
        form = WholeArguments(style=style)
        if (place := form.locate(text, whole)) is not None:
            around = text[: place[0]], text[place[1] :]
            return _checked(form, around, held_out)
    return _learn_each(render, held_out)


def _checked(
    form: ArgumentsForm, around: tuple[str, str], held_out: Sequence[str | None]
) -> ArgumentsForm | Refusal:
    """Try a form on arguments that it was not learnt from."""
    before, after = around
    for arguments, text in zip(({}, *_HELD_OUT), held_out, strict=True):
        is_refused = text is None and not arguments
        if not is_refused and text != f"{before}{form.print(arguments)}{after}":
            names = ", ".join(sorted({kind_of(value) for value in arguments.values()})) or "none"
            return Refusal(reason=f"arguments do not follow the rules found ({names})")
    return form


def _learn_each(render: RenderArguments, held_out: Sequence[str | None]) -> ArgumentsForm | Refusal:
    singles = [
        (kind, f"{letter}kq{number}", value)
        for number, (kind, values) in enumerate(_SAMPLES.items())
        for letter, value in zip("af", values, strict=True)
    ]
    pair = {"akq0": singles[0][2], "fkq1": singles[3][2]}
    asked = [
        *({key: value} for _, key, value in singles),
        {"gkq": ESCAPES_PROBE},
    ]
    *texts, both = render([*asked, pair])
    known = [text for text in texts if text is not None]
    if len(known) != len(texts) or both is None:
        return Refusal(reason="the template rejects some kinds of arguments")
    before, after = common_ends(known)
    entries = [text[len(before) : len(text) - len(after)] for text in known]
    own = escapes_of(entries[-1])
    cases: dict[Kind, tuple[Part, ...]] = {}
    for kind in _SAMPLES:
        seen = [
            (entry, key, value)
            for (one, key, value), entry in zip(singles, entries, strict=False)
            if one == kind
        ]
        parts = _parts_of(kind, seen, own)
        if parts is None:
            return Refusal(reason=f"an argument that is {_NAMES[kind]} is printed in an unknown format")
        cases[kind] = parts
    return _with_between(tuple(cases.items()), (before, after), both, pair, held_out)


_NAMES: Mapping[Kind, str] = {
    "text": "a text",
    "number": "a number",
    "true": "true",
    "false": "false",
    "null": "null",
    "mapping": "an object",
    "array": "a list",
}


def _parts_of(
    kind: Kind, entries: Sequence[tuple[str, str, Any]], own: Style | None
) -> tuple[Part, ...] | None:
    """Find what one argument is made of, from entries, their keys and values of a kind."""
    styles = [
        *(TEXT_STYLES if kind == "text" else ()),
        *JSON_STYLES,
        *([own] if own is not None else []),
    ]
    for style in styles:
        if style.is_of_texts and kind != "text":
            continue
        found = {_cut_at_value(entry, key, value, style) for entry, key, value in entries}
        if len(found) == 1 and (parts := found.pop()) is not None:
            return parts
    constants = {_cut_at_key(entry, key) for entry, key, _ in entries}
    return constants.pop() if kind in {"true", "false", "null"} and len(constants) == 1 else None


def _cut_at_value(
    entry: str,
    key: str,
    value: Any,  # noqa: ANN401  # a value of JSON
    style: Style,
) -> tuple[Part, ...] | None:
    """Cut what is printed of one argument at its key and at its value: the last that looks like it."""
    printed = style.print(value)
    if not printed or printed not in entry:
        return None
    before, _, after = entry.rpartition(printed)
    return (*_cut_at_key(before, key), Value(style=style), *_cut_at_key(after, key))


def _cut_at_key(text: str, key: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for number, piece in enumerate(text.split(key)):
        if number:
            parts.append(Key())
        if piece:
            parts.append(Text(text=piece))
    return tuple(parts)


def _with_between(
    cases: tuple[tuple[Kind, tuple[Part, ...]], ...],
    around: tuple[str, str],
    both: str,
    pair: Arguments,
    held_out: Sequence[str | None],
) -> ArgumentsForm | Refusal:
    before, after = around
    alone = EachArgument(cases=cases, between="")
    first, second = (f"{before}{alone.print({key: value})}" for key, value in pair.items())
    second = second.removeprefix(before) + after
    if not both.startswith(first) or not both.endswith(second) or len(both) < len(first) + len(second):
        return Refusal(reason="two arguments are printed differently from each one alone")
    between = both[len(first) : len(both) - len(second)]
    none = held_out[0] if held_out[0] is not None else before + after
    outer_before, outer_after = before, after
    if none != before + after:
        outer_before = common_prefix([before, none])
        outer_after = common_suffix([after, none[len(outer_before) :]])
    form = EachArgument(
        cases=cases,
        between=between,
        around=(before[len(outer_before) :], after[: len(after) - len(outer_after)]),
        empty=none[len(outer_before) : len(none) - len(outer_after)],
    )
    return _checked(form, (outer_before, outer_after), held_out)
