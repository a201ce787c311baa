"""``gguf2ollama schema``."""

from __future__ import annotations

import json

from gguf2ollama.cli._options import output_options, verb
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("schema")
@output_options
def command(*, output: Output) -> None:
    """Print the JSON Schema of a file of models (ollama.models.yaml), for editors and CI.

    \b
    gguf2ollama schema > ollama.models.schema.json
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.fleet.schema import json_schema  # noqa: PLC0415 - not needed for help

    output.exact(json.dumps(json_schema(), indent=2))
