"""Which probes are asked, by letters as `probes.probe` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Role, Think
from gguf2ollama.chat.synthesis.content_rules import PADDING
from gguf2ollama.chat.synthesis.probes import Forms, Probe, probe
from gguf2ollama.chat.synthesis.session import Asked
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED
from gguf2ollama.chat.synthesis.tool_forms.styles import RAW

__all__ = ["Plan", "base", "blank", "empty", "padded"]

_TURNS = ("u", "su", "uau", "suau", "uauau", "suauau", "uauauau", "suauauau")
_OPEN = ("ua", "sua", "uaua", "suaua")
_THOUGHT = (
    *("uhu", "suhu", "uhuhu", "uhuau", "uauhu", "suauhu"),
    *("uh", "suh", "uauh", "uhuh", "suhuh", "uhuauh"),
)
_CALLING = (
    *("uct", "suct", "uctau", "suctau", "uauct", "suauct", "uctauct", "uctct", "suctct", "uctctct"),
    *("udtt", "sudtt", "udttau", "uctctau", "suctctau", "udttct", "uctdtt", "uauctau", "uauauct", "udttauct"),
    *("uCt", "suCt", "uCtau", "uCtCt", "uDtt", "uettt", "uEtttau", "uctauau", "uctauctau", "uctua"),
)
_THOUGHT_AND_CALLED = (
    *("ukt", "sukt", "uktau", "ukthu", "ukthukt", "uktkt", "suktkt", "ultt", "uKt", "uctkt", "uktct"),
    *("uctkthu", "uauct", "uaukt", "uhuct", "uhukt", "uktauct", "uktkthu", "uKtKt", "ukth", "ucth"),
    *("uLtt", "ultthu", "uktltt", "uKtltthu"),
)
_PADDED = ("u", "su", "uau", "suau", "suauau", "ua", "sua", "suaua")
_CLOSED = 5  # messages: what closes a message is seen in chats shorter than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be learnt.

    Attributes:
        thinks: The ways in which thinking is asked for.
        thought: Whether answers have thinking.
        forms: How tools and calls are written; ``None`` where there shall be none.
        is_parallel: Whether messages have several calls at once.
    """

    thinks: Sequence[Think]
    thought: bool = False
    forms: Forms | None = None
    is_parallel: bool = True

    def chosen(self, shapes: Iterable[str]) -> list[str]:
        """Return the shapes that are to be asked."""
        return [shape for shape in shapes if self.is_parallel or not set(shape.lower()) & set("del")]


def base(plan: Plan) -> Iterator[Asked]:
    """Return the probes that texts are learnt from."""
    shapes = [*_TURNS, *_OPEN, *(_THOUGHT if plan.thought else ())]
    for shape, think in product(shapes, plan.thinks):
        yield from _ended(probe(shape, think=think))
    for think in plan.thinks:
        yield Asked(probe=probe("s", think=think), generates=False)
    if plan.forms is None:
        return
    thoughtful = (*_THOUGHT, *_THOUGHT_AND_CALLED) if plan.thought else ()
    shapes = plan.chosen([*_TURNS, *_OPEN[:2], *_CALLING, *thoughtful])
    for shape, think in product(shapes, plan.thinks):
        yield from _ended(probe(shape, think=think, tools=MARKED[:2], forms=plan.forms))
    for shape in plan.chosen(("uc", "ud", "suc", "uC", "uctc")):
        yield Asked(probe=probe(shape, tools=MARKED[:2], forms=plan.forms), generates=False)


def _ended(one: Probe) -> Iterator[Asked]:
    yield Asked(probe=one)
    if not one.is_open and len(one.shape) < _CLOSED:
        yield Asked(probe=one, generates=False)


def padded(plan: Plan) -> Iterator[Asked]:
    """Return probes with white space around the texts of one kind."""
    for kind, shape, think in product(("system", "user", "assistant"), _PADDED, plan.thinks):
        if kind[0] in shape:
            yield Asked(probe=probe(shape, think=think, padding={kind: PADDING}))
    if plan.thought:
        shapes = [shape.replace("a", "h") for shape in _PADDED if "a" in shape]
        for kind, shape, think in product(("assistant", "thinking"), shapes, plan.thinks):
            yield Asked(probe=probe(shape, think=think, padding={kind: PADDING}))
    if plan.forms is None:
        return
    kinds: dict[str, tuple[str, ...]] = {"assistant": ("uCt", "suCt", "uCtau", "suCtau", "uauCt", "uDtt")}
    if plan.forms.result is not None and plan.forms.result.style == RAW:
        kinds["tool"] = ("uct", "uctct", "udtt", "uctau", "udttau")
    if plan.thought:
        kinds["thinking"] = ("ukt", "uKt", "uktau", "uktkt")
    for kind, shapes_of_kind in kinds.items():
        for shape in plan.chosen(shapes_of_kind):
            yield Asked(probe=probe(shape, tools=MARKED[:2], forms=plan.forms, padding={kind: PADDING}))


_EMPTIED = ("u", "su", "uau", "suau", "suauau")


def empty(role: Role) -> Iterator[Asked]:
    """Return probes with an empty message of a role."""
    for shape, at in _places(role):
        yield Asked(probe=probe(shape, empty=[at]))


def blank(role: Role) -> Iterator[Conversation]:
    """Return chats in which a message of a role has nothing but white space."""
    for (shape, at), text in product(_places(role), (" ", "\n", "\t \n ")):
        conversation = probe(shape).conversation
        messages = list(conversation.messages)
        messages[at] = replace(messages[at], content=text)
        yield replace(conversation, messages=tuple(messages))


def _places(role: Role) -> Iterator[tuple[str, int]]:
    for shape in _EMPTIED:
        yield from ((shape, at) for at, letter in enumerate(shape) if letter == role[0])
