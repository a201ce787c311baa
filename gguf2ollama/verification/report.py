"""Write a verification as a page that needs nothing else: one HTML file."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator

import jinja2

from gguf2ollama._dataclass import dataclass
from gguf2ollama._resources import templates_root
from gguf2ollama.chat.comparison import Case, Parity, Score, Verdict
from gguf2ollama.chat.difference import Piece, pieces_of_difference
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.verification.baseline import ByItself, LeftOut
from gguf2ollama.verification.verify import Verification

__all__ = ["render_report", "summary"]

_COLOURS = {Verdict.exact: "good", Verdict.json_equal: "near", Verdict.refused: "near"}
_OPEN = 5  # differences of each feature that are shown at once
_KEPT = frozenset("\n\t")  # control characters that a page may hold
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A conversation as the page shows it."""

    name: str
    verdict: str
    by_itself: str
    colour: str
    note: str
    pieces: tuple[Piece, ...]
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """The conversations of one feature, those that differ first."""

    feature: str
    score: Score
    by_itself: Score
    cases: tuple[_Shown, ...]


def render_report(verification: Verification, *, written_by: str) -> str:
    """Write the page: figures, checks, and each conversation with what differs in it.

    Everything from outside is escaped, and nothing is loaded from anywhere.

    Args:
        verification: What was found.
        written_by: The program and its version.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_root() / "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        finalize=_printable,
    )
    environment.filters["with_line_ends"] = _with_line_ends
    text = verification.authors.chat_template
    told = verification.by_itself
    return environment.get_template("verification.html.j2").render(
        title=f"Verification of {verification.name.short}",
        is_proven=verification.is_proven,
        verdict=summary(verification),
        facts=tuple(_facts(verification)),
        groups=tuple(_groups(verification)),
        has_by_itself=isinstance(told, ByItself),
        by_itself=_tell_by_itself(told),
        checks=verification.checks,
        chat_template=text,
        chat_template_sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        written_by=written_by,
    )


def summary(verification: Verification) -> str:
    """Say in one sentence what was found."""
    faults = verification.parity.faults
    failed = [check.name for check in verification.checks if check.state == "failed"]
    compared = sum(score.compared for score in verification.parity.scores.values())
    if not verification.parity.score("plain").compared:
        return "The authors' template takes none of the plain conversations, so nothing is proven."
    if not faults and not failed:
        return f"All prompts match the model's chat template exactly: {verification.parity}."
    told = []
    if faults and verification.is_proven:
        told.append(f"Usual prompts match the model's chat template exactly, {len(faults)} rare ones differ")
    elif faults:
        told.append(f"{len(faults)} of {compared} prompts differ from the model's chat template")
    if failed:
        told.append(f"failed: {', '.join(failed)}")
    return f"{'; '.join(told)} ({verification.parity})."


def _facts(verification: Verification) -> Iterator[tuple[str, str]]:
    yield "server", f"{verification.where}, Ollama {verification.version}"
    yield "rendered by", verification.way
    yield "asked", "a tiny stand-in with its template" if verification.is_quick else "the model itself"
    yield "capabilities", ", ".join(verification.capabilities) or "none told"
    yield "tokens", f"BOS {verification.authors.bos!r}, EOS {verification.authors.eos!r}"


def _groups(verification: Verification) -> Iterator[_Group]:
    told = verification.by_itself
    itself = told.parity if isinstance(told, ByItself) else Parity(())
    verdicts = {case.conversation.name: case.verdict.value for case in itself.cases}
    for feature, score in verification.parity.scores.items():
        cases = [case for case in verification.parity.cases if case.conversation.feature == feature]
        cases.sort(key=lambda case: case.verdict in _COLOURS)
        if cases:
            yield _Group(
                feature=feature,
                score=score,
                by_itself=itself.score(feature),
                cases=tuple(
                    _shown(case, by_itself=verdicts.get(case.conversation.name, ""), is_open=number < _OPEN)
                    for number, case in enumerate(cases)
                ),
            )


def _shown(case: Case, *, by_itself: str, is_open: bool) -> _Shown:
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
        by_itself=by_itself,
        colour=_COLOURS.get(case.verdict, "bad"),
        note=_note(case, want=want, got=got),
        pieces=pieces,
        is_open=is_open and case.verdict not in _COLOURS,
    )


def _note(case: Case, *, want: Outcome, got: Outcome | None) -> str:
    if isinstance(want, Refused):
        return f"The authors' template takes no such conversation: {want.reason}"
    if isinstance(got, Refused):
        return f"The server refuses it: {got.reason}"
    return case.note


def _tell_by_itself(told: ByItself | LeftOut) -> str:
    if isinstance(told, LeftOut):
        return f"What Ollama makes of the GGUF by itself is not known: {told.reason}."
    by = "the chat template in it" if told.way == "native" else f"a {told.way} that it chooses"
    return f"Ollama by itself, given the GGUF alone, prompts it by {by}: {told.parity}."


def _with_line_ends(text: str) -> str:
    """Show white space, and by its code whatever else cannot be seen."""
    shown = text.replace("\r", "␍").replace("\n", "⏎\n").replace("\t", "→\t")
    return "".join(one if one.isprintable() or one in _KEPT else _code(one) for one in shown)


def _printable(value: object) -> object:
    """Show by their codes the characters that no page may hold, or that turn the writing round."""
    if not isinstance(value, str):
        return value
    return "".join(_code(one) if one not in _KEPT and _is_control(one) else one for one in value)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in _TURNING


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"
