"""``gguf2ollama rm``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("rm")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@host_option
@output_options
def command(*, models: tuple[str, ...], host: str | None, output: Output) -> None:
    """Remove each MODEL from the server, with the weights that no other model uses."""
    names = [model_name(model) for model in models]
    with connect(host) as client:
        for name in names:
            client.delete(name)
            output.note(f"Removed {name}")
    if output.as_json:
        output.data({"removed": names})
