"""Write a verification as a page that needs nothing else: one HTML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import jinja2

from gguf2ollama._resources import templates_root
from gguf2ollama.chat.difference import Piece, pieces_of_difference
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.parity import Case, Verdict
from gguf2ollama.usecases.verify import Verification

__all__ = ["render_report", "summary"]

_COLOURS = {Verdict.exact: "good", Verdict.json_equal: "near", Verdict.refused: "near"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A conversation as the page shows it."""

    name: str
    feature: str
    verdict: str
    colour: str
    note: str
    pieces: tuple[Piece, ...]
    is_open: bool


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
    )
    environment.filters["visible"] = _visible
    text = verification.authors.chat_template
    cases = sorted(map(_shown, verification.parity.cases), key=lambda one: not one.is_open)
    return environment.get_template("verification.html.j2").render(
        title=f"Verification of {verification.name.short}",
        is_proven=verification.is_proven,
        verdict=summary(verification),
        facts=tuple(_facts(verification)),
        scores=[(name, one) for name, one in verification.parity.scores.items() if one.compared],
        checks=verification.checks,
        cases=cases,
        chat_template=text,
        chat_template_sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        written_by=written_by,
    )


def summary(verification: Verification) -> str:
    """Say in one sentence what was found."""
    faults = verification.parity.faults
    failed = [check.name for check in verification.checks if check.state == "failed"]
    if not faults and not failed:
        return f"Prompted exactly as its authors meant: {verification.parity}."
    told = []
    if faults:
        told.append(f"{len(faults)} of {len(verification.parity.cases)} prompts are not as meant")
    if failed:
        told.append(f"failed: {', '.join(failed)}")
    return f"{'; '.join(told)} ({verification.parity})."


def _facts(verification: Verification) -> Iterator[tuple[str, str]]:
    yield "server", f"{verification.where}, Ollama {verification.version}"
    yield "rendered by", verification.way
    yield "asked", "a tiny stand-in with its template" if verification.is_quick else "the model itself"
    yield "capabilities", ", ".join(verification.capabilities) or "none told"
    yield "tokens", f"BOS {verification.authors.bos!r}, EOS {verification.authors.eos!r}"


def _shown(case: Case) -> _Shown:
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
        feature=case.conversation.feature,
        verdict=case.verdict.value,
        colour=_COLOURS.get(case.verdict, "bad"),
        note=_note(case, want=want, got=got),
        pieces=pieces,
        is_open=case.verdict not in _COLOURS,
    )


def _note(case: Case, *, want: Outcome, got: Outcome | None) -> str:
    if isinstance(want, Refused):
        return f"The authors' template takes no such conversation: {want.reason}"
    if isinstance(got, Refused):
        return f"The server refuses it: {got.reason}"
    return case.note


def _visible(text: str) -> str:
    return text.replace("\n", "⏎\n").replace("\t", "→\t").replace("\r", "␍")
