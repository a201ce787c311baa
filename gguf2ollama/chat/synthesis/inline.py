"""What a template does with thinking that stands in an answer's own text, before ``</think>``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Think
from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Leaf
from gguf2ollama.chat.synthesis.facts import message_facts
from gguf2ollama.chat.synthesis.learning import Unlearnable
from gguf2ollama.chat.synthesis.probes import probe
from gguf2ollama.chat.synthesis.rules import Inline, Rules, Trim
from gguf2ollama.chat.synthesis.session import Session

__all__ = ["SCOPES", "Scope", "learn_inline"]

_EARLIER, _OPEN = ("uau", "suau", "uauau"), ("ua", "uaua")
FORMS = (
    "<think>\n{thought}\n</think>\n\n{text}",
    "<think>{thought}</think>{text}",
    "<think> {thought} \n</think> \n{text}",
    "{thought}\n</think>\n{text}",
)
"""How an answer's text may hold thinking, the usual way first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which answers are looked at.

    Attributes:
        forms: How their texts hold thinking.
        shapes: The chats that they stand in.
    """

    forms: Sequence[str]
    shapes: Sequence[str]


SCOPES = (
    Scope(forms=FORMS, shapes=(*_EARLIER, *_OPEN)),
    Scope(forms=FORMS[:1], shapes=(*_EARLIER, *_OPEN)),
    Scope(forms=FORMS[:1], shapes=_EARLIER),
)
"""All answers; those with thinking in the usual form; those of them that are not to be continued."""
_WAYS: tuple[Inline | None, ...] = (
    None,
    *(
        Inline(told=told, left=left, paired=paired, again=again)
        for paired, again, told, left in product((False, True), (True, False), (False, True), Trim)
    ),
)


def learn_inline(rules: Rules, session: Session, *, thinks: Sequence[Think], scope: Scope) -> Rules:
    """Learn what becomes of thinking in an answer's text.

    Args:
        rules: Rules that hold where there is none.
        session: The template.
        thinks: The ways in which thinking is asked for.
        scope: Which answers it shall hold for.

    Raises:
        Unlearnable: It follows no rule.
    """
    asked = list(_asked(thinks, scope))
    ways: dict[tuple[str, ...], list[Inline | None]] = {}
    for one, prompt in zip(asked, session.render([each.conversation for each in asked]), strict=True):
        if prompt is not None:
            known = ways.get(one.facts, _WAYS)
            ways[one.facts] = [
                way for way in known if replace(rules, inline=Leaf(way)).render(one.conversation) == prompt
            ]
    decision = _decision(ways) if ways else Leaf(None)
    if decision is None:
        raise Unlearnable("the handling of reasoning within an answer's text follows no known rule")
    return replace(rules, inline=decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A conversation with thinking in one answer's text, and what holds of that answer."""

    conversation: Conversation
    facts: tuple[str, ...]


_FACTS = ("after last user", "last answer", "last")


def _decision(ways: Mapping[tuple[str, ...], Sequence[Inline | None]]) -> Decision[Inline | None] | None:
    """Find one way for all, or two that one fact tells apart."""
    if both := _shared(list(ways.values())):
        return Leaf(both[0])
    for at, fact in enumerate(_FACTS):
        yes, no = (
            _shared([found for facts, found in ways.items() if facts[at] == word]) for word in ("yes", "no")
        )
        if yes and no:
            return Branch(fact=fact, cases=((frozenset({"yes"}), Leaf(yes[0])),), otherwise=Leaf(no[0]))
    return None


def _shared(ways: Sequence[Sequence[Inline | None]]) -> list[Inline | None]:
    """Return the ways that are in all of them, the simplest first."""
    return [way for way in _WAYS if all(way in one for one in ways)]


def _asked(thinks: Sequence[Think], scope: Scope) -> Iterator[_Asked]:
    for shape, form, think in product(scope.shapes, scope.forms, thinks):
        conversation = probe(shape, think=think).conversation
        for at, message in enumerate(conversation.messages):
            if message.role == "assistant":
                content = form.format(thought=f"{message.content[::-1]}, no", text=message.content)
                messages = list(conversation.messages)
                messages[at] = replace(message, content=content)
                facts = message_facts(messages, at)
                yield _Asked(
                    conversation=replace(conversation, messages=tuple(messages)),
                    facts=tuple(facts[name] for name in _FACTS),
                )
