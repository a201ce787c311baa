"""Make an Ollama model of a GGUF."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.transaction import OtherRendering
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.planning.layers import lay_out_weights
from gguf2ollama.planning.lock import LockCheck
from gguf2ollama.sources.digest_cache import DigestCache
from gguf2ollama.sources.resolve import obtain_model

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gguf2ollama.api.build_job import Built
    from gguf2ollama.install.transport import Via
    from gguf2ollama.planning.plan import Preferences
    from gguf2ollama.planning.target import Rendering

__all__ = ["build"]


def build(
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
    via: Via = "auto",
    store: str | os.PathLike[str] | None = None,
    for_ollama: str | None = None,
    rehash: bool = False,
    load: bool = True,
    verify: bool = True,
    allow_mismatch: bool = False,
    dry_run: bool = False,
    locked: str | os.PathLike[str] | None = None,
    stream: bool = False,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    **preferences: Unpack[Preferences],
) -> Built:
    """Make an Ollama model of a GGUF: on a server, or in the folder of a store with no server.

    A model of that name that is there already stays as it was until the new one has been checked. Where a
    file is changed while it is read, all begins anew, once: Ollama gives what is linked into its store
    another time whenever it makes a model of it.

    Args:
        source: A GGUF file, any shard of one, a folder, a place on the Hub (``owner/repo``,
            ``owner/repo:QUANT``, ``hf://owner/repo/path@revision`` or the address of a page), the same on
            ModelScope (``ms://``), or the URL of a GGUF.
        name: The model's name; made from the file's when not given.
        host: The server's address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's.
        via: The way to the server: ``"link"`` into its store, ``"pull"`` by the server from us, ``"upload"``
            through its interface, or ``"auto"`` for the first of these that works.
        store: A store's folder to write instead of asking a server.
        for_ollama: The version of Ollama that a store is written for; the newest tested when not given.
        rehash: Whether files are hashed even where their digests are remembered.
        load: Whether the model is loaded once, so that what the server cannot run is found now.
        verify: Whether prompts are compared with those the authors meant: offline to choose the template, and
            then, where the model is loaded, on the server.
        allow_mismatch: Whether a model that differs from what was asked for is kept.
        dry_run: Whether to stop before anything is written.
        locked: A lock file; what is made is what it says, or nothing.
        stream: Whether what the server lacks goes from its repository through to it, with no copy here.
        progress: Called with the bytes downloaded, hashed, copied and sent.
        notify: Called with a line about each step.
        preferences: See :class:`Preferences`.

    Raises:
        Gguf2OllamaError: Whatever goes wrong; each class has an exit code (see ``gguf2ollama.errors``).
    """
    wanted = None if name is None else _parse_name(name)
    _check(to_store=store is not None, via=via, for_ollama=for_ollama, stream=stream)
    lock = LockCheck(locked)
    source, preferences = lock.take(source, preferences)

    def attempt(rendering: Rendering) -> Built:
        digests = DigestCache(is_trusted=not rehash)
        with Hashing(cache=digests, progress=progress) as hashing:
            files = obtain_model(
                source,
                projectors=preferences.get("projectors", ()),
                selection=preferences.get("hub"),
                digests=None if dry_run or stream else digests,
                runs_locally=store is not None or _address(host).is_loopback,
                progress=progress,
                notify=notify,
            )
            lock.require_files(files)
            if not dry_run and not stream and preferences.get("chat_template") is None:
                # what most servers will be given, while the server is asked and the recipe is made
                hashing.submit(lay_out_weights(files, takes_shards=True))
            # loaded while files are hashed
            from gguf2ollama.api.build_job import BuildJob  # noqa: PLC0415

            job = BuildJob(
                files=files,
                name=wanted,
                lock=lock,
                hashing=hashing,
                load=load,
                verify=verify,
                allow_mismatch=allow_mismatch,
                stream=stream,
                progress=progress,
                notify=notify,
                preferences=preferences,
                rendering=rendering,
            )
            if store is not None:
                return job.to_store(Path(store), for_ollama=for_ollama, dry_run=dry_run)
            return job.to_server(
                _address(host), ca_file=ca_file, via="upload" if stream else via, dry_run=dry_run
            )

    def attempts(rendering: Rendering) -> Built:
        try:
            return attempt(rendering)
        except FileChanged as changed:
            notify(f"{changed}; starting over")
        return attempt(rendering)

    try:
        return attempts("by capabilities")
    except OtherRendering as other:
        rendering = other.rendering
    notify(f"this server renders every model with its {rendering} (OLLAMA_GO_TEMPLATE)")
    return attempts(rendering)  # from the start, since Ollama has touched what is linked into its store


def _check(*, to_store: bool, via: Via, for_ollama: str | None, stream: bool) -> None:
    if to_store and via != "auto":
        raise UsageProblem("--via and --store exclude each other", hint="--store asks no server")
    if not to_store and for_ollama is not None:
        raise UsageProblem("--for-ollama goes with --store", hint="a server is asked for its version")
    if stream and (to_store or via not in {"auto", "upload"}):
        raise UsageProblem("--stream is an upload to a server", hint="leave out --store and --via")


def _address(host: str | None) -> ServerAddress:
    return ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)


def _parse_name(text: str) -> ModelName:
    name = ModelName.parse(text)
    if name.has_reserved_tag:
        raise UsageProblem(
            f"Ollama takes the tag {name.tag} for where a model runs, and would not find {name.short} here",
            hint="choose another tag",
        )
    return name
