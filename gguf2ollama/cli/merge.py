"""``gguf2ollama merge``."""

from __future__ import annotations

from pathlib import Path

import click

from gguf2ollama.cli._options import option, output_options, require_local, verb
from gguf2ollama.cli.render.format import size
from gguf2ollama.cli.render.output import Output

__all__ = ["command"]


@verb("merge")
@click.argument("shards", nargs=-1, required=True, metavar="SHARD...", callback=require_local)
@option("--output", "-o", "target", required=True, metavar="FILE", help="File to write.")
@option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@option(
    "--drop-split-keys",
    is_flag=True,
    help="Drop the split.* keys that llama-gguf-split keeps; restores the file that was split.",
)
@output_options
def command(
    *, shards: tuple[str, ...], target: str, force: bool, drop_split_keys: bool, output: Output
) -> None:
    """Merge the shards of a GGUF into one file. SHARD is any of them, or all in any order.

    The result is byte for byte that of `llama-gguf-split --merge`.
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
        output.data({"file": str(written), "size_bytes": count, "shard_count": len(model.shards)})
    else:
        output.note(f"Merged {len(model.shards)} shards into {written} ({size(count)})")
