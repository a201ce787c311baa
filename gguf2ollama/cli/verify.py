"""``gguf2ollama verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli.render.format import columns
from gguf2ollama.cli.render.output import Output
from gguf2ollama.cli.render.prompts import case_json, scores_json, scores_table
from gguf2ollama.cli.render.safety import safety_json, safety_line, safety_warning, verification_safety
from gguf2ollama.errors import VerificationFailed

if TYPE_CHECKING:
    from gguf2ollama.chat.comparison import Case
    from gguf2ollama.verification.baseline import NotCompared, OllamaDefault
    from gguf2ollama.verification.verify import Verification

__all__ = ["command"]

_SHOWN = 3  # differences; all of them with --verbose
_LINES = 20  # of one difference


@verb("verify")
@click.argument("model")
@option(
    "--source",
    metavar="SOURCE",
    help="GGUF that the model was created from, if the server does not show its chat template.",
)
@option(
    "--quick", is_flag=True, help="Use a tiny probe model with the same template; the model is not loaded."
)
@option("--report", metavar="FILE", help="Write a report as one HTML file.")
@host_option
@output_options
def command(
    *, model: str, source: str | None, quick: bool, report: str | None, host: str | None, output: Output
) -> None:
    """Compare the prompts that a server renders for MODEL with those of its chat template, and try the model.

    Dozens of conversations are rendered, with tools and thinking where the chat template supports them; then
    the model is asked a few questions. A tiny probe model shows what a plain `ollama create` of the GGUF
    would render. A model without chats is tried alone: one that embeds texts (length and norm of vectors, a
    long text), or that continues them and fills in the middle. Exits with 6 if plain chats, tools or thinking
    are prompted differently, or a check fails; differences in rare contents, reasoning history and assistant
    prefill are counted and shown.
    """
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help
    from gguf2ollama.fs.atomic import require_writable  # noqa: PLC0415 - not needed for help
    from gguf2ollama.planning.recipe_warnings import UNSEEN_TOOLS  # noqa: PLC0415
    from gguf2ollama.verification.report import summary  # noqa: PLC0415 - not needed for help
    from gguf2ollama.verification.verify import verify  # noqa: PLC0415

    if report is not None:
        require_writable(Path(report), kind="report")
    with output.progress() as progress:
        found = verify(
            model,
            source=source,
            host=host,
            ca_file=ca_file(),
            quick=quick,
            progress=progress,
            notify=output.note,
        )
    if report is not None:
        from gguf2ollama.cli.render.reports import WRITTEN_BY, write_report  # noqa: PLC0415 - for that alone
        from gguf2ollama.verification.report import render_report  # noqa: PLC0415 - as above

        write_report(render_report(found, written_by=WRITTEN_BY), report, output=output)
    if (suspicion := safety_warning(verification_safety(found))) is not None:
        output.warn(suspicion)
    if found.hides_tools:
        output.warn(UNSEEN_TOOLS)
    for warning in found.warnings:
        output.warn(warning)
    if output.as_json:
        output.data(_json(found))
    else:
        output.text(_described(found, every=output.verbose))
    if not found.is_verified:
        raise VerificationFailed(
            f"verification failed: {found.name.short} on {found.server}: {summary(found)}",
            hint="run `gguf2ollama build` again, which chooses the best template and parameters",
        )
    output.note(f"Verified {found.name.short} on {found.server}: {summary(found)}")


def _described(found: Verification, *, every: bool) -> str:
    from gguf2ollama.verification.baseline import OllamaDefault  # noqa: PLC0415 - not needed for help

    checks = [(check.name, check.state, check.detail) for check in found.checks]
    if found.rendered_by is None:
        return columns(("CHECK", "RESULT", "DETAIL"), checks)
    rows = [((found.name.short, found.rendered_by), found.parity.scores)]
    baseline = found.ollama_default
    if isinstance(baseline, OllamaDefault):
        rows.append((("ollama create", baseline.rendered_by), baseline.parity.scores))
    parts = [scores_table(("PROMPTS", "RENDERER"), rows)]
    if not isinstance(baseline, OllamaDefault):
        parts.append(f"Not compared with a plain `ollama create`: {baseline.reason}")
    if checks:
        parts.append(columns(("CHECK", "RESULT", "DETAIL"), checks))
    parts.append(f"Chat template: {safety_line(verification_safety(found))}")
    # JSON that is only written differently comes last
    mismatches = sorted(found.parity.faults, key=lambda case: case not in found.parity.differing)
    parts += [_difference(case) for case in (mismatches if every else mismatches[:_SHOWN])]
    if not every and len(mismatches) > _SHOWN:
        parts.append(
            f"… {len(mismatches) - _SHOWN} more: show them with --verbose, or write them with --report FILE"
        )
    return "\n\n".join(parts)


def _difference(case: Case) -> str:
    from gguf2ollama.chat.difference import lines_of_difference  # noqa: PLC0415 - where there is one
    from gguf2ollama.chat.outcome import Refused, Rendered  # noqa: PLC0415

    lines = [f"{case.verdict.value}: {case.conversation.feature}, {case.conversation.name}"]
    if isinstance(case.want, Rendered) and isinstance(case.got, Rendered):
        shown = list(lines_of_difference(case.want.prompt, case.got.prompt))
        lines += shown[:_LINES]
        if len(shown) > _LINES:
            lines.append(f"… {len(shown) - _LINES} more lines")
    elif isinstance(case.got, Refused):
        lines.append(f"rejected by the server: {case.got.reason}")
    return "\n  ".join(lines)


def _json(found: Verification) -> dict[str, Any]:
    return {
        "name": found.name.short,
        "server": found.server,
        "ollama_version": found.version,
        "verified": found.is_verified,
        "rendered_by": found.rendered_by,
        "capabilities": list(found.capabilities),
        "quick": found.is_quick,
        "scores": scores_json(found.parity.scores),
        "template_safety": safety_json(verification_safety(found)),
        "ollama_create": _baseline_json(found.ollama_default),
        "conversations": [case_json(case) for case in found.parity.cases],
        "checks": [
            {"name": check.name, "state": check.state, "detail": check.detail} for check in found.checks
        ],
    }


def _baseline_json(found: OllamaDefault | NotCompared) -> dict[str, Any]:
    from gguf2ollama.verification.baseline import NotCompared  # noqa: PLC0415 - not needed for help

    if isinstance(found, NotCompared):
        return {"rendered_by": None, "scores": None, "reason": found.reason}
    return {"rendered_by": found.rendered_by, "scores": scores_json(found.parity.scores), "reason": None}
