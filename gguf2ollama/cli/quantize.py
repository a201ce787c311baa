"""``gguf2ollama quantize``."""

from __future__ import annotations

from pathlib import Path

import click

from gguf2ollama.cli._options import option, output_options, require_local, verb
from gguf2ollama.cli.render.format import size
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("quantize")
@click.argument("source", metavar="IN", callback=require_local)
@click.argument("target", metavar="OUT")
@click.argument("kind", metavar="TYPE")
@option(
    "--llama-quantize",
    "program",
    metavar="PROGRAM",
    help="Program of llama.cpp.  [default: that on PATH, else the library of llama-cpp-python]",
)
@option("--threads", type=click.IntRange(min=0), default=0, metavar="N", help="Threads of the CPU to use.")
@option("--force", is_flag=True, help="Overwrite OUT if it exists.")
@output_options
def command(
    *, source: str, target: str, kind: str, program: str | None, threads: int, force: bool, output: Output
) -> None:
    """Write a copy of the GGUF IN, or of all its shards, with weights of TYPE, such as Q4_K_M.

    llama.cpp quantizes; Ollama from 0.30 on does not.
    """
    from gguf2ollama.api.quantize import quantize  # noqa: PLC0415 - not needed for help

    with output.progress() as progress:
        written = quantize(
            source,
            target,
            kind,
            replace=force,
            threads=threads,
            program=program,
            progress=progress,
            notify=output.note,
            warn=output.warn,
        )
    count = written.stat().st_size
    if output.as_json:
        from gguf2ollama.ggufio.ggml import file_type_name, file_type_number  # noqa: PLC0415 - not needed for help

        output.data(
            {"file": str(written), "type": file_type_name(file_type_number(kind)), "size_bytes": count}
        )
    else:
        output.note(f"Wrote {Path(target)} ({size(count)})")
