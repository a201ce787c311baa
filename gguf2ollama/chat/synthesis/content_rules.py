"""What a template does to the texts it is given: white space, empty ones, and thinking within an answer.

And where it rejects system messages, what is done with their text: it goes before the first question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Think
from gguf2ollama.chat.synthesis.decisions import Branch, Decision, Example, Facts, Leaf, restricted
from gguf2ollama.chat.synthesis.facts import message_facts
from gguf2ollama.chat.synthesis.learning import Observed, Unlearnable, explain
from gguf2ollama.chat.synthesis.probes import Padding, probe
from gguf2ollama.chat.synthesis.rules import Block, Inline, Piece, Rules, Slot, Trim
from gguf2ollama.chat.synthesis.session import Session

__all__ = ["PADDING", "SCOPES", "Scope", "learn_empty", "learn_inline", "learn_trimming", "with_system"]

PADDING = Padding(left="\n \u2003\n", right="\n\u2003 \n")
"""White space that tells apart what `Trim` knows."""


def learn_trimming(rules: Rules, observed: Sequence[Observed]) -> Rules:
    """Learn what is taken off the ends of texts.

    Args:
        rules: Rules that hold where no text has white space at its ends.
        observed: Probes with such white space, `PADDING`, around the texts of one kind.

    Raises:
        Unlearnable: It follows no rule.
    """
    lefts: dict[tuple[str, str], list[Example[Trim]]] = defaultdict(list)
    rights: dict[tuple[str, str], list[Example[Trim]]] = defaultdict(list)
    for one in observed:
        for end in ends(rules, one):
            (lefts if end.is_left else rights)[end.role, end.kind].append(Example(end.facts, end.trim))

    def trimmed(role: str, slot: Slot) -> Slot:
        what = f"the trimming of the {slot.kind} text"
        left, right = lefts[role, slot.kind], rights[role, slot.kind]
        return replace(
            slot,
            left=explain(left, what=what) if left else slot.left,
            right=explain(right, what=what) if right else slot.right,
        )

    return rules.with_slots(trimmed)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What became of the white space at one end of a text."""

    role: str
    kind: str
    facts: Facts
    is_left: bool
    trim: Trim


def ends(rules: Rules, one: Observed) -> Iterator[End]:
    """Return what became of the white space at the ends of texts.

    Args:
        rules: Rules that hold where no text has any.
        one: A probe with `PADDING` around the texts of one kind.

    Raises:
        Unlearnable: It follows no rule.
    """
    gaps = gaps_between(rules, one)
    observation = one.observation
    literals = [*(event.literal for event in observation.events), observation.tail]
    padded = {kind for kind, text in _texts(one) if text.startswith(PADDING.left)}
    for gap, literal in zip(gaps, literals, strict=True):
        sides = [gap.behind if gap.behind and gap.behind.kind in padded else None]
        sides.append(gap.ahead if gap.ahead and gap.ahead.kind in padded else None)
        found = [
            (right, left)
            for right, left in product(Trim if sides[0] else [None], Trim if sides[1] else [None])
            if (right.right(PADDING.right) if right else "")
            + gap.text
            + (left.left(PADDING.left) if left else "")
            == literal
        ]
        if len(found) != 1:
            raise Unlearnable("the trimming of texts follows no known rule")
        for piece, trim, is_left in zip(sides, found[0], (False, True), strict=True):
            if piece is not None and trim is not None:
                yield End(role=piece.role, kind=piece.kind, facts=piece.facts, is_left=is_left, trim=trim)


def _texts(one: Observed) -> Iterator[tuple[str, str]]:
    for message in one.probe.conversation.messages:
        yield message.role, message.content
        yield "thinking", message.thinking or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The text between two values, or before the first, or behind the last.

    Attributes:
        behind, ahead: The values; ``None`` at the ends of the prompt.
        pieces: What is printed between them.
    """

    behind: Piece | None
    ahead: Piece | None
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)


def gaps_between(rules: Rules, one: Observed) -> list[Gap]:
    """Return what the rules print between the sentinels that were found.

    Raises:
        Unlearnable: The rules find other sentinels.
    """
    gaps: list[Gap] = []
    behind: Piece | None = None
    between: list[Piece] = []
    for piece in rules.trace(one.probe.conversation):
        if piece.what == "value" and piece.text:
            gaps.append(Gap(behind=behind, ahead=piece, pieces=tuple(between)))
            behind, between = piece, []
        else:
            between.append(piece)
    gaps.append(Gap(behind=behind, ahead=None, pieces=tuple(between)))
    kinds = [gap.ahead.kind for gap in gaps if gap.ahead]
    seen = [event.mark.kind for event in one.observation.events]
    if [{"said": "assistant"}.get(kind, kind) for kind in kinds] != seen:
        raise Unlearnable("the output depends on the text")
    return gaps


def learn_empty(rules: Rules, role: str, observed: Sequence[Observed]) -> Rules:
    """Learn what becomes of empty messages of a role.

    Args:
        rules: Rules that hold where no message is empty.
        role: The role.
        observed: Probes with an empty message of the role.

    Raises:
        Unlearnable: It follows no rule.
    """
    for candidate in (rules, replace(rules, ignored=rules.ignored | {role})):
        if all(agrees(candidate, one) for one in observed):
            return candidate
    examples = [Example(*_alone(rules, role, one)) for one in observed]
    decision: Decision[str] = explain(examples, what=f"the output for an empty {role} text")

    def emptied(host: str, slot: Slot) -> Slot:
        return replace(slot, empty=decision) if host == slot.kind == role else slot

    return rules.with_slots(emptied)


def agrees(rules: Rules, one: Observed) -> bool:
    """Return whether the rules print what was observed."""
    observation = one.observation
    try:
        gaps = gaps_between(rules, one)
    except Unlearnable:
        return False
    return [gap.text for gap in gaps] == [*(event.literal for event in observation.events), observation.tail]


def _alone(rules: Rules, role: str, one: Observed) -> tuple[Facts, str]:
    """Return what stands where the empty text would, without what belongs to its neighbours."""
    literals = [*(event.literal for event in one.observation.events), one.observation.tail]
    for gap, literal in zip(gaps_between(rules, one), literals, strict=True):
        at = next(
            (at for at, piece in enumerate(gap.pieces) if piece.what == "value" and piece.kind == role), None
        )
        if at is None:
            if gap.text != literal:
                break
            continue
        head = "".join(piece.text for piece in gap.pieces[: at - 1])
        tail = "".join(piece.text for piece in gap.pieces[at + 2 :])
        if len(head) + len(tail) <= len(literal) and literal.startswith(head) and literal.endswith(tail):
            return gap.pieces[at].facts, literal[len(head) : len(literal) - len(tail)]
        break
    raise Unlearnable(f"the output for an empty {role} text follows no known rule")


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


JOINT = "\n\n"
"""What stands between a system text and the first question."""


def with_system(rules: Rules) -> Rules:
    """Return rules that print a system text before the first question, in its turn."""
    block = rules.blocks["user"]
    slots: list[Slot] = []
    for slot in block.slots:
        if slot.kind == "user":
            slots += [_system_slot(slot), replace(slot, literal=_behind_system(slot.literal))]
        else:
            slots.append(slot)
    blocks = {**rules.blocks, "user": Block(opening=block.opening, slots=tuple(slots))}
    return replace(rules, blocks=blocks)


def _system_slot(user: Slot) -> Slot:
    is_first: Decision[bool] = Branch(
        fact="first", cases=((frozenset({"yes"}), Leaf(value=True)),), otherwise=Leaf(value=False)
    )
    return Slot(
        kind="system",
        shown=is_first,
        literal=restricted(user.literal, {"previous": "", "before": "start", "system": "no"}),
        left=Leaf(Trim.nothing),
        right=Leaf(Trim.nothing),
        suffix=JOINT,
    )


def _behind_system(literal: Decision[str]) -> Decision[str]:
    nothing: Decision[str] = Leaf("")
    return Branch(fact="before", cases=((frozenset({"system"}), nothing),), otherwise=literal)
