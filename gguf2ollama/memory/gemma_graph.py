"""The graphs of Gemma 3n and Gemma 4, which embed the tokens for each layer.

See :mod:`gguf2ollama.memory.graph`.
"""

from __future__ import annotations

from gguf2ollama.memory.allocation import Tensor
from gguf2ollama.memory.graph import GraphBuilder
from gguf2ollama.memory.shape import Layer

__all__ = ["PerLayerInputs", "gemma3n_layer", "gemma3n_merge", "gemma3n_streams", "gemma4_layer"]


class PerLayerInputs:
    """What each layer gets of the tokens: looked up at once, projected when a layer first needs it."""

    def __init__(self, build: GraphBuilder, x: Tensor) -> None:
        self._build, self._x = build, x
        self._width = build.shape.inner.per_layer * len(build.shape.text_layers)
        device, build.graph.device = build.graph.device, -1  # the CPU looks tokens up
        tokens = build.op(self._width, build.graph.input(build.rows * 4))
        build.graph.device = device
        self._selected = build.op(self._width, build.view(tokens))
        self._projected: Tensor | None = None

    def apply(self, x: Tensor) -> Tensor:
        """Add what they add to a layer's result."""
        build = self._build
        gated = build.op(build.shape.inner.per_layer, x)
        if self._projected is None:
            projected = build.op(self._width, self._x)
            projected = build.op(self._width, build.view(projected))  # its norm is of layers
            projected = build.over(projected, self._selected)
            self._projected = build.op(self._width, build.view(projected))
        return build.op(build.shape.embedding, build.over(gated, build.view(self._projected)))


def gemma3n_streams(build: GraphBuilder, x: Tensor) -> Tensor:
    """Add the parallel streams of Gemma 3n ("altup")."""
    width, others = build.shape.embedding, build.shape.inner.altups - 1
    repeated = build.op(width * others, x)
    added = build.op(width * others, repeated)
    magnitude = build.op(1, build.op(width, x))
    added = build.over(added, magnitude)
    return build.op(width * (others + 1), x, added)


def gemma3n_layer(build: GraphBuilder, streams: Tensor, layer: Layer, inputs: PerLayerInputs) -> Tensor:
    """Add a layer of Gemma 3n."""
    width, all_width = build.shape.embedding, build.shape.embedding * build.shape.inner.altups
    permuted = build.op(all_width, build.view(streams))
    coefficients = build.op(build.shape.inner.altups**2, build.op(width, build.view(streams)))
    predicted = build.op(all_width, permuted, coefficients)
    predictions = build.over(build.op(all_width, build.view(predicted)), streams)
    norm = build.op(width, build.view(predictions))
    attended = build.over(build.attention(norm, layer), build.view(predictions))
    laurel = build.over(build.op(width, norm), norm)
    x = build.over(attended, laurel)
    norm = build.op(width, x)
    up, gate = build.op(layer.feed_forward, norm), build.op(layer.feed_forward, norm)
    cutoff = build.op(1, build.op(layer.feed_forward, gate))  # of the activations that are kept
    hidden = build.over(up, build.over(gate, cutoff))
    x = build.over(build.op(width, hidden), x)
    innovation = build.op(width, x, build.view(predictions))
    corrected = build.op(all_width, innovation)
    build.graph.use(x)
    corrected = build.over(corrected, predictions)
    first = build.op(width, build.view(corrected))
    first = inputs.apply(first)
    rest = build.op(all_width - width, build.view(corrected), first)
    return build.op(all_width, build.view(corrected), rest)


def gemma3n_merge(build: GraphBuilder, streams: Tensor) -> Tensor:
    """Merge the streams of Gemma 3n."""
    width, others = build.shape.embedding, build.shape.inner.altups - 1
    unembedded = build.op(width * others, build.view(streams))
    merged = build.op(width, build.view(streams), build.view(unembedded))
    if others > 1:
        merged = build.over(merged, build.view(unembedded))
    return merged


def gemma4_layer(build: GraphBuilder, x: Tensor, layer: Layer, inputs: PerLayerInputs | None) -> Tensor:
    """Add a layer of Gemma 4."""
    shape = build.shape
    width = shape.embedding
    x = build.over(build.attention(build.op(width, x), layer, has_value_norm=True), x)
    if shape.experts:
        out = build.experts(
            build.op(width, x),
            input_of=lambda: build.op(width, x),
            is_fused=True,
            width=shape.expert_feed_forward,
        )
        out = build.over(build.dense(build.op(width, x), layer.feed_forward), out)
    else:
        out = build.dense(build.op(width, x), layer.feed_forward)
    x = build.over(out, x)
    return x if inputs is None else build.over(x, inputs.apply(x))
