"""Build an Ollama model from a GGUF: everything is planned and checked before the first byte of it moves."""

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


def build(  # noqa: D417 - what a model is to be stands at `inspect`
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
    """Build an Ollama model from a GGUF: on a server, or in a model directory with no server.

    Options, output paths, the server and its transports are checked before a source is asked for anything;
    the plan is made from headers; and no file is downloaded before all checks have passed. A model of that
    name that is there already stays as it was until the new one has been checked. Where a file changes while
    it is being read, the build starts over, once: Ollama touches what is linked into its model directory
    whenever it makes a model of it.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        quant, file, revision: Of a repository: which model; see :func:`gguf2ollama.inspect`.
        name: The model's name; made from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        via: How the files reach Ollama: ``"link"`` into its model directory, ``"pull"`` by the server from
            us, ``"upload"`` through its API, or ``"auto"`` for the first of these that works.
        store: A model directory to write instead of asking a server.
        for_ollama: The version of Ollama that ``store`` is written for; the newest tested when not given.
        context, parameters, system, template, chat_template, licenses, projectors, verify: What the model is
            to be; see :func:`gguf2ollama.inspect`.
        load: Whether the model is loaded once, so that what the server cannot run is found now, and prompts
            are compared on the server.
        allow_mismatch: Whether a model that differs from the plan is kept.
        rehash: Whether files are hashed even where their digests are remembered.
        stream: Whether what the server lacks goes from its repository through to it, with no copy here.
        lock: A lock file to write: what the model was made of.
        locked: A lock file; what is made is what it records, or nothing.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
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
        is_recorded=lock is not None,
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
    """Plan a build, and make nothing: what :func:`build` does before it moves anything.

    The arguments are those of :func:`build`. Whether a server can pull from this machine is not tried, since
    that would make a model on it, and be it for a moment.

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
        is_tested=False,
        notify=notify,
    ) as steps:
        return steps.plan()
