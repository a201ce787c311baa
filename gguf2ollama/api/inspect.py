"""Show what a GGUF is and what a build would make; needs no server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gguf2ollama.api.modelfile_source import expand_modelfile
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import find_hardware
from gguf2ollama.planning.inspection import Inspection
from gguf2ollama.planning.model_plan import plan_model
from gguf2ollama.planning.options import ModelOptions, read_keywords
from gguf2ollama.planning.stored.plan_cache import PlanCache
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.parse import server_model
from gguf2ollama.sources.resolve import resolve

if TYPE_CHECKING:
    from typing import Unpack

    from gguf2ollama.install.server_model import ServerModel
    from gguf2ollama.names import ModelName
    from gguf2ollama.planning.options import ModelKeywords

__all__ = ["inspect", "inspect_for"]


def inspect(source: str | os.PathLike[str], **keywords: Unpack[ModelKeywords]) -> Inspection:
    """Read the header of a GGUF, detect its family, select its template, and plan its recipe.

    Args:
        source: A GGUF file, any shard of one, a folder, a place on the Hub (``owner/repo``,
            ``owner/repo:QUANT``, ``hf://owner/repo/path@revision`` or the address of a page), the same on
            ModelScope (``ms://``), the URL of a GGUF, or a model of the server of ``OLLAMA_HOST``
            (``ollama:NAME``).
        keywords: Which model, and what it is to be: see :class:`gguf2ollama.ModelKeywords`.

    Raises:
        InvalidGguf: A file is not a GGUF, or broken.
        InvalidInput: The chat template in the file is invalid, or takes no conversation.
        InvalidShards: The shards are not one complete set.
        NotFound: There is no such file, repository or model.
        ServerProblem: The site cannot be reached, or refuses.
        TypeError: There is no such keyword.
        UsageProblem: The source holds several models, the file cannot run on its own, or an option is
            invalid.
    """
    source, expanded = expand_modelfile(source, keywords)
    selection, options = read_keywords("inspect", ModelOptions, expanded)
    return inspect_for(source, selection=selection, options=options)


def inspect_for(
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    options: ModelOptions,
    target: Target | None = None,
) -> Inspection:
    """Inspect a model for a certain Ollama, or for any; see :func:`inspect`."""
    options.check()
    hardware = find_hardware()
    room = hardware.room if hardware is not None else None
    cache = PlanCache.of_user()
    if (name := server_model(source, selection=selection)) is not None:
        found = _on_server(name, options)
        options = found.applied_to(options)
        return plan_model(found.files, options=options, target=target, room=room, cache=cache)
    ref = resolve(
        source,
        selection=selection,
        projectors=options.projectors,
        takes_projector=not options.no_projector,
        draft=options.draft,
        takes_draft=not options.no_draft and (target is None or target.runs_drafts),
        version=None if target is None else target.version,
        room=room,
        digests=DigestCache(),
    )
    return plan_model(ref.files, options=options, target=target, room=room, cache=cache)


def _on_server(name: ModelName, options: ModelOptions) -> ServerModel:
    from gguf2ollama.install.server_model import read_server_model  # noqa: PLC0415 - for these alone
    from gguf2ollama.names import ServerAddress  # noqa: PLC0415
    from gguf2ollama.ollama import Client, ServerFeatures  # noqa: PLC0415

    with Client(ServerAddress.from_environment(os.environ)) as client:
        features = ServerFeatures.of(client.version())
        return read_server_model(client, name, features=features, options=options, digests=DigestCache())
