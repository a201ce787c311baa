"""Check that a name which was not given does not replace another model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput, NameTaken, NotFound
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.plan import BuildPlan

__all__ = ["WeightsFound", "find_weights", "require_same_weights"]

_IN_MODELFILE = lazy_pattern(r"^FROM .*sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)
_CHANGEABLE = ("tokenizer.chat_template", "split.", "general.alignment")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Existing:
    """The weights of a model that has the name already.

    Attributes:
        digests: Of its layers.
        metadata: The keys of its header, without arrays; empty where they are not known.
    """

    digests: frozenset[Digest]
    metadata: Mapping[str, object]


WeightsFound: TypeAlias = Literal["none", "same", "other"]
"""Whether a model of that name exists, and whether it has the same weights."""


def find_weights(
    plan: BuildPlan,
    *,
    client: Client | None,
    store: LocalStore | None,
    digests: Callable[[], Mapping[str, Digest]],
) -> WeightsFound:
    """Return whether a model of the plan's name exists, and has the plan's weights.

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
    return "same" if _is_same(plan, existing, digests=digests()) else "other"


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


def _find(plan: BuildPlan, *, client: Client | None, store: LocalStore | None) -> _Existing | None:
    if client is not None:
        try:
            info = client.show(plan.name)
        except NotFound:
            return None
        found = frozenset(Digest(hexadecimal) for hexadecimal in _IN_MODELFILE.findall(info.modelfile))
        return _Existing(digests=found, metadata=info.metadata)
    assert store is not None  # noqa: S101 - the destination is a server or a model directory
    try:
        manifest = store.read_manifest(plan.name)
    except InvalidInput:  # a broken one is no loss
        return None
    if manifest is None:
        return None
    layers = (layer.digest for layer in manifest.layers if layer.media_type == MediaType.MODEL)
    return _Existing(digests=frozenset(layers), metadata={})


def _is_same(plan: BuildPlan, existing: _Existing, *, digests: Mapping[str, Digest]) -> bool:
    models = {layer.name for layer in plan.image.weights if layer.media_type is MediaType.MODEL}
    if existing.digests & {digest for name, digest in digests.items() if name in models}:
        return True
    if not plan.destination.features.rewrites_gguf:
        return False
    # what this server was sent it has rewritten, so the digests differ
    ours = plan.inspection.model.metadata
    return bool(existing.metadata) and all(
        key in ours and ours[key] == value
        for key, value in existing.metadata.items()
        if isinstance(value, str | int | bool) and not key.startswith(_CHANGEABLE)
    )
