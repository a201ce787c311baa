"""Stop strings that would cut an answer off.

A model should stop at the end of its turn, and the text that ends it is a correct stop string. Wrong is one
that the model must write before its answer is complete. A template shows these: it prints earlier answers as
the model wrote them. Three kinds of text count as such:

1. what it prints inside a tool call or reasoning, up to the last value in it (``<tool_call>``,
   ``[TOOL_CALLS]``, ``{"name": "``), unless the generation prompt has it too: some templates print the
   header of the turn (``<|start_header_id|>``) in there, which the model never writes;
2. the closing tag of a tag in such text (``</tool_call>``);
3. the think tags, if both occur in the template (``<think>``, ``</think>``).

So ``<|im_end|>`` after a tool call is correct, ``<|im_start|>`` is harmless, and texts that a template does
not print are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = ["Event", "cutting_stops"]

_THOUGHT_TAGS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
_OPENING_TAG = lazy_pattern(r"<[\w:.-]+>|\[[\w:.-]+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A part of a template's output: a literal text, or a value (``text`` is ``None``).

    ``block`` is the number of the tool call or reasoning block, ``None`` outside of one;
    ``is_response`` marks the value of the answer being generated.
    """

    text: str | None = None
    block: int | None = None
    is_response: bool = False


def cutting_stops(stops: Iterable[str], *, events: Sequence[Event], source: str) -> frozenset[str]:
    """Return the stop strings that a model has to write within an answer.

    Args:
        stops: The stop strings.
        events: The template's output, in order.
        source: The template's source.
    """
    inside = _texts_inside(events)
    prompt = _generation_prompt(events)
    tags = {tag for pair in _THOUGHT_TAGS if all(tag in source for tag in pair) for tag in pair}
    for tag in {match.group() for text in inside for match in _OPENING_TAG.finditer(text)}:
        if tag not in prompt:
            tags.add(f"{tag[0]}/{tag[1:]}")
    return frozenset(
        stop
        for stop in stops
        if stop
        and (
            (stop not in prompt and any(stop in text for text in inside))
            or any(stop in tag or tag in stop for tag in tags)
        )
    )


def _texts_inside(events: Sequence[Event]) -> set[str]:
    """Return the texts of tool calls and reasoning that are followed by a value of the same block."""
    last_value = {event.block: at for at, event in enumerate(events) if event.text is None}
    return {
        event.text
        for at, event in enumerate(events)
        if event.text is not None and event.block is not None and at < last_value.get(event.block, -1)
    }


def _generation_prompt(events: Sequence[Event]) -> str:
    """Return the text after the last value, and the text before the answer being generated."""
    last_value = max((at for at, event in enumerate(events) if event.text is None), default=-1)
    before = ""
    for at, event in enumerate(events):
        if event.is_response and at:
            before += events[at - 1].text or ""
    return before + "".join(event.text or "" for event in events[last_value + 1 :])
