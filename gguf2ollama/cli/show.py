"""``gguf2ollama show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.format import columns
from gguf2ollama.cli.render.output import Output

if TYPE_CHECKING:
    from gguf2ollama.ollama import ModelInfo

__all__ = ["command"]

_LONG_TEXT = 400  # characters of a template or license that the overview shows


@verb("show")
@click.argument("model")
@option("--modelfile", "what", flag_value="modelfile", help="Print only the Modelfile.")
@option("--template", "what", flag_value="template", help="Print only the template.")
@option("--system", "what", flag_value="system", help="Print only the system prompt.")
@option("--license", "what", flag_value="license", help="Print only the license.")
@host_option
@output_options
def command(*, model: str, what: str | None, host: str | None, output: Output) -> None:
    """Show what a server reports about MODEL."""
    name = model_name(model)
    with connect(host) as client:
        info = client.show(name)
    if output.as_json:
        output.data(_as_json(info))
    elif what:
        output.exact(str(getattr(info, what)))
    else:
        output.text(_overview(info))


def _as_json(info: ModelInfo) -> dict[str, object]:
    from gguf2ollama.planning.stored.record import BuildRecord  # noqa: PLC0415 - not needed for help

    made = BuildRecord.find(info.license)
    return {
        "made_from": made
        and {
            "source": made.source,
            "commit": made.commit or None,
            "file": made.file,
            "file_count": made.count,
            "sha256": made.digest,
            "transport": made.transport,
            "given": list(made.given),
            "recipe_sha256": made.recipe,
        },
        "template": info.template,
        "system": info.system,
        "parameters": dict(info.parameters),
        "messages": [{"role": role, "content": content} for role, content in info.messages],
        "license": info.license,
        "modelfile": info.modelfile,
        "family": info.details.family,
        "parameter_size": info.details.parameter_size,
        "quantization": info.details.quantization_level,
        "capabilities": list(info.capabilities),
        "requires": info.requires,
        "metadata": dict(info.metadata),
    }


def _overview(info: ModelInfo) -> str:
    from gguf2ollama.planning.stored.record import BuildRecord  # noqa: PLC0415 - not needed for help

    facts = [
        ("architecture", info.details.family),
        ("parameters", info.details.parameter_size),
        ("quantization", info.details.quantization_level),
        ("context length", str(info.metadata.get(f"{info.details.family}.context_length", ""))),
        ("capabilities", ", ".join(info.capabilities)),
        ("requires", info.requires and f"Ollama {info.requires}"),
    ]
    parts = [columns(("MODEL", ""), [(name, text) for name, text in facts if text])]
    if (made := BuildRecord.find(info.license)) is not None:
        more = f" and {made.count - 1} more" if made.count > 1 else ""
        rows = [
            ("source", made.source),
            ("commit", made.commit),
            ("file", f"{made.file}{more}"),
            ("sha256", made.digest),
            ("transport", made.transport),
            ("options", " ".join(made.given)),
            ("recipe sha256", made.recipe),
        ]
        parts.append(columns(("MADE FROM", ""), [(name, text) for name, text in rows if text]))
    if info.parameters:
        rows = [
            (name, str(value))
            for name, values in info.parameters.items()
            for value in (values if isinstance(values, tuple) else (values,))
        ]
        parts.append(columns(("PARAMETER", ""), rows))
    for title, text in (("SYSTEM", info.system), ("TEMPLATE", info.template), ("LICENSE", info.license)):
        if text:
            more = f"\n… ({len(text):,} characters in total)" if len(text) > _LONG_TEXT else ""
            parts.append(f"{title}\n{text[:_LONG_TEXT]}{more}")
    return "\n\n".join(parts)
