"""What a template prints otherwise around an answer's text that names marks of thinking, but isn't cut there.

Some templates put an empty thought before an answer without one, unless its text names ``<think>`` or
``</think>``: who wrote such a text is taken to have seen to that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, product
from typing import TypeVar

from gguf2ollama.chat.conversation import Feature
from gguf2ollama.chat.synthesis.contents import PADDING, agrees, ends, gaps_between
from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Example, Leaf, combined, decide
from gguf2ollama.chat.synthesis.learning import Observed, Unlearnable, explain
from gguf2ollama.chat.synthesis.plan import Plan
from gguf2ollama.chat.synthesis.probes import Mark, Probe, probe
from gguf2ollama.chat.synthesis.rules import Rules, Slot, Trim
from gguf2ollama.chat.synthesis.session import Asked, Session
from gguf2ollama.chat.synthesis.thoughts import MARKS
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED

__all__ = ["learn_marks"]

V = TypeVar("V", str, Trim)

_FIRST = ("uau", "ua")
_TURNS = ("uau", "suau", "uauau", "suauau", "ua", "sua", "uaua", "suaua")
_THOUGHT = ("uhu", "uhuau", "uauhu", "uh", "uauh", "uhuh")
_CALLING = ("uCt", "suCt", "uCtCt", "uDtt", "uCta", "uCtau", "uctau", "uauCt", "uctauct", "uctauctau")
_THOUGHT_AND_CALLED = ("uKt", "uKtau", "uauKt", "uKtKt")
_HELD_OUT = (("uauauauau", 3), ("suauaua", 6), ("uaua", 1), ("uhuauhu", 3), ("uauh", 3))
_PADDED = ("uau", "suau", "ua", "uaua", "uh", "uhu", "uCt", "uctau", "uauCt", "uKt")


def learn_marks(rules: Rules, session: Session, plan: Plan) -> tuple[Rules, list[Feature]]:
    """Learn what stands otherwise before an answer's text that names a lone mark of thinking.

    A template that names no marks is not asked, and one for which they change nothing a few things only.

    Args:
        rules: Rules that hold where no text names any.
        session: The template.
        plan: What is to be learnt.

    Returns:
        The rules, and where the template cuts texts at a lone mark, of which they know nothing.

    Raises:
        Unlearnable: It follows no rule.
    """
    named = [mark for mark in MARKS if mark in session.template.text]
    marks = [mark for mark in named if _matters(rules, session, mark)]
    if not marks:
        return rules, []
    observed = session.observe(
        list(_asked(marks, plan, [*_TURNS, *_THOUGHT], [*_CALLING, *_THOUGHT_AND_CALLED]))
    )
    whole = [one for one in observed if _is_whole(one)]
    padded = session.observe(list(_asked(marks, plan, _PADDED, _PADDED, is_padded=True)))
    rules = _with_literals(replace(rules, marks=frozenset(marks)), whole)
    rules = _with_trims(rules, [one for one in padded if _is_whole(one)])
    held_out = session.observe([Asked(probe=one) for one in _held_out(marks, plan)])
    if not all(agrees(rules, one) for one in held_out if _is_whole(one)):
        raise Unlearnable("the handling of unpaired think tags follows no known rule")
    return rules, list(dict.fromkeys(_feature(one.probe) for one in observed if not _is_whole(one)))


def _feature(one: Probe) -> Feature:
    """Return what a probe takes of a model."""
    if one.conversation.tools:
        return "tools"
    return "thinking" if any(message.thinking for message in one.conversation.messages) else "plain"


def _matters(rules: Rules, session: Session, mark: str) -> bool:
    """Whether a mark changes what is printed around a text that is printed whole."""
    observed = session.observe([Asked(probe=_marked(probe(shape), [mark])) for shape in _FIRST])
    return any(_is_whole(one) and not agrees(rules, one) for one in observed)


def _asked(
    marks: Sequence[str],
    plan: Plan,
    shapes: Iterable[str],
    calling: Iterable[str],
    *,
    is_padded: bool = False,
) -> Iterator[Asked]:
    """Return probes in which each answer's text names a mark: by turns; each, where few are asked."""
    padding = {"assistant": PADDING} if is_padded else None
    turns = cycle(marks)
    for shape in _possible(shapes, plan, calls=False):
        for think in plan.thinks if shape in _FIRST and not is_padded else plan.thinks[:1]:
            for mark in marks if shape in _FIRST or is_padded else [next(turns)]:
                yield Asked(probe=_marked(probe(shape, think=think, padding=padding), [mark]))
    for shape in _possible(calling, plan, calls=True) if plan.forms else ():
        asked = probe(shape, tools=MARKED[:2], forms=plan.forms, padding=padding)
        for mark in marks if is_padded else [next(turns)]:
            yield Asked(probe=_marked(asked, [mark]))


def _held_out(marks: Sequence[str], plan: Plan) -> Iterator[Probe]:
    """Return probes in which some answers name a mark, and others don't."""
    thinks = cycle(plan.thinks)
    for named, (shape, place) in product([*([mark] for mark in marks), marks[::-1]], _HELD_OUT):
        if plan.thought or "h" not in shape:
            yield _marked(probe(shape, seed="held out", think=next(thinks)), named, places={place})
    for mark, shape in product(marks, plan.chosen(("uauCtDtt", "uCtCtCt"))):
        if plan.forms is not None:
            asked = probe(shape, seed="held out", tools=MARKED, forms=plan.forms)
            yield _marked(asked, [mark], places={shape.rfind("C")})


def _possible(shapes: Iterable[str], plan: Plan, *, calls: bool) -> list[str]:
    """Return those of some shapes that a plan has to do with, with calls in them or without."""
    thoughtful = set("hkKlL")
    return [
        shape
        for shape in plan.chosen(shapes)
        if ("t" in shape) == calls and (plan.thought or not thoughtful & set(shape))
    ]


def _marked(one: Probe, marks: Sequence[str], *, places: Collection[int] | None = None) -> Probe:
    """Return a probe in which answers' texts name marks; the whole of such a text is what is looked for."""
    messages = list(one.conversation.messages)
    sought = dict(one.marks)
    for text, (mark, *_) in one.marks.items():
        if mark.kind == "assistant" and (places is None or mark.message in places):
            told = " ".join((text, *marks, text[::-1]))
            sought[told] = sought.pop(text)
            message = messages[mark.message]
            messages[mark.message] = replace(message, content=message.content.replace(text, told))
    conversation = replace(one.conversation, messages=tuple(messages))
    return replace(one, conversation=conversation, marks=sought)


def _is_whole(one: Observed) -> bool:
    """Whether each answer's text was printed."""
    printed = {event.mark for event in one.observation.events}
    return all(mark in printed for marks in one.probe.marks.values() for mark in marks if _is_answer(mark))


def _is_answer(mark: Mark) -> bool:
    return mark.kind == "assistant"


def _with_literals(rules: Rules, observed: Sequence[Observed]) -> Rules:
    """Learn what the text before answers' texts loses at its end."""
    examples: list[Example[str]] = []
    for one in observed:
        literals = [*(event.literal for event in one.observation.events), one.observation.tail]
        for gap, literal in zip(gaps_between(rules, one), literals, strict=True):
            is_before = gap.ahead is not None and gap.ahead.kind == "assistant"
            lost = gap.text[len(literal) :] if is_before else ""
            if gap.text != literal + lost or (lost and not gap.pieces[-1].text.endswith(lost)):
                raise Unlearnable("an unpaired think tag changes more than the text before it")
            if gap.ahead is not None and is_before:
                examples.append(Example(gap.ahead.facts, lost))
    left_out = explain(examples, what="the text left out before an answer with an unpaired think tag")
    return _with_slot(rules, lambda slot: replace(slot, literal=combined(slot.literal, left_out, _without)))


def _without(text: str, lost: str) -> Decision[str]:
    if not lost or not text.endswith(lost):
        return Leaf(text)
    return _where_marked(Leaf(text.removesuffix(lost)), Leaf(text))


def _where_marked(marked: Decision[V], otherwise: Decision[V]) -> Decision[V]:
    return Branch(fact="marks", cases=((frozenset({"yes"}), marked),), otherwise=otherwise)


def _with_trims(rules: Rules, observed: Sequence[Observed]) -> Rules:
    """Learn what is taken off the ends of such texts."""
    found = [end for one in observed for end in ends(rules, one) if end.kind == "assistant"]
    lefts = [Example(end.facts, end.trim) for end in found if end.is_left]
    rights = [Example(end.facts, end.trim) for end in found if not end.is_left]
    return _with_slot(
        rules, lambda slot: replace(slot, left=_told(slot.left, lefts), right=_told(slot.right, rights))
    )


def _with_slot(rules: Rules, change: Callable[[Slot], Slot]) -> Rules:
    """Return the rules with the slot of answers' texts changed."""
    return rules.with_slots(lambda role, slot: change(slot) if role == slot.kind == "assistant" else slot)


def _told(known: Decision[V], examples: Sequence[Example[V]]) -> Decision[V]:
    """Return a decision that holds for texts with marks, too.

    Raises:
        Unlearnable: There is none.
    """
    if all(decide(known, one.facts) == one.value for one in examples):
        return known
    marked = explain(examples, what="the output of an answer with an unpaired think tag")
    return _where_marked(marked, known)
