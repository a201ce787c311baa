"""``gguf2ollama parity``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gguf2ollama.cli._options import option, output_options, verb
from gguf2ollama.cli.render.format import columns
from gguf2ollama.cli.render.output import Output
from gguf2ollama.cli.render.prompts import choice_json, scores_json, scores_table

if TYPE_CHECKING:
    from gguf2ollama.verification.template_survey import SurveyedTemplate, TemplateSurvey

__all__ = ["command"]


@verb("parity")
@click.argument("folder")
@option("--for-ollama", metavar="VERSION", help="Ollama version that renders.  [default: the newest tested]")
@option("--report", metavar="FILE", help="Write a report as one HTML file.")
@output_options
def command(*, folder: str, for_ollama: str | None, report: str | None, output: Output) -> None:
    """Choose for each chat template in FOLDER (*.jinja) what renders its chats best, as build would.

    More than eighty conversations, with tools and thinking where the template supports them, are compared
    with what transformers renders; no server is used. The counts are the prompts that match byte for byte.

    \b
    gguf2ollama parity ./templates
    gguf2ollama parity ./templates --for-ollama 0.32.15 --json > parity.json
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.fs.atomic import require_writable  # noqa: PLC0415 - not needed for help
    from gguf2ollama.planning.target import NEWEST_TESTED  # noqa: PLC0415
    from gguf2ollama.verification.template_survey import survey_templates  # noqa: PLC0415 - not needed for help

    if report is not None:
        require_writable(Path(report), kind="report")
    with output.progress() as progress:
        found = survey_templates(
            folder, for_ollama=for_ollama or NEWEST_TESTED, progress=progress, notify=output.note
        )
    if report is not None:
        from gguf2ollama.cli.render.reports import WRITTEN_BY, write_report  # noqa: PLC0415 - for that alone
        from gguf2ollama.verification.survey_report import render_survey  # noqa: PLC0415 - as above

        write_report(render_survey(found, written_by=WRITTEN_BY), report, output=output)
    if output.as_json:
        output.data(_json(found))
    else:
        output.text(_described(found))
    output.note(f"{found.rendering} of {len(found.templates)} templates render (Ollama {found.version})")


def _described(found: TemplateSurvey) -> str:
    rows = [
        ((template.name, template.selection.choice.chosen.label), template.scores)
        for template in found.templates
        if template.selection
    ]
    rows += [(("all exact", ""), found.totals)] if rows else []
    parts = [scores_table(("TEMPLATE", "RENDERER"), rows)] if rows else []
    if refused := [
        (template.name, template.refusal) for template in found.templates if not template.selection
    ]:
        parts.append(columns(("NOT RENDERED", "REASON"), refused))
    return "\n\n".join(parts)


def _json(found: TemplateSurvey) -> dict[str, Any]:
    return {
        "ollama_version": found.version,
        "rendered_count": found.rendering,
        "totals": scores_json(found.totals),
        "templates": [_template_json(template) for template in found.templates],
    }


def _template_json(template: SurveyedTemplate) -> dict[str, Any]:
    facts = {"name": template.name, "file": str(template.path), "renders": template.renders}
    if template.selection is None:
        return {**facts, "origin": None, "exact": False, "reason": template.refusal}
    choice = template.selection.choice
    return {
        **facts,
        **choice_json(choice),
        "go_template": choice.chosen.go_template,
        "chat_template": choice.chosen.chat_template,
    }
