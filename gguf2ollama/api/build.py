"""Build an Ollama model from a GGUF: all is planned and checked before any file moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.api.build_steps import BuildResult, open_build
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.atomic import require_writable
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.sources.model import SourceSelection

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Parameter
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.planning.target import Via

__all__ = ["build", "plan_build"]


def build(  # noqa: D417 - the options of a model are documented at `inspect`
    source: str | os.PathLike[str],
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    context: int | str = "auto",
    parameters: Sequence[Parameter] = (),
    system: str | None = None,
    template: str | None = None,
    chat_template: str | None = None,
    licenses: Sequence[str] = (),
    projectors: Sequence[str | os.PathLike[str]] = (),
    verify: bool = True,
    load: bool = True,
    allow_mismatch: bool = False,
    rehash: bool = False,
    stream: bool = False,
    lock: str | os.PathLike[str] | None = None,
    locked: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> BuildResult:
    """Build an Ollama model from a GGUF: on a server, or in a model directory without one.

    Options, output paths, the server and its transports are checked before the first request to a source; the
    plan is made from headers; and no file is downloaded before all checks have passed. An existing model of
    that name stays unchanged until the new one has been checked. If a file changes while it is being read,
    the build starts over, once: Ollama touches files that are linked into its model directory whenever it
    makes a model from them.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        quant, file, revision: Of a repository: which model; see :func:`gguf2ollama.inspect`.
        name: The model's name; derived from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        via: How the files reach Ollama: ``"link"`` into its model directory, ``"pull"`` by the server from
            us, ``"upload"`` through its API, or ``"auto"`` for the first of these that works.
        store: A model directory to write without a server.
        for_ollama: The version of Ollama that ``store`` is written for; the newest tested when not given.
        context, parameters, system, template, chat_template, licenses, projectors, verify: The options of the
            model; see :func:`gguf2ollama.inspect`.
        load: Whether the model is loaded once, to find out now what the server cannot run, and to compare
            prompts on the server.
        allow_mismatch: Whether a model that differs from the plan is kept.
        rehash: Whether files are hashed even if their digests are cached.
        stream: Whether files are passed through from their repository to the server, with no copy here.
        lock: A lock file to write: what the model was made from.
        locked: A lock file; the build makes exactly what it records, or fails.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: On any failure; each class has an exit code (see ``gguf2ollama.errors``).
    """
    options = BuildOptions(
        name=name,
        via=via,
        context=context,
        parameters=tuple(parameters),
        system=system,
        template=template,
        chat_template=chat_template,
        licenses=tuple(licenses),
        projectors=tuple(projectors),
        verify=verify,
        load=load,
        allow_mismatch=allow_mismatch,
        rehash=rehash,
        stream=stream,
    )
    selection = SourceSelection(quant=quant, file=file, revision=revision)
    if lock is not None:
        require_writable(Path(lock), kind="lock file")
    with open_build(
        source,
        selection=selection,
        options=options,
        host=host,
        ca_file=ca_file,
        store=store,
        for_ollama=for_ollama,
        locked=locked,
        writes_lock=lock is not None,
        progress=progress,
        notify=notify,
    ) as steps:
        result = steps.run()
    if lock is not None:
        from gguf2ollama.planning.lock import write_lock  # noqa: PLC0415 - for a lock file alone

        write_lock(lock, result.plan)
    return result


def plan_build(
    source: str | os.PathLike[str],
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    context: int | str = "auto",
    parameters: Sequence[Parameter] = (),
    system: str | None = None,
    template: str | None = None,
    chat_template: str | None = None,
    licenses: Sequence[str] = (),
    projectors: Sequence[str | os.PathLike[str]] = (),
    verify: bool = True,
    allow_mismatch: bool = False,
    stream: bool = False,
    locked: str | os.PathLike[str] | None = None,
    notify: Callable[[str], None] = ignore,
) -> BuildPlan:
    """Plan a build without making anything: what :func:`build` does before files move.

    The arguments are those of :func:`build`. Whether a server can pull from this machine is not tested, since
    that would make a temporary model on it.

    Raises:
        Gguf2OllamaError: As :func:`build` does.
    """
    options = BuildOptions(
        name=name,
        via=via,
        context=context,
        parameters=tuple(parameters),
        system=system,
        template=template,
        chat_template=chat_template,
        licenses=tuple(licenses),
        projectors=tuple(projectors),
        verify=verify,
        allow_mismatch=allow_mismatch,
        stream=stream,
    )
    with open_build(
        source,
        selection=SourceSelection(quant=quant, file=file, revision=revision),
        options=options,
        host=host,
        ca_file=ca_file,
        store=store,
        for_ollama=for_ollama,
        locked=locked,
        tests_pull=False,
        notify=notify,
    ) as steps:
        return steps.plan()
