"""The context length that a model gets (``num_ctx``), by its memory, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from gguf2ollama._dataclass import dataclass
from gguf2ollama.memory.hardware import Hardware, MemoryRoom
from gguf2ollama.memory.placement import MAX_CONTEXT, Model, Placement, Places, place_model
from gguf2ollama.memory.record import ContextRecord

__all__ = [
    "ASSUMED",
    "USEFUL_CONTEXT",
    "ContextChoice",
    "ContextProblem",
    "choose_context",
    "describe_placement",
    "describe_use",
    "judge_context",
]

ASSUMED = "OLLAMA_KV_CACHE_TYPE f16, OLLAMA_FLASH_ATTENTION auto, OLLAMA_NUM_PARALLEL 1"
"""What a server decides for itself and is taken to leave at its defaults (envconfig of Ollama 0.34.4)."""

USEFUL_CONTEXT = 4096
"""Tokens that a model has to have on the GPU to be kept there: what Ollama itself gives it on a small one."""

_STEP = 1024  # tokens
_LOWEST = 2048  # tokens: the least that is of use in a chat
_SPLIT = 32_768  # tokens: with more, ever more layers would leave the GPU, and each of them slows every token
_FALLBACK = 4096  # tokens, if the file has no context length
_EXCHANGE = 512  # tokens of one question and its answer
_TOKEN_BYTES = 4  # of English; other languages have fewer, so this asks for too little rather than too much


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChoice:
    """A context length, and the reason for it.

    Attributes:
        tokens: Its tokens; ``None`` leaves it to the server.
        requested: What it was chosen by: ``auto``, ``max``, ``server``, or tokens.
        reason: Why it is that one.
        is_recorded: Whether the model that it replaces had it, for that reason.
    """

    tokens: int | None
    requested: int | str
    reason: str
    is_recorded: bool = False


def choose_context(
    model: Model | None,
    wanted: int | str,
    *,
    room: MemoryRoom | None,
    recorded: ContextRecord | None = None,
) -> ContextChoice:
    """Decide ``num_ctx``.

    ``auto`` is the largest context up to the trained one with which all of the model runs on GPUs; if that
    is less than 4,096 tokens, the largest up to 32,768 with which a part of it does; and in RAM, the largest
    for which half of the RAM that the weights leave is enough, since all of it is taken when the model is
    loaded.

    Args:
        model: The model; ``None`` if its header does not say what it takes.
        wanted: Tokens, ``"auto"``, ``"max"`` or ``"server"``.
        room: The memory for models of the machine that will run it; ``None`` if unknown.
        recorded: How the context of the model that is replaced was chosen: what ``auto`` has chosen stays.
    """
    if wanted == "auto" and recorded is not None and _is_kept(recorded, model, room=room):
        return ContextChoice(
            tokens=recorded.tokens, requested=wanted, reason=recorded.reason, is_recorded=True
        )
    tokens, reason = _decide(model, wanted, room=room)
    if tokens is not None and wanted != "auto" and model is not None and room is not None:
        used = min(tokens, model.trained or tokens, MAX_CONTEXT)
        if not room.is_minimum:
            reason = f"{reason}: {describe_placement(place_model(model, used, room=room), room=room)}"
    return ContextChoice(tokens=tokens, requested=wanted, reason=reason)


def _is_kept(recorded: ContextRecord, model: Model | None, *, room: MemoryRoom | None) -> bool:
    """Return whether a recorded choice is one for this model, and still possible."""
    if model is None or recorded.requested != "auto" or recorded.weights != model.weights:
        return False
    tokens, trained = recorded.tokens, model.trained
    if tokens is None:
        return room is None or room.is_minimum
    if trained is not None and tokens > trained:
        return False
    return room is None or room.is_minimum or place_model(model, tokens, room=room).place != "none"


def _decide(model: Model | None, wanted: int | str, *, room: MemoryRoom | None) -> tuple[int | None, str]:
    if isinstance(wanted, int):
        return wanted, "as requested"
    if wanted == "server":
        return None, "left to the server, as requested"
    if model is None or (trained := model.trained) is None:
        return _FALLBACK, f"the GGUF {'declares no context length' if model else 'has an invalid header'}"
    if wanted == "max":
        return trained, "the model's full context"
    if room is None:
        return None, "left to the server, as the memory of its machine is not known"
    return _fit(model, trained, room=room)


def _fit(model: Model, trained: int, *, room: MemoryRoom) -> tuple[int | None, str]:
    places = Places(model=model, room=room)
    found = None

    def keep(placement: Placement | None) -> bool:
        nonlocal found
        found = placement or found
        return placement is not None

    def reason(tokens: int, why: str) -> tuple[int | None, str]:
        whole = "the model's full context" if tokens == trained else why
        assert found is not None and found.context == tokens  # noqa: S101, PT018 - the last that fitted
        return tokens, f"{whole}: {describe_placement(found, room=room)}"

    on_gpu = _largest(trained, lambda tokens: keep(places.on_gpus(tokens)))
    if on_gpu >= min(USEFUL_CONTEXT, trained):
        return reason(on_gpu, "the largest with which all of it runs on the GPU")
    if room.is_minimum:
        return None, "left to the server, whose models show less memory than this one takes"
    split = _largest(
        min(_SPLIT, trained), lambda tokens: keep(places.on_gpus(tokens) or places.split(tokens))
    )
    if split >= min(_LOWEST, trained):
        why = "the largest that fits" if split < _SPLIT else "more would leave less of it on the GPU"
        return reason(split, why)

    def leaves_half(tokens: int) -> bool:
        placement = places.in_ram(tokens)
        weights = placement.estimate.weights + placement.estimate.projector
        fits = placement.place == "ram" and 2 * (placement.estimate.total - weights) <= room.ram - weights
        return keep(placement if fits else None)

    in_ram = _largest(trained, leaves_half)
    if in_ram >= min(_LOWEST, trained):
        return reason(in_ram, "the largest for which half of the RAM that the weights leave is enough")
    lowest = min(_LOWEST, trained)
    keep(places.in_ram(lowest))
    return reason(lowest, "the smallest useful length")


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest length that fits, in steps of 1,024 tokens; 0 if none does."""
    if fits(most):
        return most
    fewest, beyond = 0, -(-most // _STEP)
    while beyond - fewest > 1:
        middle = (fewest + beyond) // 2
        if fits(middle * _STEP):
            fewest = middle
        else:
            beyond = middle
    return fewest * _STEP


def describe_placement(placement: Placement, *, room: MemoryRoom) -> str:
    """Return in a phrase where a model runs, and what it takes there."""
    total = _gib(placement.estimate.total)
    if placement.place == "gpu":
        known = f"{_gib(room.vram)} that its models take" if room.is_minimum else _gib(room.vram)
        return f"{_gib(placement.gpu_bytes)} of {known} on the GPU"
    if placement.place == "split":
        return (
            f"{total}, {placement.gpu_layers} of {placement.layers} layers on the GPU"
            f" ({_gib(placement.gpu_bytes)} of {_gib(room.vram)})"
        )
    if placement.place == "ram":
        return f"{total} of {_gib(room.ram)} in RAM"
    return f"{total}, which does not fit in {_gib(room.total)}"


def describe_use(placement: Placement, hardware: Hardware) -> str:
    """Return what is in the way of a model at the moment, a sentence; empty if nothing is, or is not known.

    Ollama unloads its own models to make room, but not those of other programs.
    """
    free_vram = [gpu.free_bytes for gpu in hardware.gpus if gpu.free_bytes is not None]
    if hardware.gpus and len(free_vram) == len(hardware.gpus) and placement.gpu_bytes > sum(free_vram):
        used = sum(gpu.total_bytes for gpu in hardware.gpus) - sum(free_vram)
        return (
            f"{_gib(used)} of the GPU is in use now: a part of the model will run in RAM until that is free"
        )
    free_ram = hardware.free_ram_bytes
    needed = placement.estimate.total if hardware.unified else placement.ram_bytes
    if free_ram is not None and needed > free_ram:
        used = hardware.ram_bytes - free_ram
        return f"{_gib(used)} of RAM is in use now: the model may not load until that is free"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextProblem:
    """What is wrong with a context length.

    Attributes:
        kind: What it is.
        text: A sentence.
    """

    kind: Literal["too-small", "beyond-training", "beyond-memory"]
    text: str

    def __str__(self) -> str:
        return self.text


def judge_context(
    tokens: int, *, source: str, model: Model | None, room: MemoryRoom | None, system: str = ""
) -> Iterator[ContextProblem]:
    """Return what is wrong with a context length, whoever set it.

    Args:
        tokens: Its tokens.
        source: Where it comes from.
        model: The model; ``None`` if its header does not say what it takes.
        room: The memory for models of the machine that will run it; ``None`` if unknown.
        system: The system prompt.
    """
    trained = model.trained if model is not None else None
    needed = _EXCHANGE + len(system.encode("utf-8", "replace")) // _TOKEN_BYTES
    is_embedding = model is not None and model.is_embedding
    if tokens < needed and not is_embedding and (system or tokens != trained):
        what = f"the system prompt (about {needed - _EXCHANGE:,} tokens) and " if system else ""
        yield ContextProblem(
            kind="too-small",
            text=f"num_ctx {tokens:,} ({source}) is too small for {what}one question with its answer"
            f" (about {needed:,} tokens)",
        )
    if model is None:
        return
    if trained is not None and tokens > trained:
        yield ContextProblem(
            kind="beyond-training",
            text=f"num_ctx {tokens:,} ({source}) is beyond the {trained:,} tokens that the model was trained"
            f" for; Ollama will use {trained:,}",
        )
        tokens = trained
    if room is None or room.is_minimum or not 0 < tokens <= MAX_CONTEXT:
        return
    placement = place_model(model, tokens, room=room)
    if placement.place == "none":
        largest = _largest(tokens, lambda length: place_model(model, length, room=room).place != "none")
        fits = f"at most {largest:,} tokens fit" if largest else "the weights alone do not fit"
        yield ContextProblem(
            kind="beyond-memory",
            text=f"num_ctx {tokens:,} ({source}) takes {_gib(placement.estimate.total)}, and this machine has"
            f" {_gib(room.total)} for models: {fits}",
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
