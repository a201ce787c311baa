"""``gguf2ollama cp``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("cp")
@click.argument("source", metavar="MODEL")
@click.argument("destination", metavar="NAME")
@host_option
@output_options
def command(*, source: str, destination: str, host: str | None, output: Output) -> None:
    """Copy MODEL to NAME on the server; the weights are shared, not copied."""
    old, new = model_name(source), model_name(destination)
    with connect(host) as client:
        client.copy(old, to=new)
    if output.as_json:
        output.data({"source": old, "destination": new})
    else:
        output.note(f"Copied {old} to {new}")
