"""``gguf2ollama modelfile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import output_options, source_argument
from gguf2ollama.cli._output import Output
from gguf2ollama.cli._preferences import preference_options

if TYPE_CHECKING:
    from gguf2ollama.usecases import Preferences

__all__ = ["command"]


@click.command("modelfile", short_help="Print the Modelfile for a GGUF; touches no server.")
@source_argument
@preference_options
@output_options
def command(*, source: str, preferences: Preferences, output: Output) -> None:
    """Print the Modelfile for SOURCE, each value with where it came from; no server is asked.

    FROM names the files as SOURCE does: write the Modelfile to the folder where you are.
    """
    from gguf2ollama.usecases import modelfile  # noqa: PLC0415 - not needed for help

    text = modelfile(source, **preferences)
    if output.as_json:
        output.data({"modelfile": text})
    else:
        output.text(text, newline=False)
