"""Show what memory a model takes: by context and type of cache, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gguf2ollama.cli.render.format import columns

if TYPE_CHECKING:
    from gguf2ollama.memory.hardware import MemoryRoom
    from gguf2ollama.memory.placement import Place, Placement
    from gguf2ollama.planning.inspection import Inspection

__all__ = ["describe_room", "memory_json", "memory_table", "place_name", "room_json"]

_PLACES: dict[Place | None, str] = {
    "gpu": "GPU",
    "split": "GPU + RAM",
    "ram": "RAM",
    "none": "no",
    None: "?",
}
_LONG = 1 << 20  # tokens beyond any window


def place_name(place: Place | None) -> str:
    """Return what a table calls the place where a model runs."""
    return _PLACES[place]


def memory_table(inspection: Inspection) -> str:
    """Write what the model takes and where it runs, by context and type of cache; empty if not known."""
    placements = _placements(inspection)
    if not placements or inspection.room is None:
        return ""
    header = (
        "CONTEXT",
        *(f"{found.cache_type} cache" for found in placements if _is_first(found, placements)),
    )
    rows = [
        (f"{context:,}", *(_cell(found) for found in group))
        for context, group in groupby(placements, key=lambda found: found.context)
    ]
    from gguf2ollama.memory.context import ASSUMED  # noqa: PLC0415 - loaded with the inspection

    return f"{columns(header, rows)}\n\n{describe_room(inspection.room)}; assumed: {ASSUMED}"


def _is_first(placement: Placement, placements: Sequence[Placement]) -> bool:
    return placement.context == placements[0].context


def _cell(placement: Placement) -> str:
    return f"{_gib(placement.estimate.total)} {place_name(placement.place)}"


def describe_room(room: MemoryRoom) -> str:
    """Write what memory this machine has for models."""
    gpus = f"{_gib(room.vram)} on {'the GPU' if len(room.gpus) == 1 else f'{len(room.gpus)} GPUs'}"
    if not room.gpus:
        return f"This machine has {_gib(room.ram)} of RAM for models"
    return f"This machine has for models: {gpus}, {_gib(room.ram)} of RAM{' in all' if room.unified else ''}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _placements(inspection: Inspection) -> list[Placement]:
    from gguf2ollama.memory.placement import placement_table  # noqa: PLC0415 - loaded with the inspection

    if inspection.memory is None or inspection.room is None:
        return []
    return list(placement_table(inspection.memory, room=inspection.room))


def _chosen(inspection: Inspection) -> list[Placement]:
    from gguf2ollama.memory.placement import MAX_CONTEXT, place_model  # noqa: PLC0415 - loaded with it

    number = inspection.recipe.parameters.get("num_ctx")
    if number is None or inspection.memory is None or inspection.room is None:
        return []
    if not 0 < int(number.value) <= MAX_CONTEXT:
        return []
    return [place_model(inspection.memory, int(number.value), room=inspection.room)]


def memory_json(inspection: Inspection, *, for_all: bool) -> dict[str, Any]:
    """Return the same as JSON values.

    Args:
        inspection: The model.
        for_all: Whether there are estimates for all contexts and caches, and not only for the context that it
            gets: those take longer than the rest of the plan.
    """
    memory = inspection.memory
    per_token = 0
    if memory is not None:
        per_token = (memory.estimate(2 * _LONG).kv - memory.estimate(_LONG).kv) // _LONG
    return {
        "weight_bytes": sum(tensor.n_bytes for tensor in inspection.model.tensors),
        "context_length": None if memory is None else memory.shape.context_length,
        "cache_bytes_per_token": per_token,
        "is_known": memory is not None and memory.shape.is_known,
        "room": room_json(inspection.room),
        "context": {
            "tokens": inspection.context.tokens,
            "requested": str(inspection.context.requested),
            "reason": inspection.context.reason,
            "is_recorded": inspection.context.is_recorded,
        },
        "estimates": [
            _estimate_json(placement)
            for placement in (_placements(inspection) if for_all else _chosen(inspection))
        ],
    }


def room_json(room: MemoryRoom | None) -> dict[str, Any] | None:
    """Return the memory of a machine as JSON values."""
    if room is None:
        return None
    return {"ram_bytes": room.ram, "gpu_bytes": list(room.gpus), "unified": room.unified}


def _estimate_json(placement: Placement) -> dict[str, Any]:
    estimate = placement.estimate
    return {
        "context": placement.context,
        "cache_type": placement.cache_type,
        "place": placement.place,
        "gpu_layers": placement.gpu_layers,
        "layers": placement.layers,
        "total_bytes": estimate.total,
        "gpu_bytes": placement.gpu_bytes,
        "ram_bytes": placement.ram_bytes,
        "weight_bytes": estimate.weights,
        "kv_bytes": estimate.kv,
        "recurrent_bytes": estimate.recurrent,
        "compute_bytes": estimate.compute,
        "output_bytes": estimate.output,
        "projector_bytes": estimate.projector,
    }
