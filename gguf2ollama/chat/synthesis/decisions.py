"""Learn from examples what a value depends on: the fewest facts that explain all of them.

An example is a set of facts (``{"think": "off", "last": "yes"}``) and the value seen beside them. The
result is a decision tree over as few facts as can tell all differing values apart, the likelier facts
first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Generic, TypeAlias, TypeVar

from gguf2ollama._dataclass import dataclass

__all__ = [
    "Branch",
    "Decision",
    "Example",
    "Facts",
    "Inconsistent",
    "Leaf",
    "combined",
    "decide",
    "learn",
    "leaves",
    "mapped",
]

Facts: TypeAlias = Mapping[str, str]
V = TypeVar("V", bound=Hashable)
V_co = TypeVar("V_co", bound=Hashable, covariant=True)
W = TypeVar("W", bound=Hashable)
X = TypeVar("X", bound=Hashable)

_CAP_FACTS = 5  # as many as a template may hang a text on; the search grows with each


@dataclass(frozen=True, slots=True)
class Leaf(Generic[V_co]):
    """A value that depends on nothing more."""

    value: V_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(Generic[V_co]):
    """A value that depends on a fact.

    Attributes:
        fact: The fact's name.
        cases: For values of the fact, what follows.
        otherwise: What follows for every other value.
    """

    fact: str
    cases: tuple[tuple[frozenset[str], Decision[V_co]], ...]
    otherwise: Decision[V_co]


Decision: TypeAlias = "Leaf[V] | Branch[V]"


@dataclass(frozen=True, slots=True)
class Example(Generic[V]):
    """A value, and the facts beside which it was seen."""

    facts: Facts
    value: V


class Inconsistent(Exception):
    """The same facts beside two different values: what the value depends on is not among the facts."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first!r} and {second!r} for the same facts")
        self.first = first
        self.second = second


def learn(examples: Iterable[Example[V]], *, order: Sequence[str]) -> Decision[V]:
    """Learn the simplest decision that gives every example its value.

    Args:
        examples: What was seen; at least one.
        order: The facts that may be used, the likeliest first.

    Raises:
        Inconsistent: No five facts explain the examples.
    """
    seen = list(examples)
    if len({example.value for example in seen}) == 1:
        return Leaf(seen[0].value)
    distinct: dict[tuple[str, ...], V] = {}
    for example in seen:
        told = example.facts.get
        key = tuple([told(name, "") for name in order])
        if distinct.setdefault(key, example.value) != example.value:
            raise Inconsistent(distinct[key], example.value)
    chosen = _fewest(distinct, len(order))
    rows = {tuple(key[at] for at in chosen): value for key, value in distinct.items()}
    return _tree(rows, [order[at] for at in chosen])


def decide(decision: Decision[V], facts: Facts) -> V:
    """Return the value that a decision comes to."""
    while isinstance(decision, Branch):
        value = facts.get(decision.fact, "")
        decision = next((then for values, then in decision.cases if value in values), decision.otherwise)
    return decision.value


def leaves(decision: Decision[V]) -> Iterator[V]:
    """Return every value that a decision can come to."""
    if isinstance(decision, Leaf):
        yield decision.value
        return
    for _, then in decision.cases:
        yield from leaves(then)
    yield from leaves(decision.otherwise)


def mapped(decision: Decision[V], change: Callable[[V], W]) -> Decision[W]:
    """Return the decision with every value changed."""
    if isinstance(decision, Leaf):
        return Leaf(change(decision.value))
    return Branch(
        fact=decision.fact,
        cases=tuple((values, mapped(then, change)) for values, then in decision.cases),
        otherwise=mapped(decision.otherwise, change),
    )


def combined(first: Decision[V], second: Decision[W], combine: Callable[[V, W], Decision[X]]) -> Decision[X]:
    """Return decision that comes to what is made of the values of two; it asks first as the first does."""
    if isinstance(first, Branch):
        cases = tuple(
            (values, combined(then, _narrowed(second, first.fact, values), combine))
            for values, then in first.cases
        )
        known = frozenset[str]().union(*(values for values, _ in first.cases))
        rest = _narrowed(second, first.fact, known, negated=True)
        return Branch(fact=first.fact, cases=cases, otherwise=combined(first.otherwise, rest, combine))
    if isinstance(second, Leaf):
        return combine(first.value, second.value)
    others = tuple((values, combined(first, then, combine)) for values, then in second.cases)
    return _branch(second.fact, others, combined(first, second.otherwise, combine))


def _narrowed(
    decision: Decision[V], fact: str, values: frozenset[str], *, negated: bool = False
) -> Decision[V]:
    """Return what is left of a decision where a fact has one of some values, or none of them."""
    if isinstance(decision, Leaf):
        return decision
    cases = tuple((one, _narrowed(then, fact, values, negated=negated)) for one, then in decision.cases)
    otherwise = _narrowed(decision.otherwise, fact, values, negated=negated)
    if decision.fact == fact:
        cases = tuple((one, then) for one, then in cases if (one - values if negated else one & values))
        if not negated and values <= frozenset[str]().union(*(one for one, _ in cases)):
            *cases_before, (_, otherwise) = cases
            cases = tuple(cases_before)
    return _branch(decision.fact, cases, otherwise)


def _branch(
    fact: str, cases: tuple[tuple[frozenset[str], Decision[V]], ...], otherwise: Decision[V]
) -> Decision[V]:
    """Return a branch, or what all its cases come to."""
    if all(then == otherwise for _, then in cases):
        return otherwise
    return Branch(fact=fact, cases=cases, otherwise=otherwise)


def restricted(decision: Decision[V], facts: Facts) -> Decision[V]:
    """Return what is left of a decision where some facts are known."""
    if isinstance(decision, Leaf):
        return decision
    if decision.fact in facts:
        value = facts[decision.fact]
        then = next((then for values, then in decision.cases if value in values), decision.otherwise)
        return restricted(then, facts)
    cases = tuple((values, restricted(then, facts)) for values, then in decision.cases)
    return _branch(decision.fact, cases, restricted(decision.otherwise, facts))


def _fewest(rows: Mapping[tuple[str, ...], V], width: int) -> tuple[int, ...]:
    """Find the fewest columns that tell apart all rows of different values, those to the left first."""
    lanes = _Lanes(rows, width)
    conflicts = _conflicts(rows, lanes)
    if not conflicts:
        return ()
    useful = [at for at in range(width) if any(mask & lanes.bit(at) for mask in conflicts)]
    for size in range(1, _CAP_FACTS + 1):
        for columns in combinations(useful, size):
            chosen = sum(map(lanes.bit, columns))
            if all(mask & chosen for mask in conflicts):
                return columns
    first, second, *_ = dict.fromkeys(rows.values())
    raise Inconsistent(first, second)


class _Lanes:
    """Rows as numbers, with as many bits for each column as its words need and one for whether two differ."""

    def __init__(self, rows: Iterable[tuple[str, ...]], width: int) -> None:
        self._numbers: list[dict[str, int]] = [{} for _ in range(width)]
        for row in rows:
            for word, known in zip(row, self._numbers, strict=True):
                known.setdefault(word, len(known))
        self._bits = 1 + max((len(known) for known in self._numbers), default=0).bit_length()
        self._tops = sum(self.bit(at) for at in range(width))
        self._below = self._tops - (self._tops >> (self._bits - 1))

    def bit(self, at: int) -> int:
        """Return the bit that tells whether two rows differ in a column."""
        return 1 << (self._bits * (at + 1) - 1)

    def row(self, words: tuple[str, ...]) -> int:
        """Return a row."""
        told = 0
        for at, (word, known) in enumerate(zip(words, self._numbers, strict=True)):
            told |= known[word] << (self._bits * at)
        return told

    def differ(self, one: int, other: int) -> int:
        """Return the bits of the columns in which two rows differ: what is not 0 there carries into them."""
        return ((one ^ other) + self._below) & self._tops


def _conflicts(rows: Mapping[tuple[str, ...], V], lanes: _Lanes) -> list[int]:
    """Return the columns in which two rows of different values differ, as bits: the least such sets only."""
    by_value: dict[V, list[int]] = {}
    for key, value in rows.items():
        by_value.setdefault(value, []).append(lanes.row(key))
    masks: set[int] = set()
    for one, other in combinations(by_value.values(), 2):
        for left in one:
            masks.update([lanes.differ(left, right) for right in other])
    least: list[int] = []
    for mask in sorted(masks, key=lambda mask: mask.bit_count()):
        if not any(known & mask == known for known in least):
            least.append(mask)
    return least


def _tree(rows: Mapping[tuple[str, ...], V], names: Sequence[str]) -> Decision[V]:
    values = list(dict.fromkeys(rows.values()))
    if len(values) == 1:
        return Leaf(values[0])
    trees = [tree for at in range(len(names)) if (tree := _split(rows, names, at)) is not None]
    return min(trees, key=_size)


def _split(rows: Mapping[tuple[str, ...], V], names: Sequence[str], at: int) -> Decision[V] | None:
    """Branch on one column; ``None`` where all rows have the same there.

    Where what follows is the same for each value of the column, it needs no branch.
    """
    parts: dict[str, dict[tuple[str, ...], V]] = {}
    for key, value in rows.items():
        parts.setdefault(key[at], {})[key[:at] + key[at + 1 :]] = value
    if len(parts) == 1:
        return None
    rest = [*names[:at], *names[at + 1 :]]
    grouped: dict[Decision[V], list[str]] = {}
    for word, part in parts.items():
        grouped.setdefault(_tree(part, rest), []).append(word)
    weight = {tree: sum(len(parts[word]) for word in group) for tree, group in grouped.items()}
    *first, otherwise = sorted(grouped, key=lambda tree: weight[tree])
    if not first:
        return otherwise
    return Branch(
        fact=names[at],
        cases=tuple((frozenset(grouped[tree]), tree) for tree in first),
        otherwise=otherwise,
    )


def _size(tree: Decision[V]) -> int:
    if isinstance(tree, Leaf):
        return 1
    return sum(1 + _size(then) for _, then in tree.cases) + _size(tree.otherwise)
