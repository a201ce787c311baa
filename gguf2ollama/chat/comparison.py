"""Compare a prompt with the one that the authors' chat template makes, and count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import combinations
from typing import Any, get_args

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Feature
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered

__all__ = ["Case", "Parity", "Score", "Verdict", "compare", "moved_keys", "unknown", "without_bos"]

_CAP_VALUES = 10_000  # JSON values that are looked for in one prompt


class Verdict(StrEnum):
    """How two prompts compare, the best first.

    ``exact``: the same bytes. ``json_equal``: the same but for how JSON in them is written. ``different``:
    anything else, and a conversation that only one of the two refuses. ``unknown``: what comes out cannot be
    predicted. ``refused``: the authors' template takes no such conversation, so nothing is compared.
    """

    exact = "exact"
    json_equal = "JSON-equal"
    different = "different"
    unknown = "unknown"
    refused = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One conversation of a comparison.

    Attributes:
        conversation: What was asked.
        want: The reference prompt, without the BOS that the tokenizer adds.
        got: The prompt that is rendered instead; ``None`` where that cannot be predicted.
        verdict: How they compare.
        note: Why ``got`` cannot be predicted, else empty.
    """

    conversation: Conversation
    want: Outcome
    got: Outcome | None
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How many conversations were compared, and how many came out the same."""

    exact: int = 0
    json_equal: int = 0
    compared: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether all came out the same, and there were any."""
        return 0 < self.compared == self.exact

    @property
    def different(self) -> int:
        """How many came out neither the same nor the same but for how JSON is written."""
        return self.compared - self.exact - self.json_equal

    def __str__(self) -> str:
        """Return ``exact/compared``, or ``exact+JSON-equal/compared`` where JSON is written differently."""
        if not self.compared:
            return "-"
        return f"{self.exact}{f'+{self.json_equal}' if self.json_equal else ''}/{self.compared}"


@dataclass(frozen=True, slots=True)
class Parity:
    """The conversations of a comparison, and what they come to."""

    cases: tuple[Case, ...]

    def score(self, feature: Feature) -> Score:
        """Count the conversations that need one feature."""
        found = [
            case.verdict
            for case in self.cases
            if case.conversation.feature == feature and case.verdict is not Verdict.refused
        ]
        return Score(
            exact=found.count(Verdict.exact),
            json_equal=found.count(Verdict.json_equal),
            compared=len(found),
        )

    @property
    def scores(self) -> dict[Feature, Score]:
        """The counts by feature, in the order in which they weigh."""
        return {feature: self.score(feature) for feature in get_args(Feature)}

    @property
    def faults(self) -> tuple[Case, ...]:
        """The conversations that did not come out exactly."""
        return tuple(case for case in self.cases if case.verdict not in {Verdict.exact, Verdict.refused})

    @property
    def differing(self) -> tuple[Case, ...]:
        """Those of them that differ in more than how JSON is written."""
        return tuple(case for case in self.faults if case.verdict is not Verdict.json_equal)

    def __str__(self) -> str:
        counts = (f"{feature} {score}" for feature, score in self.scores.items() if score.compared)
        return ", ".join(counts) or "nothing compared"


def without_bos(outcome: Outcome, *, bos: str) -> Outcome:
    """Take one BOS from the start of a prompt: the one that a tokenizer adds by itself."""
    if bos and isinstance(outcome, Rendered):
        return Rendered(outcome.prompt.removeprefix(bos))
    return outcome


def compare(conversation: Conversation, *, want: Outcome, got: Outcome) -> Case:
    """Compare what came out with what was meant."""
    return Case(conversation=conversation, want=want, got=got, verdict=_verdict(want, got))


def unknown(conversation: Conversation, *, want: Outcome, why: str) -> Case:
    """Return a case whose prompt cannot be predicted, and why."""
    verdict = Verdict.refused if isinstance(want, Refused) else Verdict.unknown
    return Case(conversation=conversation, want=want, got=None, verdict=verdict, note=why)


def _verdict(want: Outcome, got: Outcome) -> Verdict:
    if isinstance(want, Refused):
        return Verdict.refused
    if isinstance(got, Refused):
        return Verdict.different
    if want.prompt == got.prompt:
        return Verdict.exact
    return Verdict.json_equal if _same_but_json(want.prompt, got.prompt) else Verdict.different


def moved_keys(case: Case) -> int:
    """Return how many pairs of keys of JSON objects stand in another order than expected.

    Args:
        case: Prompts that are the same but for how JSON is written; others have none.
    """
    if case.verdict is not Verdict.json_equal:
        return 0
    assert isinstance(case.want, Rendered)  # noqa: S101 - two prompts were compared
    assert isinstance(case.got, Rendered)  # noqa: S101
    pairs = zip(_spans(case.want.prompt), _spans(case.got.prompt), strict=True)
    return sum(_moved(want, got) for want, got in pairs if not isinstance(want, str))


def _moved(want: Any, got: Any) -> int:  # noqa: ANN401 - any JSON value
    if isinstance(want, dict) and isinstance(got, dict):
        order = {key: number for number, key in enumerate(got)}
        numbers = [order[key] for key in want]
        inverted = sum(left > right for left, right in combinations(numbers, 2))
        return inverted + sum(_moved(value, got[key]) for key, value in want.items())
    if isinstance(want, list) and isinstance(got, list):
        return sum(map(_moved, want, got))
    return 0


def _same_but_json(one: str, other: str) -> bool:
    try:
        return list(map(_canonical, _spans(one))) == list(map(_canonical, _spans(other)))
    except RecursionError:  # nested deeper than anybody means
        return False


def _spans(text: str) -> Iterator[Any]:
    """Cut a prompt into texts and the values of the JSON objects and arrays between them, by turns."""
    decoder = json.JSONDecoder(strict=False)
    start = at = 0
    for _ in range(_CAP_VALUES):
        at = min((place for place in (text.find("{", at), text.find("[", at)) if place >= 0), default=-1)
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        except RecursionError:  # nested deeper than anybody means
            break
        yield text[start:at]
        yield value
        start = at = end
    yield text[start:]


def _canonical(span: Any) -> str:  # noqa: ANN401 - a text, or a JSON object or array
    return span if isinstance(span, str) else json.dumps(_whole(span), sort_keys=True)


def _whole(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Write 1.0 as 1, which JSON does not distinguish."""
    if isinstance(value, dict):
        return {key: _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
