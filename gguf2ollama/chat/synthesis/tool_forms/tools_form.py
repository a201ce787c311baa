"""How a chat template writes the tools down, found from what it renders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from itertools import pairwise
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.text import only_place
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoText
from gguf2ollama.chat.synthesis.tool_forms.grammar import (
    EachTool,
    Node,
    Path,
    Print,
    Refusal,
    Text,
    at,
    go_nodes,
    print_nodes,
)
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED, ORDINARY, Tool, held_out_tools
from gguf2ollama.chat.synthesis.tool_forms.styles import JSON_STYLES, TEXT_STYLES, Style

__all__ = ["RenderTools", "ToolsForm", "find_tools_form"]

RenderTools: TypeAlias = Callable[[Sequence[Sequence[Tool]]], Sequence[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsForm:
    """How tools are written down.

    Attributes:
        nodes: The block, over the list of tools.
        exceptions: Kinds of tools that the chat template prints otherwise than this form, or not at all.
    """

    nodes: tuple[Node, ...]
    exceptions: tuple[str, ...] = ()
    _printed: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def print(self, tools: Sequence[Tool]) -> str:
        """Write tools down as the chat template does."""
        key = json.dumps(tools)
        if key not in self._printed:  # the same few are offered in hundreds of probes
            self._printed[key] = print_nodes(self.nodes, tools)
        return self._printed[key]

    def locate(self, text: str, tools: Sequence[Tool]) -> tuple[int, int] | None:
        """Find where the tools stand in a rendered text, or ``None`` where they don't, or stand twice."""
        return only_place(text, self.print(tools))

    def go(self, expression: str = "$.Tools") -> GoText:
        """Return the Go text that prints the tools of an expression."""
        return go_nodes(self.nodes, expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    start: int
    end: int
    tool: int
    node: Print


_FUNCTION: Path = ("function",)
_PARAMETERS: Path = ("function", "parameters")
_VALUES: tuple[Path, ...] = ((), _FUNCTION, _PARAMETERS, (*_PARAMETERS, "properties"))
_TEXTS: tuple[Path, ...] = (("function", "name"), ("function", "description"))
_LISTS: tuple[Path, ...] = ((*_PARAMETERS, "required"),)


def find_tools_form(render: RenderTools) -> ToolsForm | Refusal:
    """Learn from renders how a chat template writes tools down.

    ``render`` takes lists of tools and gives for each what the template makes of one and the same
    conversation with these tools, ``None`` where it raises. It is called with all lists of a step at once.
    """
    texts = render([MARKED[:1], MARKED[:2], MARKED])
    if None in texts:
        return Refusal(reason="the template rejects tools")
    one, two, three = (text for text in texts if text is not None)
    nodes = _whole_values(three)
    if isinstance(nodes, Refusal):
        return nodes
    form = ToolsForm(nodes=nodes)
    for tools, text in ((MARKED[:1], one), (MARKED[:2], two), (MARKED, three)):
        if form.locate(text, tools) is None:
            return Refusal(reason=f"{len(tools)} tools are printed differently from three")
    return _held_to(form, _around(form, three), render)


def _around(form: ToolsForm, text: str) -> tuple[str, str]:
    place = form.locate(text, MARKED)
    if place is None:
        raise AssertionError("a form is found where it was learnt")
    return text[: place[0]], text[place[1] :]


def _held_to(form: ToolsForm, around: tuple[str, str], render: RenderTools) -> ToolsForm | Refusal:
    """Try a form on tools that it was not learnt from."""
    held_out = held_out_tools()
    wrong = [
        name
        for (name, tools), text in zip(held_out.items(), render(list(held_out.values())), strict=True)
        if text != form.print(tools).join(around)
    ]
    ordinary = [name for name in wrong if name in ORDINARY or name.startswith("four tools")]
    if ordinary:
        return Refusal(reason=f"tools with {ordinary[0]} do not follow the rules found")
    return replace(form, exceptions=tuple(wrong))


def _whole_values(text: str) -> tuple[Node, ...] | Refusal:
    """Explain a text with the marked tools by values that are printed whole."""
    for style in JSON_STYLES:
        before, block, after = text.partition(style.print(MARKED))
        if block:
            return _around_list(before, Print(path=(), style=style), after)
    events = _events(text)
    if not any(event.node.path in _VALUES for event in events):
        return Refusal(reason="no complete value of a tool is printed")
    return _grouped(text, events)


def _around_list(before: str, block: Print, after: str) -> tuple[Node, ...] | Refusal:
    """Explain what is printed of the tools before and behind the list of them all."""
    nodes: list[Node] = [block]
    if _is_marked(before) and (events := _events(before)):
        loops = _grouped(before, events)
        if isinstance(loops, Refusal):
            return loops
        nodes = [*loops, Text(text=before[events[-1].end :]), *nodes]
    if _is_marked(after) and (events := _events(after)):
        loops = _grouped(after, events)
        if isinstance(loops, Refusal):
            return loops
        nodes += [Text(text=after[: events[0].start]), *loops]
    return tuple(nodes)


def _is_marked(text: str) -> bool:
    return any(f"{letter}q{number}" in text for number in range(len(MARKED)) for letter in "xyzab")


def _events(text: str) -> list[_Event]:
    """Find the values of the marked tools in a text, from the first on, a whole one before its parts."""
    found: list[_Event] = []
    for path in (*_VALUES, *_LISTS, *_TEXTS):
        style = _style_of(text, path)
        if style is not None:
            found += _occurrences(text, Print(path=path, style=style))
    found.sort(key=lambda event: (event.start, -event.end))
    apart: list[_Event] = []
    for event in found:
        if not apart or event.start >= apart[-1].end:
            apart.append(event)
    return apart


def _style_of(text: str, path: Path) -> Style | None:
    styles = (*TEXT_STYLES, *JSON_STYLES) if path in _TEXTS else JSON_STYLES
    for style in styles:
        if all(style.print(at(tool, path)) in text for tool in MARKED):
            return style
    return None


def _occurrences(text: str, node: Print) -> list[_Event]:
    events = []
    for number, tool in enumerate(MARKED):
        value = node.style.print(at(tool, node.path))
        start = text.find(value)
        while start >= 0:
            events.append(_Event(start=start, end=start + len(value), tool=number, node=node))
            start = text.find(value, start + len(value))
    return events


def _grouped(text: str, events: Sequence[_Event]) -> tuple[Node, ...] | Refusal:
    """Make of the events loops over the tools, with the texts between them."""
    inside = "".join(text[one.end : other.start] for one, other in pairwise(events))
    if _is_marked(text[: events[0].start] + inside + text[events[-1].end :]):
        return Refusal(reason="a part of the tools is printed in an unknown format")
    nodes: list[Node] = []
    groups = _rounds(events)
    for at_group, group in enumerate(groups):
        if at_group:
            nodes.append(Text(text=text[groups[at_group - 1][-1].end : group[0].start]))
        loop = _loop(text, group)
        if isinstance(loop, Refusal):
            return loop
        nodes.append(loop)
    return tuple(nodes)


def _rounds(events: Sequence[_Event]) -> list[list[_Event]]:
    """Cut events where the tools begin anew."""
    rounds: list[list[_Event]] = []
    for event in events:
        if not rounds or event.tool < rounds[-1][-1].tool:
            rounds.append([])
        rounds[-1].append(event)
    return rounds


def _loop(text: str, group: Sequence[_Event]) -> EachTool | Refusal:
    bodies = [
        _body(text, [event for event in group if event.tool == number]) for number in range(len(MARKED))
    ]
    between = {text[one.end : other.start] for one, other in pairwise(group) if one.tool != other.tool}
    if any(body != bodies[0] for body in bodies) or len(between) != 1:
        return Refusal(reason="tools are printed differently from each other")
    return EachTool(body=bodies[0], between=between.pop())


def _body(text: str, events: Sequence[_Event]) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for number, event in enumerate(events):
        if number and (literal := text[events[number - 1].end : event.start]):
            nodes.append(Text(text=literal))
        nodes.append(event.node)
    return tuple(nodes)
