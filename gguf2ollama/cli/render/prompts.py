"""Show how prompts compare with those of the chat template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gguf2ollama.cli.render.format import columns

if TYPE_CHECKING:
    from gguf2ollama.chat.choice.candidate import Candidate, TemplateChoice
    from gguf2ollama.chat.comparison import Case, Score
    from gguf2ollama.chat.conversation import Feature

__all__ = [
    "candidate_json",
    "case_json",
    "choice_json",
    "choice_table",
    "scores_json",
    "scores_table",
]

_JSON_LEGEND = "note: 3+28/31 is 3 exact, and 28 that differ only in how JSON is written, of 31"


def scores_table(head: Sequence[str], rows: Iterable[tuple[Sequence[str], Mapping[Feature, Score]]]) -> str:
    """Write rows that end with a count for each feature that any of them has: exact of compared."""
    from gguf2ollama.chat.comparison import Parity, Score  # noqa: PLC0415 - not needed for help

    rows = list(rows)
    features = [
        feature
        for feature in Parity(()).scores
        if any(scores.get(feature, Score()).compared for _, scores in rows)
    ]
    table = columns(
        (*head, *(feature.upper() for feature in features)),
        [(*cells, *(str(scores.get(feature, Score())) for feature in features)) for cells, scores in rows],
    )
    if any(score.json_equal for _, scores in rows for score in scores.values()):
        return f"{table}\n{_JSON_LEGEND}"
    return table


def choice_table(choice: TemplateChoice) -> str:
    """Write what was tried to render a model's chats and how well each matches, the selected one first."""
    tried = [(("selected", choice.chosen.label), choice.chosen.parity.scores)]
    tried += [(("", other.label), other.parity.scores) for other in choice.others]
    lines = [scores_table(("PROMPTS", "RENDERER"), tried)]
    lines += [f"note: {remark}" for remark in choice.remarks]
    return "\n".join(lines)


def scores_json(scores: Mapping[Feature, Score]) -> dict[str, Any]:
    """Return the counts by feature as JSON values."""
    return {
        name: {"exact": score.exact, "json_equal": score.json_equal, "compared": score.compared}
        for name, score in scores.items()
    }


def case_json(case: Case) -> dict[str, Any]:
    """Return one conversation as JSON values, with both prompts."""
    from gguf2ollama.chat.outcome import Rendered  # noqa: PLC0415 - not needed for help

    return {
        "name": case.conversation.name,
        "feature": case.conversation.feature,
        "verdict": case.verdict.value,
        "expected": case.want.prompt if isinstance(case.want, Rendered) else None,
        "actual": case.got.prompt if isinstance(case.got, Rendered) else None,
        "note": case.note,
    }


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    """Return what was tried as JSON values."""
    return {
        "origin": candidate.origin,
        "description": candidate.why,
        "parser": candidate.parser.name if candidate.parser else None,
        "companion_template": candidate.companion,
        "generate_note": candidate.generate_note,
        "exact": candidate.is_exact,
        "scores": scores_json(candidate.parity.scores),
    }


def choice_json(choice: TemplateChoice) -> dict[str, Any]:
    """Return what was chosen as JSON values, with every conversation that does not match."""
    chosen = choice.chosen
    return {
        **candidate_json(chosen),
        "reason": choice.reason,
        "capabilities": sorted(chosen.capabilities),
        "mismatches": [case_json(case) for case in chosen.parity.faults],
        "alternatives": [candidate_json(other) for other in choice.others],
        "cutting_stops": list(choice.cutting),
        "notes": list(choice.remarks),
    }
