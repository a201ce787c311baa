"""Learn how a chat template writes tools field by field, from texts of tools whose every field is marked.

First what stands for the parameters one by one, then the tool around them; then the same of parameters that
have properties, or are lists of objects; at last one parameter, field by field.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from gguf2ollama.chat.synthesis.tool_forms.affixes import common_ends
from gguf2ollama.chat.synthesis.tool_forms.block import EachTool
from gguf2ollama.chat.synthesis.tool_forms.features import KEY, Scope, Unknown
from gguf2ollama.chat.synthesis.tool_forms.grammar import Path
from gguf2ollama.chat.synthesis.tool_forms.learn_record import Sample, Unlearnable, learn_record
from gguf2ollama.chat.synthesis.tool_forms.loops import (
    LoopTexts,
    Render,
    between_of,
    find_loops,
    inner_of,
    without_values,
)
from gguf2ollama.chat.synthesis.tool_forms.marked_schemas import (
    Marks,
    Schema,
    flat_schemas,
    marks_in,
    varied_tools,
)
from gguf2ollama.chat.synthesis.tool_forms.outcome import Refusal
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import Tool, tool
from gguf2ollama.chat.synthesis.tool_forms.record import EachProperty, Record, property_scopes, tool_scope

__all__ = ["find_record_loop"]

_HOLE = "\0"
_TOOL_PATHS = (
    ("function", "name"),
    ("function", "description"),
    ("function", "parameters"),
    ("function", "parameters", "required"),
    ("function", "parameters", "$defs"),
)
_PROPERTY_PATHS = (
    (KEY,),
    *((key,) for key in ("description", "type", "items", "enum", "properties", "required", "anyOf")),
    *(("items", key) for key in ("description", "enum", "required", "items")),
)
_OWN: Path = ("properties",)
_OF_ITEMS: Path = ("items", "properties")

Wrap: TypeAlias = Callable[[Mapping[str, Schema], Sequence[str]], Schema]


def find_record_loop(render: Render) -> EachTool | Refusal:
    """Learn the block as a loop over the tools, each written field by field."""
    try:
        return _Search(render).found()
    except (Unlearnable, Unknown) as reason:
        return Refusal(reason=str(reason))


def _object(properties: Mapping[str, Schema], required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": list(required)} if required else {}),
    }


def _objects(properties: Mapping[str, Schema], required: Sequence[str]) -> Schema:
    names = {"required": list(required)} if required else {}
    properties = {name: dict(sorted(properties[name].items())) for name in sorted(properties)}
    return {"type": "array", "items": {"properties": properties, **names, "type": "object"}}


_WRAPS: Mapping[Path, Wrap] = {_OWN: _object, _OF_ITEMS: _objects}


class _Search:
    """The steps of the search, over one chat template."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._mark = mark = Marks()
        self._flat = [(mark(), schema) for schema in flat_schemas(mark)]
        self._name, self._description, self._key = mark(), mark.text(), mark()

    def found(self) -> EachTool:
        """Learn the loop over the tools."""
        loops = find_loops(self._render, self._holding, self._flat, _OWN)
        self._learn_outer(loops)
        if not loops:
            return EachTool(body=(self._outer,), between=self._between)
        given = list(self._columns([self._holding(dict([one]), [one[0]]) for one in self._flat], len(loops)))
        records = []
        for number, loop in enumerate(loops):
            required = [(_scope_of(one), row[number]) for one, row in given]
            samples = [_sample(scope, text) for scope, text in (*loop.texts, *required)]
            is_only = len(loops) == 1
            records.append(self._parameter(samples) if is_only else _learn_parameter(samples))
        outer = self._outer.with_loops(
            replace(loop.part, record=record) for loop, record in zip(loops, records, strict=True)
        )
        return EachTool(body=(outer,), between=self._between)

    def _holding(self, properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Tool:
        return tool(self._name, properties, description=self._description, required=required)

    def _learn_outer(self, loops: Sequence[LoopTexts]) -> None:
        """Learn the tool around its parameters."""
        varied = list(varied_tools(self._mark, self._flat))
        *texts, two, three = self._render([*([one] for one in varied), varied[:2], varied[:3]])
        self._around = common_ends([text for text in without_values(texts, varied) if text is not None])
        bodies = [inner_of(text, self._around) for text in texts]
        between = {
            between_of(bodies[:count], inner_of(text, self._around)) for count, text in ((2, two), (3, three))
        }
        if len(between) > 1 or None in between:
            raise Unlearnable("tools are printed differently from each other")
        self._between = between.pop() or ""
        samples = []
        for one, body in zip(varied, bodies, strict=True):
            scope = tool_scope(one)
            inner = tuple((loop.part, loop.of(property_scopes(scope, loop.part))) for loop in loops)
            samples.append(Sample(scope=scope, text=body, marks=marks_in(one), inner=inner))
        self._outer = learn_record(samples, paths=_TOOL_PATHS, loops=[loop.part for loop in loops])

    def _columns(self, tools: Sequence[Tool], count: int) -> Iterator[tuple[Tool, list[str]]]:
        """Render tools, and give what each loop prints of each; tools that are refused are left out."""
        for one, text in zip(tools, self._render([[one] for one in tools]), strict=True):
            if text is not None:
                printed = self._outer.print(tool_scope(one), properties=_HOLE)
                yield one, _holes_of(printed, inner_of(text, self._around), count)

    def _parameter(self, flat: Sequence[Sample]) -> Record:
        """Learn what a parameter becomes, with what it has inside as far as that follows rules."""
        inner = {path: loop for path in _WRAPS if (loop := self._inner_loop(path)) is not None}
        while True:
            samples = [*flat, *(one for path, loop in inner.items() for one in self._wrapped(path, loop))]
            record = _learn_parameter(samples, [loop.part for loop in inner.values()])
            loops = {part.path: self._with_record(record, inner[part.path]) for part in record.loops()}
            known = {path: loop for path, loop in loops.items() if loop is not None}
            if len(known) == len(loops):
                return record.with_loops(known[part.path] for part in record.loops())
            inner = {path: inner[path] for path in known}

    def _inner_loop(self, path: Path) -> LoopTexts | None:
        """Find the loop over the properties of a parameter, or of its items, if there is one."""
        wrap = _WRAPS[path]
        try:
            loops = find_loops(
                self._render,
                lambda properties: self._holding({self._key: wrap(properties, ())}),
                self._flat,
                path,
            )
        except Unlearnable:
            return None
        is_each = len(loops) == 1 and all(scope[KEY] in text for scope, text in loops[0].texts)
        return loops[0] if is_each else None

    def _wrapped(self, path: Path, loop: LoopTexts) -> Iterator[Sample]:
        """Return samples of parameters around properties that are known."""
        tools = []
        yes_or_no = (False, True)
        for count, names, is_described, is_required in itertools.product(
            (1, 2), (0, 1, 2), yes_or_no, yes_or_no
        ):
            schema = dict(_WRAPS[path](dict(self._flat[:count]), [self._mark() for _ in range(names)]))
            if is_described:
                schema["description"] = self._mark.text()
            tools.append(self._holding({self._key: schema}, [self._key] * is_required))
        for one, (text,) in self._columns(tools, 1):
            scope = _scope_of(one)
            inner = ((loop.part, loop.of(property_scopes(scope, loop.part))),)
            yield Sample(scope=scope, text=text, marks=marks_in(scope), inner=inner, may_fail=True)

    def _with_record(self, record: Record, loop: LoopTexts) -> EachProperty | None:
        """Return an inner loop with what it prints of each property: the same as outside, or something else.

        It is ``None`` where that follows no rules.
        """
        try:
            return self._within(record, loop)
        except (Unlearnable, Unknown):
            return None

    def _within(self, record: Record, loop: LoopTexts) -> EachProperty:
        wrap = _WRAPS[loop.part.path]
        wrapped = [self._holding({self._key: wrap(dict([one]), [one[0]])}) for one in self._flat]
        known = list(loop.texts)
        for one, (text,) in self._columns(wrapped, 1):
            scope = _scope_of(one)
            (piece,) = _holes_of(record.print(scope, properties=_HOLE), text, 1)
            known += [(inner, piece) for inner in property_scopes(scope, loop.part)]
        if all(_prints(record, scope, text) for scope, text in known):
            return loop.part
        part = replace(loop.part, path=_OWN)
        samples = [_sample(scope, text) for scope, text in known]
        samples += [replace(_sample(scope, text), may_fail=True) for scope, text in self._deep(record, loop)]
        return replace(loop.part, record=_learn_parameter(samples, [part]))

    def _deep(self, record: Record, loop: LoopTexts) -> Iterator[tuple[Scope, str]]:
        """Return properties that have properties in turn, inside a parameter."""
        wrap = _WRAPS[loop.part.path]
        tools = []
        for count, names, is_required in itertools.product((1, 2), (0, 1), (0, 1)):
            inner = dict(self._flat[:count])
            key = self._mark()
            schema = wrap({key: _object(inner, list(inner)[:names])}, [key] * is_required)
            tools.append(self._holding({self._key: schema}))
        for one, (text,) in self._columns(tools, 1):
            scope = _scope_of(one)
            (piece,) = _holes_of(record.print(scope, properties=_HOLE), text, 1)
            yield property_scopes(scope, loop.part)[0], piece


def _learn_parameter(samples: Sequence[Sample], loops: Sequence[EachProperty] = ()) -> Record:
    return learn_record(samples, paths=_PROPERTY_PATHS, loops=loops)


def _scope_of(one: Tool) -> Scope:
    """Return the scope of the only parameter of a tool."""
    return property_scopes(tool_scope(one), EachProperty(between=""))[0]


def _holes_of(printed: str, text: str, count: int) -> list[str]:
    """Return what stands in a text where another has its holes.

    Raises:
        Unlearnable: The texts differ elsewhere too.
    """
    if printed.count(_HOLE) != count:
        raise Unlearnable("the parameters of some tools are not printed")
    before, *between, after = printed.split(_HOLE)
    pieces = [inner_of(text, (before, after))]
    for middle in between:
        first, _, rest = pieces.pop().partition(middle)
        pieces += [first, rest]
    return pieces


def _prints(record: Record, scope: Scope, text: str) -> bool:
    """Return whether a record prints a text of a scope, as far as it knows anything of it."""
    try:
        return record.print(scope) == text
    except Unknown:
        return True


def _sample(scope: Scope, text: str) -> Sample:
    """Make a sample of a parameter; one of several types, or with choices, need not be explained."""
    declared = scope.get("type")
    words = tuple(declared) if isinstance(declared, list) else ()
    return Sample(
        scope=scope,
        text=text,
        marks=(*marks_in(scope), *words, *(word.upper() for word in words)),
        may_fail=bool(words) or "anyOf" in scope or bool(set(scope.get("items") or ()) - {"type"}),
    )
