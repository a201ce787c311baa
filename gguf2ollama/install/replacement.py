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

    Ollama from 0.30 to 0.34.0 rewrites what is uploaded, so that the same file has another digest there.

    Args:
        plan: The plan.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
        digests: Returns the digest of each layer of weights by its name; called if there is such a model.

    Raises:
        ServerProblem: The server cannot be reached, or refuses.
    """
    existing = _find(plan, client=client, store=store)
    if existing is None:
        return "none"
    models = {layer.name for layer in plan.image.weights if layer.media_type is MediaType.MODEL}
    is_same = existing & {digest for layer, digest in digests().items() if layer in models}
    return "same" if is_same else "other"


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


def _find(plan: BuildPlan, *, client: Client | None, store: LocalStore | None) -> frozenset[Digest] | None:
    """Return the digests of the weights of a model of that name; ``None`` if there is no such model."""
    if client is not None:
        try:
            modelfile = client.show(plan.name).modelfile
        except NotFound:
            return None
        return frozenset(Digest(hexadecimal) for hexadecimal in _IN_MODELFILE.findall(modelfile))
    assert store is not None  # noqa: S101 - the destination is a server or a model directory
    try:
        manifest = store.read_manifest(plan.name)
    except InvalidInput:  # a broken one is no loss
        return None
    if manifest is None:
        return None
    return frozenset(layer.digest for layer in manifest.layers if layer.media_type == MediaType.MODEL)
