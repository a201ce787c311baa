"""``gguf2ollama update``."""

from __future__ import annotations

import click

from gguf2ollama.cli._fleet import end
from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("update")
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@host_option
@output_options
def command(*, models: tuple[str, ...], host: str | None, output: Output) -> None:
    """Make the models of a server again whose repositories have other files now.

    Their options are kept, and weights that have not changed are not sent.

    \b
    gguf2ollama update
    gguf2ollama update qwen:7b
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli.render.fleet import applied_lines, applied_values, live_table  # noqa: PLC0415
    from gguf2ollama.fleet.outdated import update  # noqa: PLC0415 - as above

    with live_table(output) as show:
        done = update(models, host=host, ca_file=ca_file(), notify=output.detail, report=show)
    if output.as_json:
        output.data(applied_values(done))
    else:
        output.text(applied_lines(done))
    end(done.exit_code, failed=done.failures, total=done.plan.size)
