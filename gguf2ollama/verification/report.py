"""Write a verification as one self-contained HTML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Case, Parity, Score, Verdict
from gguf2ollama.chat.difference import Piece, pieces_of_difference
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.verification.baseline import NotCompared, OllamaDefault
from gguf2ollama.verification.page import render_page, shorten
from gguf2ollama.verification.verify import Verification

__all__ = ["render_report", "summary"]

_COLOURS = {Verdict.exact: "good", Verdict.json_equal: "near", Verdict.refused: "near"}
_OPEN = 5  # differences of each feature that are expanded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A conversation as the page shows it."""

    name: str
    verdict: str
    baseline: str
    colour: str
    note: str
    pieces: tuple[Piece, ...]
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The conversations of one feature, those that differ first."""

    feature: str
    score: Score
    baseline: Score
    cases: tuple[_Shown, ...]


def render_report(verification: Verification, *, written_by: str) -> str:
    """Write the page: figures, checks, and each conversation with what differs in it.

    Everything from outside is escaped, and nothing is loaded from anywhere.

    Args:
        verification: The result.
        written_by: The program and its version.
    """
    text = "" if verification.authors is None else verification.authors.chat_template
    baseline = verification.ollama_default
    return render_page(
        "verification.html.j2",
        title=f"Verification of {verification.name.short}",
        verdict_colour="good" if verification.is_verified else "bad",
        verdict=summary(verification),
        facts=tuple(_facts(verification)),
        groups=tuple(_groups(verification)),
        has_baseline=isinstance(baseline, OllamaDefault),
        baseline=_baseline(baseline),
        checks=verification.checks,
        chat_template=text,
        chat_template_sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        written_by=written_by,
    )


def summary(verification: Verification) -> str:
    """Return the result in one line."""
    mismatches = verification.parity.faults
    failed = [check.name for check in verification.checks if check.state == "failed"]
    compared = sum(score.compared for score in verification.parity.scores.values())
    if verification.authors is None:
        n_checks = len(verification.checks)
        return f"failed checks: {', '.join(failed)}" if failed else f"{n_checks} of {n_checks} checks passed"
    if not verification.parity.score("plain").compared:
        return "nothing verified: the chat template rejects all plain conversations"
    if not mismatches and not failed:
        return f"all prompts match the model's chat template exactly ({verification.parity})"
    parts = []
    if mismatches and verification.is_verified:
        differing = len(verification.parity.differing)
        as_json = len(mismatches) - differing
        match = "match the model's chat template" + ("" if as_json else " exactly")
        written = f", JSON is written differently in {as_json}" if as_json else ""
        rare = f", {differing} rare ones differ" if differing else ""
        parts.append(f"everyday prompts {match}{written}{rare}")
    elif mismatches:
        parts.append(f"{len(mismatches)} of {compared} prompts differ from the model's chat template")
    if failed:
        parts.append(f"failed checks: {', '.join(failed)}")
    return f"{'; '.join(parts)} ({verification.parity})"


def _facts(verification: Verification) -> Iterator[tuple[str, str]]:
    yield "server", f"{verification.server}, Ollama {verification.version}"
    if verification.rendered_by is not None:
        yield "rendered by", verification.rendered_by
    yield "tested", "a tiny probe model with its template" if verification.is_quick else "the model itself"
    yield "capabilities", ", ".join(verification.capabilities) or "none reported"
    if verification.authors is not None:
        yield "tokens", f"BOS {verification.authors.bos!r}, EOS {verification.authors.eos!r}"


def _groups(verification: Verification) -> Iterator[_Group]:
    found = verification.ollama_default
    baseline = found.parity if isinstance(found, OllamaDefault) else Parity(())
    verdicts = {case.conversation.name: case.verdict.value for case in baseline.cases}
    for feature, score in verification.parity.scores.items():
        cases = [case for case in verification.parity.cases if case.conversation.feature == feature]
        cases.sort(key=lambda case: case.verdict in _COLOURS)
        if cases:
            yield _Group(
                feature=feature,
                score=score,
                baseline=baseline.score(feature),
                cases=tuple(
                    _shown(case, baseline=verdicts.get(case.conversation.name, ""), is_open=number < _OPEN)
                    for number, case in enumerate(cases)
                ),
            )


def _shown(case: Case, *, baseline: str, is_open: bool) -> _Shown:
    want, got = case.want, case.got
    pieces: tuple[Piece, ...] = ()
    if isinstance(want, Rendered):
        pieces = (
            pieces_of_difference(want.prompt, got.prompt)
            if isinstance(got, Rendered)
            else (Piece("meant", want.prompt),)
        )
    return _Shown(
        name=case.conversation.name,
        verdict=case.verdict.value,
        baseline=baseline,
        colour=_COLOURS.get(case.verdict, "bad"),
        note=_note(case, want=want, got=got),
        pieces=shorten(pieces),
        is_open=is_open and case.verdict not in _COLOURS,
    )


def _note(case: Case, *, want: Outcome, got: Outcome | None) -> str:
    if isinstance(want, Refused):
        return f"Rejected by the chat template: {want.reason}"
    if isinstance(got, Refused):
        return f"Rejected by the server: {got.reason}"
    return case.note


def _baseline(found: OllamaDefault | NotCompared) -> str:
    if isinstance(found, NotCompared):
        return f"Not compared with a plain ollama create: {found.reason}."
    native = found.rendered_by == "native"
    renderer = "the chat template in it" if native else f"a {found.rendered_by} that Ollama chooses"
    return f"A plain ollama create of the GGUF renders with {renderer}: {found.parity}."
