"""``gguf2ollama modelfile``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.cli._model_options import model_options, read_bytes, verify_option
from gguf2ollama.cli._options import option, output_options, source_argument, verb
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.sources.parse import check_source

if TYPE_CHECKING:
    from gguf2ollama.planning.options import ModelKeywords

__all__ = ["command"]


@verb("modelfile")
@source_argument
@option("--lint", "only_lint", is_flag=True, help="Check a Modelfile instead: SOURCE is its path.")
@option("--for-ollama", metavar="VERSION", help="Ollama version that will create the model.  [default: any]")
@model_options
@verify_option
@output_options
def command(
    *,
    source: str,
    only_lint: bool,
    for_ollama: str | None,
    no_verify: bool,
    model_keywords: ModelKeywords,
    output: Output,
) -> None:
    """Print the Modelfile for SOURCE, with a comment on where each value comes from; no server is used.

    FROM names the files as SOURCE does, so write the Modelfile to the current folder. It works with any
    Ollama; with --for-ollama 0.30 or later, the chat template in the GGUF renders chats where it does best.

    With --lint, errors are what `ollama create` 0.34.4 refuses, and the exit code is 4; warnings are what it
    accepts and what surprises later: a SYSTEM that is never printed, a stop that cuts answers.

    \b
    gguf2ollama modelfile ./model.gguf > Modelfile
    gguf2ollama modelfile --lint Modelfile
    """  # noqa: D301 - click's mark for lines that are not wrapped
    if only_lint:
        _lint(source, output=output)
        return
    check_source(source)
    from gguf2ollama.api.modelfile import modelfile  # noqa: PLC0415 - not needed for help

    model_keywords["verify"] = not no_verify
    text = modelfile(source, for_ollama=for_ollama, **model_keywords)
    if output.as_json:
        output.data({"modelfile": text})
    else:
        output.exact(text, newline=False)


def _lint(name: str, *, output: Output) -> None:
    from gguf2ollama.api.lint import lint_modelfile  # noqa: PLC0415 - not needed for help

    data = read_bytes(name)
    findings = lint_modelfile(data, folder=Path() if name == "-" else Path(name).parent)
    if output.as_json:
        output.data([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            line = f":{finding.line}" if finding.line else ""
            hint = f"; {finding.hint}" if finding.hint else ""
            output.text(f"{name}{line}: {finding.level}: {finding.message}{hint} ({finding.code})")
    if errors := sum(finding.level == "error" for finding in findings):
        raise InvalidModelfile(
            f"{name} has {errors} error{'s' if errors > 1 else ''}", hint="see the lines above"
        )
