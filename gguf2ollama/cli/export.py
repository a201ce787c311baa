"""``gguf2ollama export``."""

from __future__ import annotations

from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("export")
@option("--out", "-o", "path", metavar="FILE", help="Write to FILE instead of stdout.")
@option("--no-pin", is_flag=True, help="Name branches, not the commits that models were built from.")
@host_option
@output_options
def command(*, path: str | None, no_pin: bool, host: str | None, output: Output) -> None:
    """Write a file of models from what a server has.

    What was built by gguf2ollama gets its source and options; what was not is pulled under its name.

    \b
    gguf2ollama export -o ollama.models.yaml
    """  # noqa: D301 - click's mark for lines that are not wrapped
    import os  # noqa: PLC0415 - not needed for help

    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - as above
    from gguf2ollama.fleet.export import export, exported_yaml  # noqa: PLC0415 - as above
    from gguf2ollama.names import ServerAddress  # noqa: PLC0415 - as above

    models = export(host, ca_file=ca_file(), pin=not no_pin, notify=output.warn)
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    text = exported_yaml(models, host=address.base_url)
    if path is not None:
        from pathlib import Path  # noqa: PLC0415 - with --out alone

        from gguf2ollama.fs.atomic import atomic_file  # noqa: PLC0415 - as above

        with atomic_file(Path(path), kind="file of models") as stream:
            stream.write(text.encode())
        output.note(f"Wrote {len(models)} models to {path}")
    if output.as_json:
        output.data(
            {
                "url": address.base_url,
                "models": [
                    {
                        "name": model.name.short,
                        "values": dict(model.values),
                        "notes": list(model.notes),
                        "made_by_gguf2ollama": model.record is not None,
                    }
                    for model in models
                ],
            }
        )
    elif path is None:
        output.exact(text, newline=False)
