"""Rules of a chat template: what it prints for each message, as values; and what they make of a conversation.

A message is printed slot by slot: its content, its thinking, its calls, and what is put into it from
elsewhere, as the system text in the first user's turn. Before each slot stands a text that depends on
facts, behind it one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from itertools import groupby
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.synthesis.decisions import Decision, Facts, Leaf, decide, leaves
from gguf2ollama.chat.synthesis.facts import conversation_facts, facts_of_messages, message_facts
from gguf2ollama.chat.synthesis.probes import CALL_KINDS
from gguf2ollama.chat.synthesis.tool_forms import ArgumentsForm, ResultForm, TextArguments, ToolsForm

__all__ = [
    "Block",
    "Form",
    "Inline",
    "Piece",
    "Rules",
    "Slot",
    "Trim",
    "is_open",
    "said_before_call",
]


_THOUGHT, _THOUGHT_END = "<think>", "</think>"


class Trim(StrEnum):
    """What is taken off one end of a text, as Python's ``str.strip`` does."""

    nothing = "nothing"
    newlines = "newlines"
    space = "white space"

    def left(self, text: str) -> str:
        """Take it off the beginning of a text."""
        return text if self is Trim.nothing else text.lstrip("\n" if self is Trim.newlines else None)

    def right(self, text: str) -> str:
        """Take it off the end of a text."""
        return text if self is Trim.nothing else text.rstrip("\n" if self is Trim.newlines else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """What becomes of thinking that stands in an answer's text, before ``</think>``.

    Attributes:
        told: Whether it counts as the message's thinking, where it has no other; else it is left out.
        left: What is taken off the beginning of the rest.
        paired: Whether a text without ``<think>`` is left as it is.
        again: Whether the rest is trimmed like any other text, too.
    """

    told: bool
    left: Trim
    paired: bool = False
    again: bool = True

    def cuts(self, message: Message) -> bool:
        """Whether there is thinking in the text of a message."""
        return _THOUGHT_END in message.content and (not self.paired or _THOUGHT in message.content)

    def split(self, message: Message) -> Message:
        """Return the message with its text cut."""
        thoughts = message.content.partition(_THOUGHT_END)[0]
        rest = self.left.left(message.content.rpartition(_THOUGHT_END)[2])
        if not self.told or message.thinking:
            return replace(message, content=rest)
        return replace(message, content=rest, thinking=thoughts.rpartition(_THOUGHT)[2].strip("\n"))


Form: TypeAlias = ToolsForm | ArgumentsForm | TextArguments | ResultForm


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a prompt.

    Attributes:
        what: A message's ``opening``; a slot's ``literal``, ``value``, ``suffix`` or what stands for it
            where it is ``empty``; or the ``ending``.
        text: The text.
        kind, role: The slot's kind and its message's role; ``""`` for the ending.
        facts: What holds there.
    """

    what: str
    text: str
    kind: str = ""
    role: str = ""
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Something that a message prints.

    Attributes:
        kind: What: ``system``, ``user``, ``assistant`` or ``tool`` for such a message's content,
            ``thinking``, …
        shown: When.
        literal: The text before it.
        left, right: What is taken off its ends.
        suffix: The text behind it; not printed where a last answer is left open.
        form: How it is written; ``None`` for a text as it is.
        empty: What stands for all this where its text is empty; ``None`` where it is printed like any other.
    """

    kind: str
    shown: Decision[bool]
    literal: Decision[str]
    left: Decision[Trim]
    right: Decision[Trim]
    suffix: str
    form: Form | None = None
    empty: Decision[str] | None = None

    def print(
        self,
        value: Any,  # noqa: ANN401  # a text, or what the form takes
        facts: Facts,
        role: str,
        *,
        is_last: bool,
        trims: bool,
    ) -> Iterator[Piece]:
        """Return what is printed for a value, in a message of a role.

        Args:
            value: The value.
            facts: What holds there.
            role: The role.
            is_last: Whether nothing stands behind it.
            trims: Whether its beginning is trimmed.
        """
        kind = self.kind
        if not value and self.empty is not None:
            yield Piece("empty", decide(self.empty, facts), kind, role, facts)
            return
        yield Piece("literal", decide(self.literal, facts), kind, role, facts)
        if isinstance(value, str):
            value = decide(self.right, facts).right(value)
            value = decide(self.left, facts).left(value) if trims else value
        yield Piece("value", self.form.print(value) if self.form else value, kind, role, facts)
        if not is_last:
            yield Piece("suffix", self.suffix, kind, role, facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What a message of a role prints.

    Attributes:
        opening: The text that it begins with.
        slots: What it prints then, in order.
    """

    opening: Decision[str]
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a template does.

    Attributes:
        blocks: By role, what such a message prints.
        ending: The text behind the last message, which has the model answer.
        ignored: Roles whose empty messages are as if they weren't there, but for the last message.
        blank: Roles whose messages are taken for empty where they have nothing but white space.
        silent: Roles whose empty messages print nothing.
        inline: What becomes of thinking within an answer's text.
        dates: Texts in literals that are dates, with their formats, as of ``strftime``.
        levelled: Whether levels of thinking are told apart.
    """

    blocks: Mapping[str, Block]
    ending: Decision[str]
    ignored: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    inline: Decision[Inline | None] = field(default_factory=lambda: Leaf(None))
    levelled: bool = False
    dates: Mapping[str, str] = field(default_factory=dict)

    def render(self, conversation: Conversation) -> str:
        """Return what the rules make of a conversation."""
        return "".join(piece.text for piece in self.trace(conversation))

    def trace(self, conversation: Conversation) -> list[Piece]:
        """Return what the rules make of a conversation, piece by piece."""
        messages, cut = self.heard(conversation.messages)
        whole = conversation_facts(conversation, messages, silent=self.silent)
        out: list[Piece] = []
        before = "start"
        told = facts_of_messages(messages)
        for at, message in enumerate(messages):
            facts = {**whole, **told[at]}
            block = self.blocks.get(message.role)
            if block is None or (message.role in self.silent and not message.content and not message.calls):
                continue
            opening = decide(block.opening, facts | {"before": before})
            out.append(Piece("opening", opening, "", message.role))
            for is_call, slots in groupby(block.slots, key=lambda slot: slot.kind in CALL_KINDS):
                group = list(slots)
                for number, call in enumerate(message.calls if is_call else [None]):
                    nth = {"call": "later" if number else "first"} if is_call else {}
                    for slot in group:
                        value = source(slot.kind, messages, at, call=call, tools=conversation.tools)
                        if value is None or (value == "" and slot.kind in self.silent):
                            continue
                        here = {**facts, **nth, "before": before}
                        if not decide(slot.shown, here):
                            continue
                        before = slot.kind
                        is_last = is_open(messages, at) and slot.kind == "assistant"
                        trims = slot.kind != "assistant" or at not in cut or cut[at].again
                        printed = slot.print(value, here, message.role, is_last=is_last, trims=trims)
                        out.extend(printed)
                        if is_last:
                            return out
        facts = {**whole, **(told[-1] if told else {}), "before": before}
        out.append(Piece("ending", decide(self.ending, facts)))
        return out

    def with_slots(self, change: Callable[[str, Slot], Slot]) -> Rules:
        """Return the rules with each slot as a function of its role and of itself gives it."""
        blocks = {
            role: replace(block, slots=tuple(change(role, slot) for slot in block.slots))
            for role, block in self.blocks.items()
        }
        return replace(self, blocks=blocks)

    def texts(self) -> Iterator[str]:
        """Return every text that the template can print of its own."""
        yield from leaves(self.ending)
        for block in self.blocks.values():
            yield from leaves(block.opening)
            for slot in block.slots:
                yield from leaves(slot.literal)
                yield slot.suffix
                yield from leaves(slot.empty) if slot.empty is not None else ()

    def heard(self, messages: Sequence[Message]) -> tuple[Sequence[Message], Mapping[int, Inline]]:
        """Return the messages that count, the texts of answers cut from thinking in them.

        Beside them, the places of those that were cut, and how.
        """
        told = [
            replace(one, content="") if one.role in self.blank and not one.content.strip() else one
            for one in messages
        ]
        heard = [
            message
            for at, message in enumerate(told)
            if message.content or message.calls or message.role not in self.ignored or at == len(messages) - 1
        ]
        if self.inline == Leaf(None):
            return heard, {}
        cut: dict[int, Inline] = {}
        for at, message in enumerate(heard):
            inline = decide(self.inline, message_facts(heard, at))
            if message.role == "assistant" and inline is not None and inline.cuts(message):
                heard[at] = inline.split(message)
                cut[at] = inline
        return heard, cut


def is_open(messages: Sequence[Message], at: int) -> bool:
    """Whether a message is the last one and an assistant's, to be continued."""
    message = messages[at]
    return at == len(messages) - 1 and message.role == "assistant" and not message.calls


def source(
    kind: str,
    messages: Sequence[Message],
    at: int,
    *,
    call: ToolCall | None,
    tools: Sequence[Mapping[str, Any]],
) -> Any | None:  # noqa: ANN401  # a text, or what the form takes
    """Return the value that a slot of a message prints, or ``None`` where there is none."""
    message = messages[at]
    if kind == message.role:
        return message.content
    if call is not None:
        return {"call name": call.name, "call id": call.id, "arguments": dict(call.arguments)}[kind]
    if kind == "said":
        return said_before_call(messages, at)
    values = {
        "thinking": message.thinking or None,
        "system": messages[0].content if messages[0].role == "system" else None,
        "tools": tools or None,
        "tool name": message.tool_name,
        "tool id": message.tool_call_id,
    }
    return values[kind]


def said_before_call(messages: Sequence[Message], at: int) -> str | None:
    """Return what a result's caller said beside its calls."""
    if messages[at].role != "tool":
        return None
    caller = next((one for one in reversed(messages[:at]) if one.role != "tool"), None)
    return caller.content if caller is not None and caller.calls and caller.content else None
