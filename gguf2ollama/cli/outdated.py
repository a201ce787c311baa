"""``gguf2ollama outdated``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli.render.format import columns
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]

_CHANGES = 10


@verb("outdated")
@host_option
@output_options
def command(*, host: str | None, output: Output) -> None:
    """Compare models of a server with the repositories that they were built from.

    Exits with 10 if any has other files now; `gguf2ollama update` makes those again.
    """
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help
    from gguf2ollama.fleet.outdated import outdated  # noqa: PLC0415 - as above

    found = outdated(host, ca_file=ca_file(), notify=output.warn)
    if output.as_json:
        output.data(
            [
                {
                    "name": model.name.short,
                    "state": model.state,
                    "source": model.source or None,
                    "commit": model.commit or None,
                    "newest_commit": model.newest or None,
                    "reason": model.reason,
                }
                for model in found
            ]
        )
    else:
        rows = [
            (model.name.short, model.state, model.commit[:12], model.newest[:12], model.reason)
            for model in found
        ]
        output.text(columns(("NAME", "STATE", "COMMIT", "NEWEST", ""), rows))
    if any(model.state == "outdated" for model in found):
        click.get_current_context().exit(_CHANGES)
