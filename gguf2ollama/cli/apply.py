"""``gguf2ollama apply``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._fleet import end, file_argument, fleet_host_option, form_option, load, prune_option
from gguf2ollama.cli._options import ca_option, option, output_options, verb
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.fleet.foreign import Form

__all__ = ["command"]


@verb("apply")
@file_argument
@form_option
@prune_option
@option("--force", is_flag=True, help="Delete even more than a third of the models of a host.")
@option("--report", metavar="FILE", help="Write what was done to FILE as JSON, as --json does.")
@option(
    "--parallel",
    group="transport",
    type=click.IntRange(1, 64),
    default=8,
    metavar="N",
    help="How many hosts are changed in parallel.  [default: 8]",
)
@fleet_host_option
@ca_option
@output_options
def command(
    *,
    file: str,
    form: Form | None,
    prune: bool | None,
    force: bool,
    report: str | None,
    parallel: int,
    host: str | None,
    output: Output,
) -> None:
    """Make hosts have the models of FILE: a file of models, or a plan that `plan --out` saved.

    A plan is refused if hosts, file or sources have changed since. A second call changes nothing.

    \b
    gguf2ollama apply
    gguf2ollama apply models.plan
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli.render.fleet import (  # noqa: PLC0415 - as above
        applied_lines,
        applied_values,
        live_table,
        write_report,
    )
    from gguf2ollama.fleet.apply import apply  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.file import read_text  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.plan_file import is_plan_file, parse_plan_file  # noqa: PLC0415 - as above
    from gguf2ollama.fs.atomic import require_writable  # noqa: PLC0415 - as above

    text, fingerprint = read_text(file), None
    if is_plan_file(text):
        if form is not None or prune is not None or host is not None:
            raise UsageProblem(
                f"{file} is a plan: what it deletes and on which hosts is settled",
                hint="leave out --from, --prune and --host, or make a new plan with them",
            )
        saved = parse_plan_file(text, file=file)
        fleet, fingerprint, prune, host = saved.fleet, saved.fingerprint, saved.prune, saved.host
    else:
        fleet = load(text, file=file, form=form)
    if report is not None:
        from pathlib import Path  # noqa: PLC0415 - with --report alone

        require_writable(Path(report), kind="report")
    with live_table(output) as show:
        done = apply(
            fleet,
            host=host,
            ca_file=ca_file(),
            prune=prune,
            force=force,
            fingerprint=fingerprint,
            parallel=parallel,
            notify=output.detail,
            report=show,
        )
    for result in done.results:
        for warning in result.warnings:
            output.warn(f"{result.change.model} on {result.host}: {warning}")
    if report is not None:
        write_report(report, done)
    if output.as_json:
        output.data(applied_values(done))
    else:
        output.text(applied_lines(done))
    end(done.exit_code, failed=done.failures, total=done.plan.size)
