"""``gguf2ollama doctor``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gguf2ollama.cli._format import escaped
from gguf2ollama.cli._options import output_options
from gguf2ollama.cli._output import Output
from gguf2ollama.errors import NotFound, VerificationFailed

__all__ = ["command"]


@click.command("doctor", short_help="Check a store of models.")
@click.option(
    "--store",
    metavar="DIR",
    help="The store's folder.  [default: OLLAMA_MODELS, or where Ollama keeps models otherwise]",
)
@click.option("--quick", is_flag=True, help="Look at lengths only; hash nothing.")
@output_options
def command(*, store: str | None, quick: bool, output: Output) -> None:
    """Check a store of models: every manifest and blob; nothing is changed.

    Ends with 6 when a model is not whole. What only takes room is noted.
    """
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help
    from gguf2ollama.ollama.store_check import check_store  # noqa: PLC0415

    root = _find_store(store)
    with output.progress() as progress:
        findings = check_store(LocalStore(root), hash_blobs=not quick, progress=progress)
    if output.as_json:
        output.data([{"level": one.level, "path": str(one.path), "message": one.message} for one in findings])
    else:
        for one in findings:
            output.text(escaped(f"{one.level}: {one.path}: {one.message}"))
    if errors := sum(one.level == "error" for one in findings):
        raise VerificationFailed(f"{root} has {errors} errors", hint="each says what to do")
    output.note(f"{root}: every model is whole")


def _find_store(told: str | None) -> Path:
    """Give the store that was named, or the first that is there of those that Ollama may use."""
    from gguf2ollama.usecases.routes import known_stores  # noqa: PLC0415 - not needed for help

    roots = [one.root for one in known_stores(os.environ)] if told is None else [Path(told)]
    for root in roots:
        if (root / "blobs").is_dir():
            return root
    if told is None:
        raise NotFound(
            f"no store is at {', '.join(map(str, roots))}", hint="name the folder of the store with --store"
        )
    raise NotFound(f"{roots[0]} is no store, it has no folder blobs", hint="name what OLLAMA_MODELS names")
