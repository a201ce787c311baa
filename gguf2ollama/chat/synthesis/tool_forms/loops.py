"""Find what stands for properties one by one, in texts that differ in nothing but the properties."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.affixes import common_ends, longest_common
from gguf2ollama.chat.synthesis.tool_forms.features import KEY, REQUIRED, Scope
from gguf2ollama.chat.synthesis.tool_forms.grammar import Path
from gguf2ollama.chat.synthesis.tool_forms.learn_record import Unlearnable
from gguf2ollama.chat.synthesis.tool_forms.marked_schemas import Schema
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import Tool
from gguf2ollama.chat.synthesis.tool_forms.record import EachProperty
from gguf2ollama.chat.synthesis.tool_forms.styles import JSON_STYLES

__all__ = ["LoopTexts", "between_of", "find_loops", "inner_of", "without_values"]

Render: TypeAlias = Callable[[Sequence[Sequence[Tool]]], Sequence[str | None]]
Wrap: TypeAlias = Callable[[Mapping[str, Schema]], Tool]

_WHOLE = "\ue000"
_NOT_EACH = "several are printed differently from each one alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTexts:
    """A loop over properties, and what it prints of each."""

    part: EachProperty
    texts: tuple[tuple[Scope, str], ...]

    def of(self, scopes: Sequence[Scope]) -> str:
        """Return what the loop prints of some of the properties that it is known of."""
        known = {scope[KEY]: text for scope, text in self.texts}
        return self.part.between.join(known[scope[KEY]] for scope in scopes)


def find_loops(
    render: Render, wrap: Wrap, flat: Sequence[tuple[str, Schema]], path: Path
) -> tuple[LoopTexts, ...]:
    """Find the loops over the properties of what ``wrap`` makes a tool of: one or two, or none.

    Raises:
        Unlearnable: Properties are not printed each as by itself.
    """
    backwards = [dict(sorted(flat[:count], reverse=True)) for count in (2, 3)]
    tools = [wrap(one) for one in (*({key: schema} for key, schema in flat), *backwards)]
    texts = without_values(render([[one] for one in tools]), tools)
    *singles, pair, triple = texts
    known = [(one, text) for one, text in zip(flat, singles, strict=True) if text is not None]
    if len(known) < len(backwards) or None in singles[:3] or pair is None or triple is None:
        raise Unlearnable("the template rejects some tools")
    around = common_ends([text for _, text in known])
    scopes: list[Scope] = [{KEY: key, REQUIRED: False, **schema} for (key, schema), _ in known]
    pieces = [inner_of(text, around) for _, text in known]
    several = [inner_of(text, around) for text in (pair, triple)]
    if not any([*pieces, *several]):
        return ()
    names = [[scope[KEY] for scope in scopes[: len(one)]] for one in backwards]
    for columns in _columns([*pieces, *several]):
        found = [_between(column, names) for column in columns]
        if None not in found:
            return tuple(
                LoopTexts(
                    part=EachProperty(path=path, between=rule[0], in_order=rule[1]),
                    texts=tuple(zip(scopes, column, strict=False)),
                )
                for rule, column in zip(found, columns, strict=True)
                if rule is not None
            )
    raise Unlearnable(_NOT_EACH)


def inner_of(text: str | None, around: tuple[str, str]) -> str:
    """Take a beginning and an end off a text.

    Raises:
        Unlearnable: The text does not have them.
    """
    before, after = around
    if text is None:
        raise Unlearnable("the template rejects some tools")
    if not (text.startswith(before) and text[len(before) :].endswith(after)):
        raise Unlearnable("the text around the tools depends on them")
    return text[len(before) : len(text) - len(after)]


def between_of(singles: Sequence[str], several: str) -> str | None:
    """Find what stands between every two of texts that are known one by one; ``None`` where that changes."""
    size = len(several) - sum(map(len, singles))
    start = len(singles[0])
    between = several[start : start + max(size, 0) // (len(singles) - 1)]
    return between if between.join(singles) == several else None


def without_values(texts: Sequence[str | None], tools: Sequence[Tool]) -> list[str | None]:
    """Put a sign in the place of parameters that are printed whole: each of their properties is in it."""
    values = [one["function"]["parameters"] for one in tools]
    style = next((style for style in JSON_STYLES if style.print(values[0]) in (texts[0] or "")), None)
    if style is None:
        return list(texts)
    return [
        None if text is None else text.replace(style.print(value), _WHOLE, 1)
        for text, value in zip(texts, values, strict=True)
    ]


def _columns(rows: Sequence[str]) -> Iterator[list[list[str]]]:
    """Return the texts as what one loop prints, then as what two print, with the same text between these."""
    yield [list(rows)]
    middle = longest_common(rows)
    cuts = [row.partition(middle) for row in rows] if middle else []
    if cuts:
        yield [[cut[0] for cut in cuts], [cut[2] for cut in cuts]]


def _between(column: Sequence[str], names: Sequence[Sequence[str]]) -> tuple[str, bool] | None:
    """Find what stands between every two properties, and whether they stand in the order given: backwards."""
    *_, two, three = column
    for in_order in (False, True):
        found = set()
        for several, keys in zip((two, three), names, strict=True):
            texts = dict(zip(keys, column, strict=False))
            found.add(between_of([texts[key] for key in sorted(keys, reverse=in_order)], several))
        if len(found) == 1 and (between := found.pop()) is not None:
            return between, in_order
    return None
