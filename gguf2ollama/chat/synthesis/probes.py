"""Conversations to probe a template with, and how what it prints is cut at what was put in.

Every text of a probe is a sentinel, nine letters and digits that stand nowhere else: content, thinking,
names and ids are found in the prompt by looking for them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message, Role, Think, ToolCall
from gguf2ollama.chat.synthesis.tool_forms import ArgumentsForm, ResultForm, TextArguments, ToolsForm

__all__ = ["CALL_KINDS", "Event", "Forms", "Mark", "Observation", "Padding", "Probe", "observe", "probe"]

CALL_KINDS = ("call id", "call name", "arguments")
"""What a call prints."""

_ROLES: Mapping[str, Role] = {"s": "system", "u": "user", "t": "tool"}
_CALLS = {"c": 1, "d": 2, "e": 3, "k": 1, "l": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a sentinel comes from.

    Attributes:
        kind: What it stands for: a role, for that role's content, ``thinking``, ``call name``, …
        message: The message's place in the conversation.
        call: The call's place in its message.
    """

    kind: str
    message: int
    call: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How a template writes down what is no plain text.

    Attributes:
        tools: The tools offered; ``None`` where they aren't shown.
        arguments: The arguments of a call; ``None`` where they aren't shown.
        result: The content of a tool's result; ``None`` where it isn't shown.
        call_kinds: Of ``call id`` and ``call name``, what is shown of a call itself: where it stands in the
            prompt otherwise, it belongs to the call's result.
    """

    tools: ToolsForm | None = None
    arguments: ArgumentsForm | TextArguments | None = None
    result: ResultForm | None = None
    call_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Padding:
    """White space put around the texts of a role."""

    left: str = ""
    right: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A conversation of sentinels.

    Attributes:
        conversation: The conversation.
        marks: By text, where it comes from: for each time that it may stand in the prompt.
        shape: A letter a message, see `probe`.
    """

    conversation: Conversation
    marks: Mapping[str, tuple[Mark, ...]] = field(repr=False)
    shape: str

    @property
    def is_open(self) -> bool:
        """Whether the last message is an assistant's that is to be continued."""
        last = self.conversation.messages[-1]
        return last.role == "assistant" and not last.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something of a probe that was found in a prompt.

    Attributes:
        mark: What it is.
        literal: The text between it and what was found before it.
    """

    mark: Mark
    literal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A prompt, cut at what was put in.

    Attributes:
        events: What was found, in the order of the prompt.
        tail: The text behind the last of them.
    """

    events: tuple[Event, ...]
    tail: str


def probe(
    shape: str,
    *,
    seed: str = "",
    tools: Sequence[Mapping[str, Any]] = (),
    think: Think = None,
    padding: Mapping[str, Padding] | None = None,
    empty: Collection[int] = (),
    forms: Forms | None = None,
) -> Probe:
    """Make a probe of a shape: a letter for each message.

    ``s``, ``u``, ``a``: a system's, user's, assistant's message. ``h``: an assistant's with thinking.
    ``c``, ``d``, ``e``: an assistant's with one, two, three calls, and no text; ``k``, ``l``: with thinking
    and one, two calls; the capital letter has text too. ``t``: the result of the next open call.

    Args:
        shape: The letters.
        seed: Other seeds make other sentinels.
        tools: The tools offered.
        think: Whether thinking is asked for.
        padding: By kind, the white space to put around its texts.
        empty: The places of messages whose content is empty.
        forms: How tools, arguments and results are written; ``None`` where calls are not looked at.
    """
    writer = _Writer(seed=seed, padding=padding or {}, empty=empty, forms=forms or Forms())
    messages = tuple(writer.message(letter, at) for at, letter in enumerate(shape))
    if tools and forms and forms.tools:
        writer.mark(forms.tools.print(tools), Mark(kind="tools", message=0))
    conversation = Conversation(name=shape, messages=messages, tools=tuple(tools), think=think)
    return Probe(conversation=conversation, marks=writer.marks, shape=shape)


class _Writer:
    """Writes the messages of one probe, and remembers what it wrote where."""

    def __init__(
        self, *, seed: str, padding: Mapping[str, Padding], empty: Collection[int], forms: Forms
    ) -> None:
        self.marks: dict[str, tuple[Mark, ...]] = {}
        self._seed = seed
        self._padding = padding
        self._empty = empty
        self._forms = forms
        self._open: list[ToolCall] = []

    def mark(self, text: str, *marks: Mark) -> str:
        """Remember where a text comes from; after what was said of it before."""
        self.marks[text] = (*self.marks.get(text, ()), *marks)
        return text

    def message(self, letter: str, at: int) -> Message:
        if letter == "t":
            call = self._open.pop(0)
            self.mark(call.name, Mark(kind="tool name", message=at))
            self.mark(call.id, Mark(kind="tool id", message=at))
            content = self._text("tool", at)
            return Message(role="tool", content=content, tool_name=call.name, tool_call_id=call.id)
        if role := _ROLES.get(letter):
            return Message(role=role, content=self._text(role, at))
        calls = tuple(self._call(at, call) for call in range(_CALLS.get(letter.lower(), 0)))
        self._open.extend(calls)
        return Message(
            role="assistant",
            content=self._text("assistant", at) if letter in "ahCDEKL" else "",
            thinking=self._text("thinking", at) if letter in "hkKlL" else None,
            calls=calls,
        )

    def _call(self, at: int, call: int) -> ToolCall:
        names = {kind: self._sentinel(kind, at, call) for kind in ("call name", "call id", "key", "value")}
        for kind in self._forms.call_kinds:
            self.mark(names[kind], Mark(kind=kind, message=at, call=call))
        arguments = {names["key"]: names["value"]}
        if self._forms.arguments:
            mark = Mark(kind="arguments", message=at, call=call)
            self.mark(self._forms.arguments.print(arguments), mark)
        return ToolCall(name=names["call name"], arguments=arguments, id=names["call id"])

    def _text(self, kind: str, at: int) -> str:
        if at in self._empty and kind != "thinking":
            return ""
        pad = self._padding.get(kind, Padding())
        sentinel = self._sentinel(kind, at)
        form = self._forms.result if kind == "tool" else None
        self.mark(form.print(sentinel) if form else sentinel, Mark(kind=kind, message=at))
        return f"{pad.left}{sentinel}{pad.right}"

    def _sentinel(self, kind: str, at: int, call: int = 0) -> str:
        return _sentinel(f"{self._seed}/{kind}/{at}/{call}")


@lru_cache(maxsize=1024)
def _sentinel(place: str) -> str:
    return f"q{hashlib.sha256(place.encode()).hexdigest()[:7]}z"


def _places(text: str, prompt: str) -> Iterator[int]:
    """Return where a text begins, each time that it stands in a prompt."""
    at = prompt.find(text)
    while at >= 0:
        yield at
        at = prompt.find(text, at + 1)


def observe(prompt: str, marks: Mapping[str, Sequence[Mark]]) -> Observation:
    """Cut a prompt at the texts that were put in."""
    events: list[Event] = []
    start = 0
    times: Counter[str] = Counter()
    places = ((at, -len(text), text) for text in marks if text for at in _places(text, prompt))
    for at, _, text in sorted(places):  # of several at one place, the longest
        if at < start:
            continue
        mark = marks[text][min(times[text], len(marks[text]) - 1)]
        events.append(Event(mark=mark, literal=prompt[start:at]))
        start = at + len(text)
        times[text] += 1
    return Observation(events=tuple(events), tail=prompt[start:])
