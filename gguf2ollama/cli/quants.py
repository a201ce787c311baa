"""``gguf2ollama quants``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gguf2ollama.cli._options import option, output_options, verb
from gguf2ollama.cli.render.format import columns, size
from gguf2ollama.cli.render.memory import describe_room, place_name, room_json
from gguf2ollama.cli.render.output import Output
from gguf2ollama.sources.parse import require_repository

if TYPE_CHECKING:
    from gguf2ollama.api.quants import QuantRow, QuantTable

__all__ = ["command"]


@verb("quants")
@click.argument("repository", metavar="REPOSITORY")
@option("--revision", metavar="REV", help="Branch, tag or commit.  [default: the main branch]")
@output_options
def command(*, repository: str, revision: str | None, output: Output) -> None:
    """List the GGUF models in REPOSITORY (owner/repo, ms://owner/repo), and where they would run here.

    The default, which is used without --quant and --file, is marked with *.
    """
    require_repository(repository)
    from gguf2ollama.api.quants import list_quants  # noqa: PLC0415 - not needed for help

    table = list_quants(repository, revision=revision)
    if output.as_json:
        output.data(_as_json(table))
        return
    header = ("QUANT", "SIZE", "SHARDS", "BITS/WEIGHT", "FITS", "FILE")
    if table.rows:
        output.text(columns(header, [_row(row, table=table) for row in table.rows]))
    if table.room is not None:
        output.note(describe_room(table.room))
    for other in table.others:
        output.note(f"Also available: {other.files[0].path} ({other.kind.value}, {size(other.n_bytes)})")
    if table.choice is not None:
        variant = table.choice.variant
        output.note(f"Default: {variant.quant or variant.files[0].path} ({table.choice.reason})")
    elif table.problem:
        output.note(f"No default: {table.problem}. Choose one with --quant or --file")


def _row(row: QuantRow, *, table: QuantTable) -> tuple[str, ...]:
    variant = row.variant
    is_taken = table.choice is not None and table.choice.variant == variant
    bits = "?" if row.bits_per_weight is None else f"{row.bits_per_weight:.2f}"
    shards = f"{len(variant.files)}{' pieces' if variant.is_cut else ''}"
    shards = f"{shards}, incomplete" if variant.missing else shards
    quant = f"{variant.quant or '-'}{' *' if is_taken else ''}"
    return (quant, size(variant.n_bytes), shards, bits, place_name(row.place), variant.files[0].path)


def _as_json(table: QuantTable) -> dict[str, Any]:
    return {
        "repository": table.repository.info.name,
        "commit": table.repository.info.commit,
        "parameter_count": table.repository.parameters,
        "models": [
            {
                "quantization": row.variant.quant,
                "size_bytes": row.variant.n_bytes,
                "files": [file.path for file in row.variant.files],
                "missing_shards": list(row.variant.missing),
                "bits_per_weight": row.bits_per_weight,
                "fits_memory": row.fits,
                "place": row.place,
            }
            for row in table.rows
        ],
        "other_files": [
            {
                "kind": other.kind.value,
                "size_bytes": other.n_bytes,
                "files": [file.path for file in other.files],
            }
            for other in table.others
        ],
        "room": room_json(table.room),
        "default": None
        if table.choice is None
        else {"file": table.choice.variant.files[0].path, "reason": table.choice.reason},
    }
