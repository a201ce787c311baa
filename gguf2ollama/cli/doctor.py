"""``gguf2ollama doctor``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gguf2ollama.cli._format import escaped
from gguf2ollama.cli._options import ca_option, output_options
from gguf2ollama.cli._output import Output
from gguf2ollama.errors import NotFound, ServerUnreachable, UsageProblem, VerificationFailed

__all__ = ["command"]


@click.command("doctor", short_help="Check a store of models.")
@click.option(
    "--store",
    metavar="DIR",
    help="The store's folder.  [default: OLLAMA_MODELS, or where Ollama keeps models otherwise]",
)
@click.option("--quick", is_flag=True, help="Look at lengths only; hash nothing.")
@click.option(
    "--fix",
    is_flag=True,
    help="First remove temporary models of builds that were killed, with their weights: from the server and"
    " the store, or from that one of both that is named.",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    help="With --fix: the address of the Ollama server.  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
)
@ca_option
@output_options
def command(*, store: str | None, quick: bool, fix: bool, host: str | None, output: Output) -> None:
    """Check a store of models: every manifest and blob; nothing is changed without --fix.

    Ends with 6 when a model is not whole. What only takes room is noted.
    """
    if host is not None and not fix:
        raise UsageProblem("--host goes with --fix", hint="a store is checked on disk; --store names it")
    has_server = fix and (host is not None or store is None) and _fix_server(host, output=output)
    try:
        root = _find_store(store)
    except NotFound:
        if store is None and has_server:  # on another machine, or in a container
            return
        raise
    if fix:
        _fix_store(root, output=output)
    _check_store(root, quick=quick, output=output)


def _fix_server(host: str | None, *, output: Output) -> bool:
    """Remove from a server what killed builds left; return whether there is a server."""
    from gguf2ollama.cli._server import connect  # noqa: PLC0415 - not needed for help
    from gguf2ollama.install.temporary_models import remove_abandoned  # noqa: PLC0415

    with connect(host) as client:
        try:
            client.version()
        except ServerUnreachable:
            if host is not None:
                raise
            output.note(f"no server answers at {client.address.base_url}")
            return False
        for name in remove_abandoned(client):
            output.note(f"removed {name.short}, which a killed build left at {client.address.base_url}")
        return True


def _fix_store(root: Path, *, output: Output) -> None:
    """Remove from a store what killed builds left, where it is ours to write."""
    from gguf2ollama.install.temporary_models import remove_abandoned_from_store  # noqa: PLC0415
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help

    store = LocalStore(root)
    if not store.is_writable:
        output.note(f"{root} is not yours to write: its server removes what was left (--host)")
        return
    for name in remove_abandoned_from_store(store):
        output.note(f"removed {name.short}, which a killed build left in {root}")


def _check_store(root: Path, *, quick: bool, output: Output) -> None:
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help
    from gguf2ollama.ollama.store_check import check_store  # noqa: PLC0415

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
    """Return the store that was named, or the first that is there of those that Ollama may use."""
    from gguf2ollama.install.transport import known_stores  # noqa: PLC0415 - not needed for help

    roots = [one.root for one in known_stores(os.environ)] if told is None else [Path(told)]
    for root in roots:
        if (root / "blobs").is_dir():
            return root
    if told is None:
        raise NotFound(
            f"no store is at {', '.join(map(str, roots))}", hint="name the folder of the store with --store"
        )
    raise NotFound(f"{roots[0]} is no store, it has no folder blobs", hint="name what OLLAMA_MODELS names")
