"""The graphs of architectures, put together of the parts of :mod:`gguf2ollama.memory.graph`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gguf2ollama.memory import gemma_graph, recurrent_graph
from gguf2ollama.memory.allocation import Graph, Tensor
from gguf2ollama.memory.graph import GraphBuilder, GraphSettings
from gguf2ollama.memory.latent_graph import latent_attention
from gguf2ollama.memory.shape import Layer, ModelShape

__all__ = ["NO_FLASH_ATTENTION", "NO_LOGITS", "build_graph"]

_FUSED_QKV = frozenset(
    """
    bloom chatglm codeshell cogvlm dbrx falcon gpt2 gptneox jais modern-bert mpt nomic-bert openelm phi2 phi3
    qwen starcoder
    """.split()  # noqa: SIM905
)
"""Architectures whose files have one tensor for queries, keys and values."""

_NO_ROPE = frozenset("bert bloom gpt2 jais jais2 jina-bert-v2 mpt refact starcoder".split())  # noqa: SIM905
"""Architectures that neither rotate queries and keys nor have norms of them."""

_FUSED_UP = frozenset({"chatglm", "glm4", "modern-bert", "phi3"})
"""Architectures with one tensor for the gate and the rest of a feed-forward part."""

_UNGATED = frozenset(
    """
    apertus arcee bert bloom codeshell falcon gpt2 gptneox jais2 jina-bert-v3 mpt nemotron nemotron_h
    nemotron_h_moe nomic-bert-moe phi2 starcoder starcoder2
    """.split()  # noqa: SIM905
)
"""Architectures whose feed-forward part has no gate."""

_PARALLEL = frozenset({"cohere2", "command-r", "falcon", "gptneox", "phi2", "plamo"})
"""Architectures that compute the feed-forward part of the same norm as attention."""

_POST_NORM = frozenset(
    "bert exaone4 jina-bert-v2 jina-bert-v3 nomic-bert nomic-bert-moe olmo2".split()  # noqa: SIM905
)
"""Architectures with norms behind attention and feed-forward part instead of before."""

_RESIDUAL_FIRST = frozenset({"jamba", "lfm2", "lfm2moe", "openelm"})
"""Architectures that add to the residual in its own memory."""

_ALL_ROWS = frozenset({"gemma3n", "gemma4", "qwen35", "qwen35moe", "qwen3next"})
"""Architectures that compute the last layer of all tokens, not only of those that an output is wanted of."""

_STATE_AFTER_NORM = frozenset({"kimi-linear", "qwen35", "qwen35moe", "qwen3next"})
"""Architectures that read their recurrent state after a layer's norm, others do before."""

NO_LOGITS = frozenset(
    """
    bert eurobert gemma-embedding jina-bert-v2 jina-bert-v3 llama-embed modern-bert neo-bert nomic-bert
    nomic-bert-moe t5encoder
    """.split()  # noqa: SIM905
)
"""Architectures that return embeddings and no logits."""

_CHOSEN_BY_BIAS = frozenset(
    "bailingmoe2 deepseek2 dots1 exaone-moe glm-dsa glm4moe kimi-linear lfm2moe mimo2 minimax-m2 nemotron_h_moe step35".split()  # noqa: SIM905, E501
)
"""Architectures that choose experts by numbers of their own (``exp_probs_b``)."""

_EXPERTS_AS_WIDE = frozenset(
    """
    arctic dbrx granite_swa granitehybrid granitemoe hunyuan-moe jamba llama minimax-01 minimax-m2 mistral3
    nomic-bert-moe olmoe phimoe
    """.split()  # noqa: SIM905
)
"""Architectures whose experts are as wide as ``feed_forward_length``."""

_Q4_K_M = 0.6
"""Bytes of an element in the quantization that most files have."""

_OF_A_KIND = 3
"""Layers of a kind that a graph is built of: further ones need no more than the third."""

NO_FLASH_ATTENTION = frozenset({"grok"})
"""Architectures without flash attention (``llama_init_from_model``)."""


def build_graph(
    shape: ModelShape,
    settings: GraphSettings,
    *,
    devices: Sequence[int],
    caches: Sequence[int],
    weights: Mapping[int, int] | None,
) -> Graph:
    """Return the graph of a prompt.

    With layers on a GPU, it computes the others as well, of copies of their weights and caches.

    Args:
        shape: The shape of the model.
        settings: What the graph is built for.
        devices: The device of each layer and, last, of the output; -1 is the CPU.
        caches: The bytes of each layer's KV cache.
        weights: The bytes of the largest weight of layers, where they are known.
    """
    return _Architecture(shape, settings).build(devices, caches, weights)


class _Architecture(GraphBuilder):
    def __init__(self, shape: ModelShape, settings: GraphSettings) -> None:
        super().__init__(shape, settings)
        self.per_layer: gemma_graph.PerLayerInputs | None = None
        self.deepstack: Tensor | None = None
        self.conv = self.out_ids
        self.norm_device = -1
        self.next_conv: Tensor | None = None

    def build(
        self, devices: Sequence[int], caches: Sequence[int], weights: Mapping[int, int] | None
    ) -> Graph:
        graph, shape = self.graph, self.shape
        name = shape.architecture
        numbers = _representatives(shape, devices)
        first = min((device for device in devices if device >= 0), default=-1)
        x = self.inputs(device=first)
        graph.device = max(devices[numbers[0]], first)
        if shape.inner.deepstack:
            x = self.deepstack = self.op(shape.embedding * (1 + shape.inner.deepstack), x)
        if shape.inner.per_layer:
            self.per_layer = gemma_graph.PerLayerInputs(self, x)
        if name == "gemma3n":
            x = gemma_graph.gemma3n_streams(self, x)
        for number, index in enumerate(numbers):
            is_copied = devices[index] != max(devices[index], first)
            is_whole = min(devices) >= 0 and number > 0
            self.norm_device = devices[numbers[number - 1]] if is_whole else max(devices[index], first)
            graph.device = max(devices[index], first)
            self.density = self.density_of(index, weights) if is_copied else 0
            self.cache = caches[index] if is_copied else 0
            is_last = number == len(numbers) - 1
            x = self.view(x) if x is self.deepstack else x
            x = self.layer(x, shape.layers[index], index, is_last=is_last and name not in _ALL_ROWS)
            if self.deepstack is not None and number < min(shape.inner.deepstack, len(numbers) - 1):
                x = self.over(x, self.view(self.deepstack))
        if name == "gemma3n":
            x = gemma_graph.gemma3n_merge(self, x)
        graph.device = devices[-1]
        x = self.over(x)
        x.is_output = True
        if name in _ALL_ROWS:
            self.rows = self.settings.outputs
            x = self.op(shape.embedding, x, self.out_ids)
            x.is_output = True
        if name not in NO_LOGITS:
            self.op(shape.vocabulary, x).is_output = True
        return graph

    def layer(self, x: Tensor, layer: Layer, index: int, *, is_last: bool) -> Tensor:
        width, name = self.shape.embedding, self.shape.architecture
        if name == "gemma3n" and self.per_layer is not None:
            return gemma_graph.gemma3n_layer(self, x, layer, self.per_layer)
        if name == "gemma4":
            return gemma_graph.gemma4_layer(self, x, layer, self.per_layer)
        if layer.is_recurrent and name not in _STATE_AFTER_NORM:
            self.conv = self.next_conv or recurrent_graph.conv_states(self)
        norm = x if name in _POST_NORM else self.first_norm(x)
        mixed = self.mix(norm, layer, index)
        if is_last:
            self.rows = self.settings.outputs
            mixed = self.op(width, mixed, self.out_ids)
            x = self.op(width, x, self.out_ids)
            if name in _PARALLEL:
                norm = self.op(width, norm, self.out_ids)
        if name in _PARALLEL:
            out = self.feed_forward(norm, layer, index)
            return self.over(self.over(out, x), mixed)
        if name.startswith("nemotron_h") or not (layer.feed_forward or self.shape.experts):
            return self.over(mixed, x)
        x = self.over(x, mixed) if name in _RESIDUAL_FIRST else self.over(mixed, x)
        norm = x if name in _POST_NORM else self.op(width, x)
        out = self.feed_forward(norm, layer, index)
        is_first = name in _RESIDUAL_FIRST or name in {"phi3", "phimoe"}
        return self.over(x, out) if is_first else self.over(out, x)

    def first_norm(self, x: Tensor) -> Tensor:
        """Add the norm that a layer begins with: of several GPUs the one before gets memory for it, too."""
        device, self.graph.device = self.graph.device, self.norm_device
        norm = self.op(self.shape.embedding, x)
        self.graph.device = device
        return norm

    def mix(self, norm: Tensor, layer: Layer, layer_index: int) -> Tensor:
        """Add attention, or what a layer has in its stead."""
        name = self.shape.architecture
        if layer.is_recurrent:
            return self.recur(norm, layer)
        if not self.has_attention(layer):
            return self.feed_forward(norm, layer, layer_index) if name.startswith("nemotron_h") else norm
        if self.shape.kv_rank:
            return latent_attention(self, norm, layer)
        return self.attention(
            norm,
            layer,
            is_fused=name in _FUSED_QKV,
            has_rope=name not in _NO_ROPE,
            has_gate=name in {"qwen35", "qwen35moe", "qwen3next"},
        )

    def recur(self, norm: Tensor, layer: Layer) -> Tensor:
        """Add what keeps a recurrent state."""
        name = self.shape.architecture
        if name == "falcon-h1":
            mixed = recurrent_graph.mamba2(self, self.conv, norm)
            out = self.over(self.attention(norm, layer), mixed)
        elif name in {"mamba", "jamba"}:
            ahead = self.read_ahead if name == "mamba" else lambda: None
            out = recurrent_graph.mamba(self, self.conv, norm, ahead)
        elif name in {"qwen35", "qwen35moe", "qwen3next"}:
            out = recurrent_graph.gated_delta_net(self, norm, repeats_keys=name == "qwen3next")
        elif self.shape.inner.kda_head:
            out = recurrent_graph.kimi_delta_attention(self, norm, layer)
        elif name in {"lfm2", "lfm2moe"}:
            out = recurrent_graph.short_convolution(self, self.conv, norm)
        elif self.shape.inner.rwkv_head:
            out = recurrent_graph.rwkv(self, norm)
        else:
            ahead = self.read_ahead if name == "mamba2" else lambda: None
            out = recurrent_graph.mamba2(self, self.conv, norm, ahead)
        return out

    def read_ahead(self) -> None:
        """Add the state that the next layer reads, before this one is done."""
        self.next_conv = recurrent_graph.conv_states(self)

    def feed_forward(self, norm: Tensor, layer: Layer, index: int) -> Tensor:
        shape, name = self.shape, self.shape.architecture
        if shape.experts and index >= shape.leading_dense:
            out = self.experts(
                norm,
                has_bias=name in _CHOSEN_BY_BIAS,
                has_gate=name not in _UNGATED,
                weighs_first=name == "llama4",
                width=self.expert_width(layer),
            )
            shared = shape.shared_feed_forward
            if name == "llama4":
                shared = shape.expert_feed_forward
            if shared:
                out = self.over(out, self.dense(norm, shared, has_gate=name not in _UNGATED))
            return out
        if not layer.feed_forward:
            return norm
        return self.dense(norm, layer.feed_forward, has_gate=name not in _UNGATED, is_fused=name in _FUSED_UP)

    def density_of(self, index: int, weights: Mapping[int, int] | None) -> float:
        """Return the bytes of an element of a layer's weights."""
        if weights is None:
            return _Q4_K_M
        return weights.get(index, 0) / self.largest(self.shape.layers[index])

    def largest(self, layer: Layer) -> int:
        """Return the elements of the largest weight of a layer."""
        shape, name = self.shape, self.shape.architecture
        dense = layer.feed_forward * (2 if name in _FUSED_UP else 1)
        experts = shape.experts * self.expert_width(layer) * (2 if name == "gemma4" else 1)
        attention = layer.heads * layer.key_length
        recurrent = 3 * shape.inner.ssm_inner if layer.is_recurrent else 0
        return max(1, shape.embedding * max(dense, experts, attention, recurrent))

    def expert_width(self, layer: Layer) -> int:
        """Return the width of an expert."""
        shape = self.shape
        if shape.architecture in _EXPERTS_AS_WIDE and layer.feed_forward:
            return layer.feed_forward
        if shape.expert_feed_forward or shape.architecture == "grok":
            return shape.expert_feed_forward or layer.feed_forward
        return layer.feed_forward // max(1, shape.experts_used)


def _representatives(shape: ModelShape, devices: Sequence[int]) -> list[int]:
    """Return the layers that a graph needs: some of each kind and device, and the last."""
    seen: dict[object, int] = {}
    chosen = []
    layers = shape.text_layers
    for index, layer in enumerate(layers):
        key = (layer, index < shape.leading_dense, devices[index])
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= _OF_A_KIND or index == len(layers) - 1:
            chosen.append(index)
    return chosen
