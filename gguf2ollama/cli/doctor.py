"""``gguf2ollama doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from gguf2ollama.cli._options import output_options
from gguf2ollama.cli._output import Output
from gguf2ollama.errors import NotFound, VerificationFailed

__all__ = ["command"]


@click.command("doctor", short_help="Check a store of models.")
@click.option("--store", required=True, metavar="DIR", help="The store's folder: what OLLAMA_MODELS names.")
@click.option("--quick", is_flag=True, help="Look at lengths only; hash nothing.")
@output_options
def command(*, store: str, quick: bool, output: Output) -> None:
    """Check a store of models: every manifest and blob; nothing is changed.

    Ends with 6 when a model is not whole. What only takes room is noted.
    """
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help
    from gguf2ollama.ollama.store_check import check_store  # noqa: PLC0415

    root = Path(store)
    if not (root / "blobs").is_dir():
        raise NotFound(f"{root} is no store, it has no folder blobs", hint="name what OLLAMA_MODELS names")
    with output.progress() as progress:
        findings = check_store(LocalStore(root), hash_blobs=not quick, progress=progress)
    if output.as_json:
        output.data([{"level": one.level, "path": str(one.path), "message": one.message} for one in findings])
    else:
        for one in findings:
            output.text(f"{one.level}: {one.path}: {one.message}")
    if errors := sum(one.level == "error" for one in findings):
        raise VerificationFailed(f"{root} has {errors} errors", hint="each says what to do")
    output.note(f"{root}: every model is whole")
