"""From observed prompts to rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.conversation import Message
from gguf2ollama.chat.synthesis.decisions import Decision, Example, Facts, Inconsistent, Leaf, learn
from gguf2ollama.chat.synthesis.facts import FACTS, conversation_facts, facts_of_messages
from gguf2ollama.chat.synthesis.probes import CALL_KINDS, Event, Forms, Mark, Observation, Probe
from gguf2ollama.chat.synthesis.rules import Block, Form, Rules, Slot, Trim, said_before_call
from gguf2ollama.chat.synthesis.text import common_beginning, common_end
from gguf2ollama.chat.synthesis.tool_forms.styles import RAW

__all__ = ["Observed", "Unlearnable", "explain", "learn_rules"]

V = TypeVar("V", bound=Hashable)


class Unlearnable(Exception):
    """What a template prints follows no rule that can be told: the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A probe, and what came out: with a generation prompt behind it, or without."""

    probe: Probe
    observation: Observation
    generates: bool


def _facts_of(one: Observed, silent: Collection[str]) -> list[Facts]:
    conversation = one.probe.conversation
    whole = conversation_facts(conversation, conversation.messages, silent=silent)
    return [{**whole, **facts} for facts in facts_of_messages(conversation.messages)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Printed:
    """An event in its place: which message's block it stands in, and what was printed before it."""

    event: Event
    host: int
    facts: Facts
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chat:
    """What was observed of a probe, message by message.

    Attributes:
        one: The observation.
        facts: By message, what holds there.
        printed: Its events in their order.
        hosted: The same by the message that prints them.
        could: What could be printed, and by which message.
    """

    one: Observed
    facts: Sequence[Facts]
    printed: Sequence[_Printed]
    hosted: Mapping[int, Sequence[_Printed]]
    could: Collection[tuple[str, int]]

    @property
    def messages(self) -> Sequence[Message]:
        """The messages of the probe."""
        return self.one.probe.conversation.messages


def learn_rules(
    observed: Sequence[Observed],
    *,
    forms: Forms | None = None,
    silent: Collection[str] = (),
) -> Rules:
    """Learn rules that explain all that was observed.

    Args:
        observed: The observations.
        forms: How what is no plain text is written.
        silent: Roles whose empty messages print nothing.

    Raises:
        Unlearnable: There are none.
    """
    return _Learner(observed, forms=forms or Forms(), silent=silent).rules()


class _Learner:
    def __init__(self, observed: Sequence[Observed], *, forms: Forms, silent: Collection[str]) -> None:
        self.observed = observed
        self.forms: dict[str, Form | None] = {
            "tools": forms.tools,
            "arguments": forms.arguments,
            "tool": forms.result if forms.result and forms.result.style != RAW else None,
        }
        self.moved = {"tools", *(["system"] if _moves_system(observed) else [])}
        self.chats = [self._chat(one, _facts_of(one, silent)) for one in observed]
        self.suffixes = self._suffixes()
        self.openings: dict[str, Mapping[str, str]] = {}

    def rules(self) -> Rules:
        roles = dict.fromkeys(m.role for one in self.observed for m in one.probe.conversation.messages)
        return Rules(
            blocks={role: self._block(role) for role in roles},
            ending=self._ending(),
        )

    def _chat(self, one: Observed, facts: Sequence[Facts]) -> _Chat:
        printed = self._place(one, facts)
        hosted: dict[int, list[_Printed]] = defaultdict(list)
        for p in printed:
            hosted[p.host].append(p)
        could = {(mark.kind, mark.message) for marks in one.probe.marks.values() for mark in marks}
        return _Chat(one=one, facts=facts, printed=printed, hosted=dict(hosted), could=could)

    def _place(self, one: Observed, facts: Sequence[Facts]) -> list[_Printed]:
        """Say for each event of a prompt which message prints it."""
        messages = one.probe.conversation.messages
        events = list(_told_later(one))
        hosts: list[int] = []
        host = len(messages) - 1
        for event in reversed(events):
            if event.mark.kind not in self.moved:
                if event.mark.message > host:
                    raise Unlearnable("messages are not printed in order")
                host = event.mark.message
            hosts.insert(0, host)
        printed: list[_Printed] = []
        before = "start"
        for event, place in zip(events, hosts, strict=True):
            here = {**facts[place], "before": before}
            if event.mark.kind in CALL_KINDS:
                here["call"] = "later" if event.mark.call else "first"
            printed.append(_Printed(event=event, host=place, facts=here, before=before))
            before = event.mark.kind
        return printed

    def _block(self, role: str) -> Block:
        found = [
            _kinds([p.event.mark for p in chat.hosted.get(at, ())])
            for chat in self.chats
            for at, message in enumerate(chat.messages)
            if message.role == role
        ]
        kinds = _ordered(found, role)
        if role == "assistant" and not self.moved & set(kinds) and len(kinds) > 1:
            self.openings[role] = self._opening(role)
        opening = [
            Example({"before": before, "previous": before}, text)
            for before, text in self.openings.get(role, {}).items()
        ]
        return Block(
            opening=explain(opening, what=f"the start of {role} messages") if opening else Leaf(""),
            slots=tuple(self._slot(role, kind) for kind in kinds),
        )

    def _opening(self, role: str) -> Mapping[str, str]:
        """Return what all messages of a role begin with, by what was printed before them."""
        literals: dict[str, list[str]] = defaultdict(list)
        thoughts: list[str] = []
        for chat in self.chats:
            for at, message in enumerate(chat.messages):
                if message.role != role:
                    continue
                if not (hosted := chat.hosted.get(at)):
                    return {}  # such a message may print nothing at all
                first = hosted[0]
                literals[first.before].append(self._without_suffix(first))
                if first.event.mark.kind == "thinking":
                    thoughts.append(literals[first.before][-1])
        return {before: _without_tag(common_beginning(texts), thoughts) for before, texts in literals.items()}

    def _slot(self, role: str, kind: str) -> Slot:
        literals: list[Example[str]] = []
        shown: list[Example[bool]] = []
        for chat in self.chats:
            is_anywhere = kind in self.moved and any(kind == could for could, _ in chat.could)
            for at, message in enumerate(chat.messages):
                if message.role != role:
                    continue
                hosted = chat.hosted.get(at, ())
                found = [p for p in hosted if p.event.mark.kind == kind]
                for p in found:
                    opening = self.openings.get(role, {}).get(p.before, "") if p is hosted[0] else ""
                    literals.append(Example(p.facts, self._without_suffix(p)[len(opening) :]))
                here = chat.facts[at]
                is_there = is_anywhere if kind in self.moved else (kind, at) in chat.could
                if is_there or (kind == "said" and said_before_call(chat.messages, at)):
                    shown.append(Example(here, bool(found)))
                    if kind == role and not message.calls:  # until it is seen otherwise
                        shown.append(Example({**here, "content": "no"}, bool(found)))
                elif kind == role and message.calls:
                    shown.append(Example(here, value=False))
        where = f"the text before the {kind} text" if kind != role else f"the text before a {role} message"
        return Slot(
            kind=kind,
            form=self.forms.get(kind),
            shown=explain(shown, what=f"whether the {kind} text is shown"),
            literal=explain(literals, what=where),
            left=Leaf(Trim.nothing),
            right=Leaf(Trim.nothing),
            suffix=self.suffixes.get(kind, ""),
        )

    def _without_suffix(self, printed: _Printed) -> str:
        return printed.event.literal[len(self.suffixes.get(printed.before, "")) :]

    def _ending(self) -> Decision[str]:
        examples: list[Example[str]] = []
        for chat in self.chats:
            if chat.one.probe.is_open or not chat.one.generates:
                continue
            before = chat.printed[-1].event.mark.kind if chat.printed else "start"
            tail = chat.one.observation.tail[len(self.suffixes.get(before, "")) :]
            examples.append(Example({**chat.facts[-1], "before": before}, tail))
        return explain(examples, what="the text after the last message")

    def _suffixes(self) -> dict[str, str]:
        """Find for each kind the text that always stands behind it.

        Where a template ends without a generation prompt, that is its end; else what is left of the texts
        behind it without what all texts before the next thing have in common.
        """
        behind: dict[str, list[tuple[str, str]]] = defaultdict(list)
        into: dict[str, list[str]] = defaultdict(list)
        closings: dict[str, set[str]] = defaultdict(set)
        for chat in self.chats:
            one, printed = chat.one, chat.printed
            hosts = [None, *(p.host for p in printed)]
            for p, host in zip(printed, hosts, strict=False):
                behind[p.before].append(("" if p.host == host else p.event.mark.kind, p.event.literal))
                into[p.event.mark.kind].append(p.event.literal)
            if not printed or one.probe.is_open:
                continue
            last = printed[-1].event.mark.kind
            if one.generates:
                behind[last].append(("end", one.observation.tail))
            else:
                closings[last].add(one.observation.tail)
        heads = {kind: common_end(literals) for kind, literals in into.items()}
        return {
            kind: _tag_only(kind, _suffix(texts, closings.get(kind, set()), heads))
            for kind, texts in behind.items()
            if kind != "start"
        }


_TAG = lazy_pattern(r"\s*[<\[][^>\]]*[>\]]\s*")


def _tag_only(kind: str, suffix: str) -> str:
    """Leave of what stands behind thinking only its closing tag: Ollama looks for it there."""
    tag = _TAG.match(suffix) if kind == "thinking" else None
    return tag[0] if tag else suffix


def _suffix(texts: Sequence[tuple[str, str]], closings: set[str], heads: Mapping[str, str]) -> str:
    if len(closings) == 1:
        (closing,) = closings
        if all(text.startswith(closing) for _, text in texts):
            return closing
    return common_beginning([text.removesuffix(heads.get(kind, "")) for kind, text in texts])


def _without_tag(opening: str, thoughts: Sequence[str]) -> str:
    """Leave the tag before thinking to the thinking: Ollama looks for it there."""
    for text in thoughts:
        tag = max(text.rstrip().rfind("<"), text.rstrip().rfind("["))
        if tag >= 0 and opening.startswith(text[:tag]):
            opening = text[:tag]
    return opening


def _told_later(one: Observed) -> Iterator[Event]:
    """Return events; what was said before a call and stands behind results belongs to the last of these."""
    latest = 0
    for event in one.observation.events:
        mark = event.mark
        if mark.kind == "assistant" and mark.message < latest:
            yield replace(event, mark=Mark(kind="said", message=latest))
            continue
        latest = max(latest, mark.message)
        yield event


def _moves_system(observed: Sequence[Observed]) -> bool:
    """Whether the system text is ever printed elsewhere than before all messages."""
    return any(
        event.mark.kind == "system" and at
        for one in observed
        for at, event in enumerate(e for e in one.observation.events if e.mark.kind != "tools")
    )


def _kinds(marks: Sequence[Mark]) -> list[str]:
    """Return what a message prints, in order; what it prints for each call once.

    Raises:
        Unlearnable: Calls are not printed one like the other.
    """
    by_call: dict[int, list[str]] = defaultdict(list)
    kinds: list[str] = []
    for mark in marks:
        if mark.kind in CALL_KINDS:
            by_call[mark.call].append(mark.kind)
        if mark.kind not in CALL_KINDS or not mark.call:
            kinds.append(mark.kind)
    called = [mark.call for mark in marks if mark.kind in CALL_KINDS]
    if called != sorted(called) or any(each != by_call[0] for each in by_call.values()):
        raise Unlearnable("the tool calls of a message are printed differently from each other")
    return kinds


def _ordered(found: Sequence[Sequence[str]], role: str) -> list[str]:
    """Return the order in which messages of a role print things.

    Raises:
        Unlearnable: There is none.
    """
    if any(len(set(kinds)) < len(kinds) for kinds in found):
        raise Unlearnable(f"a {role} message prints something twice")
    later = {kind: set[str]() for kinds in found for kind in kinds}
    for kinds in found:
        for at, kind in enumerate(kinds):
            later[kind].update(kinds[at + 1 :])
    order: list[str] = []
    while later:
        first = next((kind for kind in later if not any(kind in behind for behind in later.values())), None)
        if first is None:
            raise Unlearnable(f"the parts of a {role} message are printed in varying order")
        order.append(first)
        del later[first]
    return order


def explain(examples: Sequence[Example[V]], *, what: str) -> Decision[V]:
    """Learn a decision.

    Raises:
        Unlearnable: There is none; ``what`` it is about.
    """
    try:
        return learn(examples, order=FACTS)
    except Inconsistent as problem:
        raise Unlearnable(
            f"{what} is sometimes {problem.first!r} and sometimes {problem.second!r}"
        ) from problem
