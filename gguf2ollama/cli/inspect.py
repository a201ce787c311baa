"""``gguf2ollama inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import output_options, source_argument
from gguf2ollama.cli._output import Output
from gguf2ollama.cli._plan import describe, describe_origin, inspection_json
from gguf2ollama.cli._preferences import preference_options

if TYPE_CHECKING:
    from gguf2ollama.usecases import Preferences

__all__ = ["command"]


@click.command("inspect", short_help="Tell what a GGUF holds, and what would be made of it.")
@source_argument
@click.option("--metadata", is_flag=True, help="Print all keys of the GGUF; of an array, its length.")
@preference_options
@output_options
def command(*, source: str, metadata: bool, preferences: Preferences, output: Output) -> None:
    """Tell what SOURCE holds, of which family it is and why, and where each value would come from.

    Of a repository on the Hub, only the headers are fetched.
    """
    from gguf2ollama.usecases import inspect  # noqa: PLC0415 - not needed for help

    inspection = inspect(source, **preferences)
    for warning in inspection.warnings:
        output.warn(warning)
    if inspection.files.origin is not None:
        output.note(describe_origin(inspection))
    keys = _keys(inspection.model.metadata) if metadata else {}
    if output.as_json:
        output.data(inspection_json(inspection) | ({"metadata": keys} if metadata else {}))
        return
    output.text(describe(inspection))
    if metadata:
        output.text("\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()))


def _keys(metadata: object) -> dict[str, object]:
    assert hasattr(metadata, "items")  # noqa: S101 - a mapping
    scalar = (str, int, float, bool)
    return {
        key: value if isinstance(value, scalar) else f"[{len(value):,} elements]"
        for key, value in metadata.items()
    }
