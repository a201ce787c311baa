"""``gguf2ollama list``."""

from __future__ import annotations

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli._server import connect
from gguf2ollama.cli.render.format import age, columns, size
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("list")
@host_option
@output_options
def command(*, host: str | None, output: Output) -> None:
    """List the models on a server, each once."""
    from gguf2ollama.api.listing import list_once  # noqa: PLC0415 - not needed for help

    with connect(host) as client:
        listed = list_once(client.list())
    models = listed.models
    for copy in listed.abandoned:
        output.note(
            f"Not listed: Ollama's converted copy of a model that was removed or rebuilt ({size(copy.size)});"
            f" `gguf2ollama rm {copy.name}` deletes it"
        )
    if output.as_json:
        output.data(
            [
                {
                    "name": model.name,
                    "size_bytes": model.size,
                    "digest": model.digest,
                    "modified_at": model.modified and model.modified.isoformat(),
                    "family": model.details.family,
                    "parameter_size": model.details.parameter_size,
                    "quantization": model.details.quantization_level,
                    "capabilities": list(model.capabilities),
                }
                for model in models
            ]
        )
        return
    rows = [
        (
            model.name,
            model.digest[:12],
            size(model.size),
            model.details.quantization_level,
            age(model.modified) if model.modified else "",
        )
        for model in models
    ]
    output.text(columns(("NAME", "ID", "SIZE", "QUANT", "MODIFIED"), rows))
