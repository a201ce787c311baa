"""``gguf2ollama split``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.cli._options import option, output_options, require_local, verb
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import UsageProblem

__all__ = ["command"]

_SIZE = lazy_pattern(r"(\d+)([MG])", re.IGNORECASE | re.ASCII)
_FACTORS = {"M": 10**6, "G": 10**9}


@verb("split")
@click.argument("source", metavar="FILE", callback=require_local)
@option("--max-size", metavar="N(M|G)", help="Most bytes of tensors in a shard: 500M, 2G (decimal).")
@option("--max-tensors", type=click.IntRange(min=1), metavar="N", help="Most tensors in a shard.")
@option(
    "--output",
    "-o",
    "prefix",
    required=True,
    metavar="PREFIX",
    help="Shards are written to PREFIX-00001-of-….gguf.",
)
@option("--force", is_flag=True, help="Overwrite shards that exist.")
@output_options
def command(
    *,
    source: str,
    max_size: str | None,
    max_tensors: int | None,
    prefix: str,
    force: bool,
    output: Output,
) -> None:
    """Split FILE into shards as `llama-gguf-split --split` does; llama.cpp and Ollama can load them."""
    from gguf2ollama.ggufio import split  # noqa: PLC0415 - not needed for help

    if (max_size is None) == (max_tensors is None):
        raise UsageProblem(
            "exactly one of --max-size and --max-tensors is required", hint="for example: --max-size 2G"
        )
    with output.progress() as progress:
        written = split(
            Path(source),
            Path(prefix),
            max_bytes=None if max_size is None else _bytes(max_size),
            max_tensors=max_tensors,
            replace=force,
            progress=progress,
        )
    if output.as_json:
        output.data({"shards": [{"file": str(path), "size_bytes": path.stat().st_size} for path in written]})
    else:
        output.note(f"Wrote {len(written)} shards: {written[0]} …")


def _bytes(text: str) -> int:
    """Read a size as `llama-gguf-split` does: a whole number of M (10^6) or G (10^9) bytes."""
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise UsageProblem(f"invalid --max-size {text!r}", hint="use a whole number with M or G: 500M, 2G")
    return int(match[1]) * _FACTORS[match[2].upper()]
