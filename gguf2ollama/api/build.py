"""Build an Ollama model from a GGUF: everything is planned and checked before the first byte of it moves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.api.build_steps import BuildResult, open_build
from gguf2ollama.api.modelfile_source import expand_modelfile
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.atomic import require_writable
from gguf2ollama.planning.options import BuildOptions, read_keywords

if TYPE_CHECKING:
    from typing import Unpack

    from gguf2ollama.planning.options import BuildKeywords
    from gguf2ollama.planning.plan import BuildPlan

__all__ = ["build", "plan_build"]


def build(
    source: str | os.PathLike[str],
    *,
    host: str | None = None,
    ca_file: Path | None = None,
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    lock: str | os.PathLike[str] | None = None,
    locked: str | os.PathLike[str] | None = None,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    **keywords: Unpack[BuildKeywords],
) -> BuildResult:
    """Build an Ollama model from a GGUF: on a server, or in a model directory with no server.

    Options, output paths, the server and its transports are checked before a source is asked for anything;
    the plan is made from headers; and no file is downloaded before all checks have passed. A model of that
    name that is there already stays as it was until the new one has been checked. If a file changes while it
    is being read, the build starts over, once: Ollama touches what is linked into its model directory
    whenever it makes a model of it.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        store: A model directory to write instead of asking a server.
        for_ollama: The version of Ollama that ``store`` is written for; the newest tested when not given.
        lock: A lock file to write: what the model was made of.
        locked: A lock file; what is made is what it records, or nothing.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.
        keywords: Which model, what it is to be, and how it gets to Ollama (``quant``, ``name``, ``system``,
            ``via``, …): see :class:`gguf2ollama.BuildKeywords`.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
        TypeError: There is no such keyword.
    """
    source, expanded = expand_modelfile(source, keywords, notify=notify)
    selection, options = read_keywords("build", BuildOptions, expanded)
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
    host: str | None = None,
    ca_file: Path | None = None,
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    locked: str | os.PathLike[str] | None = None,
    notify: Callable[[str], None] = ignore,
    **keywords: Unpack[BuildKeywords],
) -> BuildPlan:
    """Plan a build, and make nothing: what :func:`build` does before it moves anything.

    Whether a server can pull from this machine is not tried, since that would make a model there.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        host: As for :func:`build`, and so are the others.
        ca_file: As for :func:`build`.
        store: As for :func:`build`.
        for_ollama: As for :func:`build`.
        locked: As for :func:`build`.
        notify: As for :func:`build`.
        keywords: As for :func:`build`.

    Raises:
        Gguf2OllamaError: As :func:`build` does.
        TypeError: There is no such keyword.
    """
    source, expanded = expand_modelfile(source, keywords, notify=notify)
    selection, options = read_keywords("plan_build", BuildOptions, expanded)
    with open_build(
        source,
        selection=selection,
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
