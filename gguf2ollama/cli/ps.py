"""``gguf2ollama ps``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama.cli._options import host_option, output_options, verb
from gguf2ollama.cli._server import connect
from gguf2ollama.cli.render.format import age, columns, size
from gguf2ollama.cli.render.output import Output

if TYPE_CHECKING:
    from gguf2ollama.ollama import RunningModel

__all__ = ["command"]


@verb("ps")
@host_option
@output_options
def command(*, host: str | None, output: Output) -> None:
    """List the models that are loaded in a server's memory."""
    with connect(host) as client:
        models = client.ps()
    if output.as_json:
        output.data(
            [
                {
                    "name": model.name,
                    "size_bytes": model.size,
                    "vram_bytes": model.size_vram,
                    "context_length": model.context_length,
                    "expires_at": model.expires and model.expires.isoformat(),
                }
                for model in models
            ]
        )
        return
    rows = [
        (
            model.name,
            size(model.size),
            _processor(model),
            str(model.context_length or ""),
            age(model.expires) if model.expires else "",
        )
        for model in models
    ]
    output.text(columns(("NAME", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows))


def _processor(model: RunningModel) -> str:
    """Return how much of the model is on a GPU, as ``ollama ps`` does."""
    if model.size_vram <= 0 or model.size <= 0:
        return "100% CPU"
    on_gpu = min(round(100 * model.size_vram / model.size), 100)
    return "100% GPU" if on_gpu == 100 else f"{100 - on_gpu}%/{on_gpu}% CPU/GPU"  # noqa: PLR2004 - all of it
