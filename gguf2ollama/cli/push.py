"""``gguf2ollama push``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.output import Output
from gguf2ollama.cli.render.transfer import follow

__all__ = ["command"]


@verb("push")
@click.argument("model")
@option("--insecure", is_flag=True, help="Allow plain HTTP to the registry.")
@host_option
@output_options
def command(*, model: str, insecure: bool, host: str | None, output: Output) -> None:
    """Have the server push MODEL to a registry."""
    name = model_name(model)
    with connect(host) as client:
        follow(client.push(name, insecure=insecure), verb="Pushing", output=output)
    if output.as_json:
        output.data({"pushed": name})
    else:
        output.note(f"Pushed {name}")
