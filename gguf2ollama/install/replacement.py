"""Check that a name which was not given does not replace another model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput, NameTaken, NotFound
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.stored.record import BuildRecord, weights_digest

__all__ = ["WeightsFound", "find_weights", "require_same_weights"]

_IN_MODELFILE = lazy_pattern(r"^FROM .*sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)


WeightsFound: TypeAlias = Literal["none", "same", "other"]
"""Whether there is a model of a name, and whose weights it has."""


def find_weights(
    plan: BuildPlan,
    *,
    client: Client | None,
    store: LocalStore | None,
    digests: Callable[[], Mapping[str, Digest]],
) -> WeightsFound:
    """Return whether a model of the plan's name exists, and has the plan's weights.

    Ollama from 0.30 to 0.34.0 rewrites what is uploaded, so that the same file has another digest there; then
    the record in the model says whose weights it has.

    Args:
        plan: The plan.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
        digests: Returns the digest of each layer of weights by its name; called if there is such a model.

    Raises:
        ServerProblem: The server cannot be reached, or refuses.
    """
    found = _find(plan, client=client, store=store)
    if found is None:
        return "none"
    existing, record = found
    layers, known = plan.image.weights, digests()
    models = {known[layer.name] for layer in layers if layer.media_type is MediaType.MODEL}
    made = plan.inspection.recipe.made
    is_recorded = (
        record is not None
        and made is not None
        and record.digest == weights_digest(made, [known[layer.name] for layer in layers])
    )
    return "same" if is_recorded or existing & models else "other"


def require_same_weights(
    plan: BuildPlan,
    *,
    client: Client | None,
    store: LocalStore | None,
    digests: Callable[[], Mapping[str, Digest]],
) -> None:
    """Check that a model of the plan's name, which was not given, has the same weights if there is one.

    Args:
        plan: The plan.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
        digests: Returns the digest of each layer of weights by its name; called if there is such a model.

    Raises:
        NameTaken: It has other weights.
        ServerProblem: The server cannot be reached, or refuses.
    """
    if find_weights(plan, client=client, store=store, digests=digests) != "other":
        return
    name, where = plan.name.short, plan.destination.location
    raise NameTaken(
        f"{name} already exists in {where} with other weights, and no name was given",
        hint=f"give another with --name, or --replace to replace {name}",
    )


def _find(
    plan: BuildPlan, *, client: Client | None, store: LocalStore | None
) -> tuple[frozenset[Digest], BuildRecord | None] | None:
    """Return the digests of the weights of the model of that name, and its record; ``None`` for none."""
    if client is not None:
        try:
            info = client.show(plan.name)
        except NotFound:
            return None
        found = frozenset(Digest(hexadecimal) for hexadecimal in _IN_MODELFILE.findall(info.modelfile))
        return found, BuildRecord.find(info.license)
    assert store is not None  # noqa: S101 - the destination is a server or a model directory
    try:
        manifest = store.read_manifest(plan.name)
    except InvalidInput:  # a broken one is no loss
        return None
    if manifest is None:
        return None
    return frozenset(layer.digest for layer in manifest.layers if layer.media_type == MediaType.MODEL), None
