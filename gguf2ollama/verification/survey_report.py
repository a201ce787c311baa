"""Write a survey of chat templates as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Case, Score, Verdict
from gguf2ollama.chat.conversation import Feature
from gguf2ollama.chat.difference import Piece, pieces_of_difference
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.verification.page import render_page, shorten
from gguf2ollama.verification.template_survey import TemplateSurvey

__all__ = ["render_survey", "survey_summary"]

_SHOWN = 3  # differences of each template that are shown; the others are named


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A template in the table: a score for each feature that any template uses."""

    name: str
    renderer: str
    scores: dict[Feature, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """A conversation that does not match."""

    name: str
    verdict: str
    colour: str
    note: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Differing:
    """A template some of whose conversations do not match."""

    name: str
    reason: str
    count: int
    shown: tuple[_Difference, ...]
    others: str


def render_survey(survey: TemplateSurvey, *, written_by: str) -> str:
    """Write the page: how many templates match in what, each template's figures, and what differs.

    Args:
        survey: The result.
        written_by: The program and its version.
    """
    totals = {feature: score for feature, score in survey.totals.items() if score.compared}
    plain = survey.totals["plain"]
    return render_page(
        "survey.html.j2",
        title=f"Chat templates on Ollama {survey.version}",
        verdict=survey_summary(survey),
        verdict_colour="good" if plain.is_exact else "near" if plain.exact else "bad",
        totals=totals,
        rows=tuple(_rows(survey, tuple(totals))),
        refused=[template for template in survey.templates if not template.selection],
        differing=tuple(_differing(survey)),
        written_by=written_by,
    )


def survey_summary(survey: TemplateSurvey) -> str:
    """Return the result in one line."""
    plain = survey.totals["plain"]
    rendering = f"{survey.rendering} of {len(survey.templates)} templates render"
    return (
        f"{rendering}; plain chats match exactly in {plain.exact} of {plain.compared}"
        if plain.compared
        else rendering
    )


def _rows(survey: TemplateSurvey, features: tuple[Feature, ...]) -> Iterator[_Row]:
    for template in survey.templates:
        if template.selection is not None:
            yield _Row(
                name=template.name,
                renderer=template.selection.choice.chosen.label,
                scores={feature: template.scores.get(feature, Score()) for feature in features},
            )


def _differing(survey: TemplateSurvey) -> Iterator[_Differing]:
    for template in survey.templates:
        if template.selection is None:
            continue
        choice = template.selection.choice
        # JSON that is only written differently comes last
        faults = sorted(choice.chosen.parity.faults, key=lambda case: case.verdict is Verdict.json_equal)
        if faults:
            yield _Differing(
                name=template.name,
                reason=choice.reason,
                count=len(faults),
                shown=tuple(_difference(case) for case in faults[:_SHOWN]),
                others=", ".join(case.conversation.name for case in faults[_SHOWN:]),
            )


def _difference(case: Case) -> _Difference:
    pieces: tuple[Piece, ...] = ()
    if isinstance(case.want, Rendered) and isinstance(case.got, Rendered):
        pieces = shorten(pieces_of_difference(case.want.prompt, case.got.prompt))
    return _Difference(
        name=f"{case.conversation.feature}, {case.conversation.name}",
        verdict=case.verdict.value,
        colour="near" if case.verdict is Verdict.json_equal else "bad",
        note=f"Rejected by the server: {case.got.reason}" if isinstance(case.got, Refused) else case.note,
        pieces=pieces,
    )
