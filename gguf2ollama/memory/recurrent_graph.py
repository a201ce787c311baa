"""The parts of graphs that keep a recurrent state: see :mod:`gguf2ollama.memory.graph`."""

from __future__ import annotations

from collections.abc import Callable

from gguf2ollama.memory.allocation import Tensor
from gguf2ollama.memory.graph import FLOAT, GraphBuilder
from gguf2ollama.memory.shape import Layer

__all__ = [
    "conv_states",
    "gated_delta_net",
    "kimi_delta_attention",
    "mamba",
    "mamba2",
    "rwkv",
    "short_convolution",
]


def conv_states(build: GraphBuilder) -> Tensor:
    """Add the states of the convolution of all sequences, as read from the cache."""
    return build.graph.op(build.shape.conv_state * build.settings.sequences * FLOAT)


def _state_bytes(build: GraphBuilder) -> int:
    """Return the bytes of the recurrent states of all sequences."""
    return build.shape.recurrent_state * build.settings.sequences * FLOAT


def _convolve(build: GraphBuilder, x: Tensor, conv: Tensor, width: int) -> Tensor:
    """Put the state before the tokens (``conv_input``)."""
    return build.graph.op(width * build.rows * FLOAT + conv.size, build.view(conv), x)


def mamba(
    build: GraphBuilder, conv: Tensor, norm: Tensor, ahead: Callable[[], None] = lambda: None
) -> Tensor:
    """Add a layer of Mamba (``build_mamba_layer``); `ahead` is called once its state is stored."""
    inner, graph = build.shape.inner, build.graph
    width, rank, state = inner.ssm_inner, inner.ssm_heads, inner.ssm_state
    states = _state_bytes(build)
    xz = build.op(2 * width, build.view(norm))
    with_state = _convolve(build, build.view(xz), conv, width)
    graph.use(build.view(with_state))
    x = build.op(width, with_state)
    projected = build.op(rank + 2 * state, x)
    dt = build.op(width, build.op(rank, build.view(projected)))
    scanned = graph.op(width * build.rows * FLOAT + states, build.view(x), dt, build.view(projected))
    graph.use(build.view(scanned))
    ahead()
    z = build.op(width, build.view(xz))
    y = build.over(x, build.view(scanned))
    return build.view(build.op(build.shape.embedding, build.op(width, z, y)))


def mamba2(
    build: GraphBuilder, conv: Tensor, norm: Tensor, ahead: Callable[[], None] = lambda: None
) -> Tensor:
    """Add a layer of Mamba 2 (``build_mamba2_layer``); `ahead` is called once its state is stored."""
    inner, graph = build.shape.inner, build.graph
    width, heads = inner.ssm_inner, inner.ssm_heads
    channels = width + 2 * inner.ssm_groups * inner.ssm_state
    states = _state_bytes(build)
    projected = build.op(width + channels + heads, norm)
    with_state = _convolve(build, build.view(projected), conv, channels)
    graph.use(build.view(with_state))
    mixed = build.op(channels, with_state)
    dt = build.op(heads, build.view(projected))
    scanned = graph.op(width * build.rows * FLOAT + states, build.view(mixed), dt)
    graph.use(build.view(scanned))
    ahead()
    z = build.op(width, build.view(projected))
    y = build.over(build.op(width, build.view(mixed)), build.view(scanned))
    y = build.op(width, z, y)
    y = build.op(width, build.view(y))  # its norm is of groups
    return build.op(build.shape.embedding, build.view(y))


def gated_delta_net(build: GraphBuilder, norm: Tensor, *, repeats_keys: bool) -> Tensor:
    """Add a linear attention layer of Qwen 3.5 and Qwen3-Next (``build_layer_attn_linear``)."""
    inner, graph = build.shape.inner, build.graph
    width, heads, keys = inner.ssm_inner, inner.ssm_heads, inner.ssm_groups * inner.ssm_state
    conv, states = conv_states(build), _state_bytes(build)
    mixed = build.op(2 * keys + width, norm)
    with_state = _convolve(build, build.view(mixed), conv, 2 * keys + width)
    graph.use(build.view(with_state))
    state = graph.op(states)
    qkv = build.op(2 * keys + width, with_state)
    q = build.op(keys, build.view(qkv))
    if repeats_keys:
        q = build.op(width, build.view(q))
    k = build.op(keys, build.view(qkv))
    if repeats_keys:
        k = build.op(width, build.view(k))
    gate = build.op(heads, build.view(build.op(heads, norm)))
    beta = build.op(heads, build.view(build.op(heads, norm)))
    result = graph.op(
        width * build.rows * FLOAT + states, q, k, build.view(qkv), gate, beta, build.view(state)
    )
    graph.use(build.view(result))
    normed = build.op(width, build.view(result))
    z = build.op(width, build.view(build.op(width, norm)))
    out = build.over(normed, z)
    return build.view(build.op(build.shape.embedding, build.view(out)))


def kimi_delta_attention(build: GraphBuilder, norm: Tensor, layer: Layer) -> Tensor:
    """Add a linear attention layer of Kimi (KDA)."""
    inner, graph = build.shape.inner, build.graph
    head, width = inner.kda_head, layer.heads * inner.kda_head
    conv, states = conv_states(build), _state_bytes(build)
    parts = []
    for _ in range(3):
        part = build.op(width, norm)
        parts.append(
            graph.op(width * build.rows * FLOAT + conv.size // 3, build.view(conv), build.view(part))
        )
        graph.use(build.view(parts[-1]))
    state = graph.op(states)
    mixed = []
    for part, is_value in zip(parts, (False, False, True), strict=True):
        x = build.op(width, build.view(build.op(width, part)))
        mixed.append(x if is_value else build.op(width, build.view(x)))
    decay = build.op(width, build.op(head, norm))
    decay = build.op(width, build.view(decay))
    beta = build.op(layer.heads, build.view(build.op(layer.heads, norm)))
    result = graph.op(width * build.rows * FLOAT + states, *mixed, decay, beta, build.view(state))
    graph.use(build.view(result))
    out = build.op(width, build.view(result))
    normed = build.op(width, out)
    gate = build.op(width, build.op(head, norm))
    gate = build.op(width, build.view(gate))
    out = build.op(width, build.view(build.over(normed, gate)))
    return build.op(build.shape.embedding, out)


def short_convolution(build: GraphBuilder, conv: Tensor, norm: Tensor) -> Tensor:
    """Add a convolution of LFM2 (``build_shortconv_block``)."""
    graph, width = build.graph, build.shape.embedding
    bcx = build.op(3 * width, build.view(norm))
    bx = build.op(width, build.view(bcx), build.view(bcx))
    with_state = _convolve(build, build.view(bx), conv, width)
    graph.use(build.view(with_state))
    y = build.over(build.op(width, with_state), build.view(bcx))
    return build.view(build.op(width, y))


def rwkv(build: GraphBuilder, norm: Tensor) -> Tensor:
    """Add the time mixing of RWKV (``build_rwkv6_time_mix``, ``build_rwkv7_time_mix``)."""
    graph, width = build.graph, build.shape.embedding
    is_seventh = build.shape.architecture.endswith("rwkv7")
    states = _state_bytes(build)
    state = graph.op(states)
    shifted = build.op(width, norm)
    mixed = build.op((6 if build.shape.architecture == "rwkv7" else 5) * width, build.view(shifted))
    # receptance, key, value and decay; the seventh has a removal key and its rate as well
    parts = [build.op(width, build.view(mixed)) for _ in range(6 if is_seventh else 4)]
    if is_seventh:
        parts += (build.op(width, parts[1]), build.op(width, parts[1], parts[-1]))
    result = graph.op(width * build.rows * FLOAT + states, *parts, build.view(state))
    graph.use(build.view(result))
    out = build.op(width, build.view(build.op(width, build.view(result))))
    gate = build.op(width, build.view(mixed))
    return build.op(width, build.over(out, gate))
