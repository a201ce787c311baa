"""``gguf2ollama stop``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("stop")
@click.argument("model")
@host_option
@output_options
def command(*, model: str, host: str | None, output: Output) -> None:
    """Unload MODEL from the server's memory."""
    name = model_name(model)
    with connect(host) as client:
        client.unload(name)
    if output.as_json:
        output.data({"stopped": name})
    else:
        output.note(f"Unloaded {name}")
