"""``gguf2ollama plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama.cli._fleet import end, file_argument, fleet_host_option, form_option, load, prune_option
from gguf2ollama.cli._options import ca_option, option, output_options, verb
from gguf2ollama.cli.render.output import Output

if TYPE_CHECKING:
    from gguf2ollama.fleet.foreign import Form

__all__ = ["command"]


@verb("plan")
@file_argument
@form_option
@prune_option
@option("--out", "-o", "path", metavar="PLAN", help="Save the plan for `apply`.")
@option("--markdown", is_flag=True, help="Write the plan as Markdown, for a pull request.")
@fleet_host_option
@ca_option
@output_options
def command(
    *,
    file: str,
    form: Form | None,
    prune: bool | None,
    path: str | None,
    markdown: bool,
    host: str | None,
    output: Output,
) -> None:
    """Show what apply would change on the hosts of FILE, and change nothing.

    Exits with 0 if there is nothing to change, and with 10 if there is.

    \b
    gguf2ollama plan
    gguf2ollama plan models.yaml --out models.plan
    ollama list | gguf2ollama plan --from list - --host 10.0.0.2
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli.render.fleet import markdown_plan, plan_lines  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.changes import as_values  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.file import read_text  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.plan import plan  # noqa: PLC0415 - as above

    fleet = load(read_text(file), file=file, form=form)
    with output.progress() as progress:
        found = plan(
            fleet, host=host, ca_file=ca_file(), prune=prune, progress=progress, notify=output.detail
        )
    if path is not None:
        from gguf2ollama.fleet.plan_file import write_plan_file  # noqa: PLC0415 - with --out alone

        write_plan_file(path, found, prune=prune, host=host, form=form)
        output.note(f"Saved the plan. Run: gguf2ollama apply {path}")
    if output.as_json:
        output.data(as_values(found))
    elif markdown:
        output.text(markdown_plan(found))
    else:
        output.text(plan_lines(found))
    end(found.exit_code, failed=found.failures, total=found.size)
