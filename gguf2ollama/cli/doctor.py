"""``gguf2ollama doctor``."""

from __future__ import annotations

from pathlib import Path

from gguf2ollama._text import one_line
from gguf2ollama.cli._options import ca_option, option, output_options, verb
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import NotFound, ServerUnreachable, UsageProblem, VerificationFailed

__all__ = ["command"]


@verb("doctor")
@option(
    "--store",
    metavar="DIR",
    help="Ollama's model directory.  [default: OLLAMA_MODELS, else Ollama's default]",
)
@option("--quick", is_flag=True, help="Check sizes only; compute no digests.")
@option(
    "--fix",
    is_flag=True,
    help="First remove temporary models that killed builds left behind, with their weights: from the server"
    " and the directory, or only from the one that --host or --store names.",
)
@option(
    "--host",
    group="transport",
    metavar="ADDRESS",
    help="Address of the Ollama server (with --fix).  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
)
@ca_option
@output_options
def command(*, store: str | None, quick: bool, fix: bool, host: str | None, output: Output) -> None:
    """Check every manifest and blob in Ollama's model directory; nothing is changed without --fix.

    Exits with 6 if a model is damaged. Files that only take up space are reported as notes.
    """
    from gguf2ollama.api.doctor import find_model_directory  # noqa: PLC0415 - not needed for help

    if host is not None and not fix:
        raise UsageProblem("--host needs --fix", hint="name the directory to check with --store")
    has_server = fix and (host is not None or store is None) and _fix_server(host, output=output)
    try:
        root = find_model_directory(store)
    except NotFound:
        if store is None and has_server:  # on another machine, or in a container
            return
        raise
    if fix:
        _fix_store(root, output=output)
    _check_store(root, quick=quick, output=output)


def _fix_server(host: str | None, *, output: Output) -> bool:
    """Remove from a server what killed builds left behind; return whether a server is running."""
    from gguf2ollama.cli._server import connect  # noqa: PLC0415 - not needed for help
    from gguf2ollama.install.temporary_models import remove_abandoned  # noqa: PLC0415

    with connect(host) as client:
        try:
            client.version()
        except ServerUnreachable:
            if host is not None:
                raise
            output.note(f"No server is running at {client.address.base_url}")
            return False
        for name in remove_abandoned(client):
            output.note(f"Removed {name.short} from {client.address.base_url}, left behind by a killed build")
        return True


def _fix_store(root: Path, *, output: Output) -> None:
    """Remove from a directory what killed builds left behind, if it belongs to this user."""
    from gguf2ollama.install.temporary_models import remove_abandoned_from_store  # noqa: PLC0415
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help

    store = LocalStore(root)
    if not store.is_writable:
        output.note(f"{root} belongs to another user; use --host to remove leftovers through its server")
        return
    for name in remove_abandoned_from_store(store):
        output.note(f"Removed {name.short} from {root}, left behind by a killed build")


def _check_store(root: Path, *, quick: bool, output: Output) -> None:
    from gguf2ollama.ollama.store import LocalStore  # noqa: PLC0415 - not needed for help
    from gguf2ollama.ollama.store_check import check_store  # noqa: PLC0415

    with output.progress() as progress:
        findings = check_store(LocalStore(root), hash_blobs=not quick, progress=progress)
    if output.as_json:
        output.data(
            [
                {"level": finding.level, "path": str(finding.path), "message": finding.message}
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            output.text(one_line(f"{finding.level}: {finding.path}: {finding.message}"))
    if errors := sum(finding.level == "error" for finding in findings):
        raise VerificationFailed(f"{root} has {errors} errors", hint="see the lines above")
    output.note(f"{root}: no damage found")
