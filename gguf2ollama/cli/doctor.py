"""``gguf2ollama doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._text import one_line
from gguf2ollama.cli._options import ca_option, option, output_options, verb
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import NotFound, ServerUnreachable, UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from gguf2ollama.api.system_check import SystemFinding
    from gguf2ollama.ollama.store_check import StoreFinding

__all__ = ["command"]


@verb("doctor")
@option(
    "--store",
    metavar="DIR",
    help="Check this model directory of Ollama alone.  [default: OLLAMA_MODELS, else Ollama's default]",
)
@option(
    "--quick",
    is_flag=True,
    help="Check sizes only; compute no digests but of linked files that were changed.",
)
@option(
    "--fix",
    is_flag=True,
    help="First remove temporary models that killed builds left behind, with their weights: from the server"
    " and the directory, or only from the one that --host or --store names.",
)
@option("--no-network", is_flag=True, help="Do not contact the Hub.")
@option(
    "--host",
    group="transport",
    metavar="ADDRESS",
    help="Address of the Ollama server.  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
)
@ca_option
@output_options
def command(
    *, store: str | None, quick: bool, fix: bool, no_network: bool, host: str | None, output: Output
) -> None:
    """Check what builds depend on: the server, disks, memory, settings, and Ollama's model directory.

    Every manifest and blob of that directory is checked; nothing is changed without --fix. With --store,
    nothing else is looked at. Nothing secret is printed, so the output can go into a bug report.

    Exits with 6 if something is broken. Files that only take up space are reported as notes.
    """
    from gguf2ollama.api.doctor import find_model_directory  # noqa: PLC0415 - not needed for help

    if host is not None and store is not None and not fix:
        raise UsageProblem(
            "--host and --store exclude each other without --fix", hint="with --store, no server is contacted"
        )
    if fix and (host is not None or store is None):
        _fix_server(host, output=output)
    system = [] if store is not None else _check_system(host, takes_network=not no_network, output=output)
    try:
        root = find_model_directory(store)
    except NotFound:  # among the findings
        if store is not None:
            raise
        damages: list[StoreFinding] = []
    else:
        if fix:
            _fix_store(root, output=output)
        damages = _check_store(root, quick=quick, output=output)
    if output.as_json:
        output.data(
            {
                "system": [
                    {
                        "topic": finding.topic,
                        "level": finding.level,
                        "message": finding.message,
                        "hint": finding.hint,
                    }
                    for finding in system
                ],
                "store": [
                    {"level": finding.level, "path": str(finding.path), "message": finding.message}
                    for finding in damages
                ],
            }
        )
    levels = [*(finding.level for finding in system), *(damage.level for damage in damages)]
    if errors := levels.count("error"):
        raise VerificationFailed(f"{errors} errors were found", hint="see the lines above")


def _check_system(host: str | None, *, takes_network: bool, output: Output) -> list[SystemFinding]:
    from gguf2ollama.api.system_check import check_system  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - as above

    found = []
    for finding in check_system(host=host, ca_file=ca_file(), takes_network=takes_network):
        found.append(finding)
        if not output.as_json:
            output.text(one_line(f"{finding.level}: {finding.topic}: {finding.message}"))
            if finding.hint:
                output.text(one_line(f"  hint: {finding.hint}"))
    return found


def _fix_server(host: str | None, *, output: Output) -> None:
    """Remove from a server what killed builds left behind, if one is running."""
    from gguf2ollama.cli._server import connect  # noqa: PLC0415 - not needed for help
    from gguf2ollama.install.temporary_models import remove_abandoned  # noqa: PLC0415

    with connect(host) as client:
        try:
            client.version()
        except ServerUnreachable:
            if host is not None:
                raise
            output.note(f"No server is running at {client.address.base_url}")
            return
        for name in remove_abandoned(client):
            output.note(f"Removed {name.short} from {client.address.base_url}, left behind by a killed build")


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


def _check_store(root: Path, *, quick: bool, output: Output) -> list[StoreFinding]:
    from gguf2ollama.api.doctor import check_directory  # noqa: PLC0415 - not needed for help

    with output.progress() as progress:
        findings = check_directory(root, quick=quick, progress=progress)
    if not output.as_json:
        for finding in findings:
            output.text(one_line(f"{finding.level}: {finding.path}: {finding.message}"))
    if not any(finding.level == "error" for finding in findings):
        output.note(f"{root}: no damage found")
    return list(findings)
