"""``gguf2ollama inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._explain import explained, explanation_json
from gguf2ollama.cli._options import output_options, source_argument
from gguf2ollama.cli._output import Output
from gguf2ollama.cli._plan import describe, describe_origin, inspection_json
from gguf2ollama.cli._preferences import preference_options, verify_option
from gguf2ollama.errors import NotFound, UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.api.explain_template import Explanation
    from gguf2ollama.planning.plan import Inspection, Preferences

__all__ = ["command"]


@click.command("inspect", short_help="Tell what a GGUF holds, and what would be made of it.")
@source_argument
@click.option("--metadata", is_flag=True, help="Print all keys of the GGUF; of an array, its length.")
@click.option(
    "--explain-template", is_flag=True, help="Print what was learnt of the chat template, rule by rule."
)
@preference_options
@verify_option
@output_options
def command(
    *,
    source: str,
    metadata: bool,
    explain_template: bool,
    preferences: Preferences,
    no_verify: bool,
    output: Output,
) -> None:
    """Show what SOURCE holds, its family and the evidence, and where each value would come from.

    What can render its chats is tried, and the prompts that come out as the authors meant are counted; no
    server is asked. Of what is elsewhere, only the headers are fetched.
    """
    from gguf2ollama.planning.plan import inspect  # noqa: PLC0415 - not needed for help

    if explain_template and no_verify:
        raise UsageProblem("--explain-template and --no-verify exclude each other", hint="leave out one")
    inspection = inspect(source, verify=not no_verify, **preferences)
    for warning in inspection.warnings:
        output.warn(warning)
    if inspection.files.origin is not None:
        output.note(describe_origin(inspection))
    keys = _keys(inspection.model.metadata) if metadata else {}
    explanation = _explain(inspection) if explain_template else None
    if output.as_json:
        told = inspection_json(inspection) | ({"metadata": keys} if metadata else {})
        output.data(told | ({"explanation": explanation_json(explanation)} if explanation else {}))
        return
    output.text(describe(inspection))
    if explanation is not None:
        output.text(f"\n{explained(explanation)}")
    if metadata:
        output.text("\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()))


def _explain(inspection: Inspection) -> Explanation:
    from gguf2ollama.api.explain_template import explain_template  # noqa: PLC0415 - not needed for help

    if inspection.unserved:
        raise NotFound(str(inspection.unserved), hint="give another chat template with --chat-template FILE")
    if inspection.tried is None:
        raise NotFound(
            f"{inspection.model.name} has no chat template to explain",
            hint="give one with --chat-template FILE",
        )
    return explain_template(inspection.tried)


def _keys(metadata: object) -> dict[str, object]:
    assert hasattr(metadata, "items")  # noqa: S101 - a mapping
    scalar = (str, int, float, bool)
    return {
        key: value if isinstance(value, scalar) else f"[{len(value):,} elements]"
        for key, value in metadata.items()
    }
