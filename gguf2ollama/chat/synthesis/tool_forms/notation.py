"""A template's own way to write any JSON value: its marks around texts, between items and for constants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoDefine, GoText
from gguf2ollama.gotmpl.write import go_print, go_quote

__all__ = ["NOTATION_PROBES", "Notation", "notation_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """A way to write values in which texts are printed as they are, between two marks.

    Attributes:
        text: What stands before and after a text.
        array: What stands before the items, between every two, and after them.
        mapping: What stands before a key, between a key and its value, between every two pairs with the mark
            before a key, and after all.
        empty_mapping: What stands for a mapping with nothing in it.
        constants: What stands for true, for false and for null.
    """

    text: tuple[str, str]
    array: tuple[str, str, str]
    mapping: tuple[str, str, str, str]
    empty_mapping: str
    constants: tuple[str, str, str]

    def print(self, value: Any) -> str:  # noqa: ANN401  # a value of JSON
        """Write a value down; the keys of mappings in alphabetical order, as Go ranges over them."""
        if isinstance(value, str):
            return value.join(self.text)
        if value is None or isinstance(value, bool):
            return self.constants[(True, False, None).index(value)]
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, Sequence):
            before, between, after = self.array
            return before + between.join(self.print(one) for one in value) + after
        return json.dumps(value)

    def _mapping(self, value: Mapping[str, Any]) -> str:
        if not value:
            return self.empty_mapping
        before, to_value, between, after = self.mapping
        pairs = (f"{key}{to_value}{self.print(value[key])}" for key in sorted(value))
        return before + between.join(pairs) + after

    def go(self, expression: str) -> GoText:
        """Return what prints the value of an expression of Go."""
        name = "value-" + sha256(repr(self).encode()).hexdigest()[:6]
        return GoText(
            statements=f'{{{{- template "{name}" {expression} }}}}\n',
            defines=(GoDefine(name=name, text=self._define(name)),),
        )

    def _define(self, name: str) -> str:
        before, between, after = (go_print(mark) for mark in self.array)
        constants = "".join(
            f'{{{{- else if eq $first "{first}" }}}}{go_print(word)}\n'
            for first, word in zip("tfn", self.constants, strict=True)
        )
        open_text, close_text = (go_print(mark) for mark in self.text)
        return (
            f'{{{{- define "{name}" }}}}\n'
            "{{- $first := slice (json .) 0 1 }}\n"
            f'{{{{- if eq $first "\\"" }}}}{open_text}{{{{- . }}}}{close_text}\n'
            '{{- else if eq $first "[" }}' + before + "\n"
            f"{{{{- range $number, $value := . }}}}{_if('$number', between)}"
            f'{{{{- template "{name}" $value }}}}{{{{- end }}}}{after}\n'
            f'{{{{- else if eq $first "{{" }}}}\n{self._go_mapping(name)}'
            f"{constants}"
            "{{- else }}{{- json . }}\n{{- end }}\n{{- end }}\n"
        )

    def _go_mapping(self, name: str) -> str:
        before, to_value, _, after = (go_print(mark) for mark in self.mapping)
        return (
            f"{{{{- if eq (len .) 0 }}}}{go_print(self.empty_mapping)}\n"
            f'{{{{- else }}}}{before}{{{{- $mark := "" }}}}\n'
            "{{- range $key, $value := . }}{{- $mark }}"
            f"{{{{- $mark = {go_quote(self.mapping[2])} }}}}{{{{- $key }}}}{to_value}"
            f'{{{{- template "{name}" $value }}}}{{{{- end }}}}{after}\n{{{{- end }}}}\n'
        )


def _if(condition: str, statements: str) -> str:
    return f"{{{{- if {condition} }}}}{statements}{{{{- end }}}}" if statements else ""


NOTATION_PROBES: tuple[Any, ...] = (
    [6001, 6002],
    ["ntq1", "ntq2"],
    {"nkq1": 6003, "nkq2": 6004},
    {},
    [6005, True, False, None, 6006],
)
"""The values from whose texts :func:`notation_of` learns."""


def notation_of(texts: Sequence[str]) -> Notation | None:
    """Learn a notation from what is printed of :data:`NOTATION_PROBES`; ``None`` where it isn't one."""
    numbers, words, mapping, empty, constants = texts
    array = _cut(numbers, "6001", "6002")
    quoted = _cut(words, "ntq1", "ntq2")
    pairs = _cut(mapping, "nkq1", "6003", "nkq2", "6004")
    if array is None or quoted is None or pairs is None:
        return None
    before, between, after = array
    head, tail = f"{before}6005{between}", f"{between}6006{after}"
    opened, closed = quoted[0].removeprefix(before), quoted[2].removesuffix(after)
    if not constants.startswith(head) or not constants.endswith(tail):
        return None
    found = constants[len(head) : len(constants) - len(tail)].split(between) if between else []
    if len(found) != len((True, False, None)) or pairs[1] != pairs[3]:
        return None
    return Notation(
        text=(opened, closed),
        array=(before, between, after),
        mapping=(pairs[0], pairs[1], pairs[2], pairs[4]),
        empty_mapping=empty,
        constants=(found[0], found[1], found[2]),
    )


def _cut(text: str, *marks: str) -> list[str] | None:
    """Cut a text at marks, each of which stands in it once and in this order."""
    pieces = []
    for mark in marks:
        piece, found, text = text.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    return [*pieces, text]
