"""``gguf2ollama merge``."""

from __future__ import annotations

from pathlib import Path

import click

from gguf2ollama.cli._format import size
from gguf2ollama.cli._options import output_options, require_local
from gguf2ollama.cli._output import Output

__all__ = ["command"]


@click.command("merge", short_help="Write the shards of a GGUF into one file.")
@click.argument("shards", nargs=-1, required=True, metavar="SHARD...", callback=require_local)
@click.option("--output", "-o", "target", required=True, metavar="FILE", help="The file to write.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option(
    "--drop-split-keys",
    is_flag=True,
    help="Leave out the split.* keys that llama-gguf-split keeps: gives back the file that was split.",
)
@output_options
def command(
    *, shards: tuple[str, ...], target: str, force: bool, drop_split_keys: bool, output: Output
) -> None:
    """Write the shards of a GGUF into one file: SHARD is any of them, or all in any order.

    The bytes are those of `llama-gguf-split --merge`.
    """
    from gguf2ollama.ggufio import ShardSet, merge  # noqa: PLC0415 - not needed for help

    model = ShardSet.discover(shards[0]) if len(shards) == 1 else ShardSet.from_paths(shards)
    with output.progress() as progress:
        written = merge(
            model,
            Path(target),
            replace=force,
            split_keys="drop" if drop_split_keys else "keep",
            progress=progress,
        )
    count = written.stat().st_size
    if output.as_json:
        output.data({"file": str(written), "bytes": count, "shards": len(model.shards)})
    else:
        output.note(f"merged {len(model.shards)} shards into {written} ({size(count)})")
