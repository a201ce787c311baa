"""``gguf2ollama merge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import option, output_options, require_local, verb
from gguf2ollama.cli.render.format import size
from gguf2ollama.cli.render.output import Output

if TYPE_CHECKING:
    from gguf2ollama.ggufio import SplitKeys

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

    The result is byte for byte that of `llama-gguf-split --merge`. Pieces such as
    X.gguf.part1of2, which have no headers of their own, are joined.
    """
    from gguf2ollama.ggufio import ShardSet, merge  # noqa: PLC0415 - not needed for help
    from gguf2ollama.sources.local_pieces import find_pieces  # noqa: PLC0415 - as above

    written = Path(target)
    with output.progress() as progress:
        if (pieces := find_pieces(Path(shards[0]))) is not None:
            pieces.write(written, replace=force, progress=progress)
            count, what = len(pieces.paths), "pieces"
        else:
            model = ShardSet.discover(shards[0]) if len(shards) == 1 else ShardSet.from_paths(shards)
            split_keys: SplitKeys = "drop" if drop_split_keys else "keep"
            merge(model, written, replace=force, split_keys=split_keys, progress=progress)
            count, what = len(model.shards), "shards"
    n_bytes = written.stat().st_size
    if output.as_json:
        output.data({"file": str(written), "size_bytes": n_bytes, "shard_count": count})
    else:
        output.note(f"Merged {count} {what} into {written} ({size(n_bytes)})")
