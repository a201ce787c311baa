"""``gguf2ollama inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gguf2ollama._text import one_line
from gguf2ollama.cli._model_options import model_options, verify_option
from gguf2ollama.cli._options import option, output_options, source_argument, verb
from gguf2ollama.cli.render.explain import explained, explanation_json
from gguf2ollama.cli.render.output import Output
from gguf2ollama.cli.render.plan import describe, describe_origin, inspection_json
from gguf2ollama.cli.render.safety import inspection_safety, safety_json, safety_line, safety_warning
from gguf2ollama.cli.render.tensor_check import describe_tensors, tensor_check_json, tensor_warnings
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.sources.parse import check_source

if TYPE_CHECKING:
    from gguf2ollama.api.explain_template import Explanation
    from gguf2ollama.jinja import TemplateSafety
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.planning.options import ModelKeywords
    from gguf2ollama.verification.tensor_check import TensorCheck

__all__ = ["command"]


@verb("inspect")
@source_argument
@option("--metadata", is_flag=True, help="Print all keys of the GGUF; arrays by their length.")
@option("--explain-template", is_flag=True, help="Print the rules that were found in the chat template.")
@option(
    "--check-tensors",
    group="verification",
    is_flag=True,
    help="Decode all tensors, and find NaN, infinities and damaged blocks.",
)
@model_options
@verify_option
@output_options
def command(
    *,
    source: str,
    metadata: bool,
    explain_template: bool,
    check_tensors: bool,
    model_keywords: ModelKeywords,
    no_verify: bool,
    output: Output,
) -> None:
    """Show what SOURCE contains, its model family and the evidence, and where each value would come from.

    Each way of rendering its chats is tried, and the prompts that match its chat template are counted; no
    server is used. Of files that are not local, only the headers are downloaded.

    With --check-tensors, whole files are read; exits with 4 if a tensor is damaged.
    """
    check_source(source)
    from gguf2ollama.api.inspect import inspect  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli.render.engines import engines_json, engines_lines  # noqa: PLC0415 - as above

    if explain_template and no_verify:
        raise UsageProblem(
            "--explain-template and --no-verify exclude each other", hint="use only one of them"
        )
    if check_tensors:
        _require_local(source)
    model_keywords["verify"] = not no_verify
    inspection = inspect(source, **model_keywords)
    for warning in inspection.warnings:
        output.warn(warning)
    if inspection.files.origin is not None:
        output.note(describe_origin(inspection))
    safeties = _check_chat_templates(inspection, output)
    check = _check_tensors(inspection, output) if check_tensors else None
    keys = _keys(inspection.model.metadata) if metadata else {}
    explanation = _explain(inspection) if explain_template else None
    if output.as_json:
        values = inspection_json(inspection) | ({"metadata": keys} if metadata else {})
        values |= {"template_safety": safety_json(safeties), "engines": engines_json(inspection.model)}
        values |= {"tensor_check": tensor_check_json(check)} if check else {}
        output.data(values | ({"explanation": explanation_json(explanation)} if explanation else {}))
    else:
        engines = engines_lines(inspection.model)
        output.text(f"{describe(inspection)}\n\nChat template: {safety_line(safeties)}\n{engines}")
        if explanation is not None:
            output.text(f"\n{explained(explanation)}")
        if metadata:
            output.text("\n" + "\n".join(one_line(f"{key} = {value}") for key, value in keys.items()))
        if check is not None:
            output.text(f"\n{describe_tensors(check)}")
    if check is not None:
        check.require_sound()


def _check_chat_templates(inspection: Inspection, output: Output) -> Mapping[str, TemplateSafety]:
    safeties = inspection_safety(inspection)
    if (suspicion := safety_warning(safeties)) is not None:
        output.warn(suspicion)
    return safeties


def _require_local(source: str) -> None:
    from gguf2ollama.names import LocalSource, parse_source  # noqa: PLC0415 - not needed for help

    if not isinstance(parse_source(source), LocalSource):
        raise UsageProblem(
            f"--check-tensors reads whole files, and {source} is not on this machine",
            hint="download it first (`gguf2ollama download`), then inspect the file",
        )


def _check_tensors(inspection: Inspection, output: Output) -> TensorCheck:
    from gguf2ollama.verification.tensor_check import check_tensors  # noqa: PLC0415 - not needed for help

    with output.progress() as progress:
        check = check_tensors(inspection.files.shards, progress=progress)
    for warning in tensor_warnings(check):
        output.warn(warning)
    return check


def _explain(inspection: Inspection) -> Explanation:
    from gguf2ollama.api.explain_template import explain_template  # noqa: PLC0415 - not needed for help

    if inspection.unsupported:
        raise NotFound(
            str(inspection.unsupported), hint="use another chat template with --chat-template FILE"
        )
    if inspection.selection is None:
        raise NotFound(
            f"{inspection.model.name} has no chat template to explain",
            hint="use one with --chat-template FILE",
        )
    return explain_template(inspection.selection)


def _keys(metadata: object) -> dict[str, object]:
    assert hasattr(metadata, "items")  # noqa: S101 - a mapping
    scalar = (str, int, float, bool)
    return {
        key: value if isinstance(value, scalar) else f"[{len(value):,} elements]"
        for key, value in metadata.items()
    }
