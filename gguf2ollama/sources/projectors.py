"""Projectors: which of them a model can be run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import GgufFile, Role, Shard, role_of

__all__ = ["projector_problem", "require_one_projector", "require_projector"]

_OUTPUTS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("phi4", "pixtral", "lightonocr", "dots_ocr", "lfm2", "kimivl", "kimik25", "paddleocr"),
                "muse-glimmer",
            ),
            ("mm.2.weight", 1),
        ),
        **dict.fromkeys(
            (*("qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "exaone4_5", "youtuvl"),),
            ("mm.2.bias", 0),
        ),
        "janus_pro": ("mm.1.bias", 0),
        "gemma3": ("mm.input_projection.weight", 0),
        **dict.fromkeys(("gemma4v", "gemma4uv"), ("mm.input_projection.weight", 1)),
        **dict.fromkeys(("idefics3", "llama4", "deepseekocr", "deepseekocr2"), ("mm.model.fc.weight", 1)),
        **dict.fromkeys(("internvl", "nemotron_v2_vl"), ("mm.model.mlp.3.weight", 1)),
        "resampler": ("resampler.proj.weight", 0),
        **dict.fromkeys(("ultravox", "voxtral", "musicflamingo", "qwen3a"), ("mm.a.mlp.2.weight", 1)),
        "qwen2a": ("mm.a.fc.weight", 1),
    }
)
"""For each type of projector a tensor and its dimension that is the width of what comes out.

``clip_n_mmproj_embd`` and the names of tensors in llama.cpp's ``tools/mtmd/clip.cpp`` (b11095). The key
``projection_dim`` is CLIP's own width in old files of LLaVA, not that of the model.
"""
_LLAVA = "mlp"
_LLAVA_OUTPUTS = (("mm.3.bias", 0), ("mm.2.weight", 1))  # with a norm behind it, and without


def require_projector(shard: Shard) -> Shard:
    """Return the file if its header says that it is a projector.

    Raises:
        UsageProblem: It says something else.
    """
    if (role := role_of(shard.gguf)) is not Role.PROJECTOR:
        raise UsageProblem(
            f"{shard.path} is not a projector: its header says {role.value}",
            hint="give an mmproj file",
        )
    return shard


def require_one_projector(projectors: Sequence[Shard], *, model: GgufFile) -> None:
    """Check the projectors that a user gave: ``llama-server`` takes one, and it has to fit the model.

    Ollama passes the first alone (``llm/llama_server.go`` of 0.34.4), and the model does not load with one of
    another width.

    Raises:
        UsageProblem: There are several, or it does not fit.
    """
    if len(projectors) > 1:
        names = ", ".join(str(shard.path) for shard in projectors)
        raise UsageProblem(
            f"{len(projectors)} projectors are given, and Ollama runs one: {names}", hint="name one"
        )
    for shard in projectors:
        if (problem := projector_problem(shard.gguf, model=model)) is not None:
            raise UsageProblem(
                f"{shard.path} does not fit the model: {problem}",
                hint="give the mmproj file that was made for it",
            )


def projector_problem(projector: GgufFile, *, model: GgufFile) -> str | None:
    """Return why a projector does not fit a model, a phrase; ``None`` if it does, or nothing says.

    Args:
        projector: Its header.
        model: That of the model; of one in shards, the first.
    """
    width = model.metadata.get(f"{model.metadata.get('general.architecture')}.embedding_length")
    made = _width(projector)
    if not isinstance(width, int) or made is None or made == width:
        return None
    return f"it is for models of width {made:,}, and this one has {width:,}"


def _width(projector: GgufFile) -> int | None:
    """Return the width of what comes out of a projector; ``None`` where that is not known."""
    keys = ("clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type")
    kind = next((str(projector.metadata[key]) for key in keys if key in projector.metadata), "")
    outputs = _LLAVA_OUTPUTS if kind == _LLAVA else tuple(filter(None, (_OUTPUTS.get(kind),)))
    shapes = {tensor.name: tensor.shape for tensor in projector.tensors}
    for name, dimension in outputs:
        if (shape := shapes.get(name)) is not None and dimension < len(shape):
            return shape[dimension]
    return None
