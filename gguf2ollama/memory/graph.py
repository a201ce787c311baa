"""The graph that llama.cpp computes for a prompt: the sizes of its tensors, in order.

Sources are the graphs of llama.cpp b11095: ``src/llama-graph.cpp`` for what architectures share,
``src/models/`` for each. Operations that overwrite their only source (biases, norms, scales) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.memory.allocation import Graph, Tensor
from gguf2ollama.memory.shape import Layer, ModelShape

__all__ = ["FLOAT", "GraphBuilder", "GraphSettings"]

FLOAT = 4
"""Bytes of an F32, the type of all results."""

_POSITIONS = frozenset({"bert", "gpt2", "starcoder"})
"""Architectures with embeddings of positions."""

_TWO_MASKS = frozenset({"gemma-embedding", "modern-bert"})
"""Encoders some of whose layers have a window."""

_SUMMED = 3  # experts, whose results are added one by one: further ones take nothing more


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSettings:
    """What a graph is built for.

    Attributes:
        rows: Tokens that are processed at once.
        outputs: Tokens that an output is wanted of.
        cells: Cells of the KV cache that a token can see.
        window_cells: Cells that it can see in a layer with a window.
        sequences: The number of sequences.
        streams: The number of caches, each of so many cells.
        flash_attention: Whether flash attention is used.
        rotates_keys: Whether keys are rotated, to lose less as they are quantized.
        rotates_values: Whether values are.
        converts_keys: Whether cached keys are converted to F16 for attention on a GPU, as with CUDA.
        converts_values: Whether cached values are.
        has_old_mask: Whether the attention mask is F32, and converted for flash attention where it is used.
    """

    rows: int
    outputs: int
    cells: int
    window_cells: int
    sequences: int
    streams: int
    flash_attention: bool
    rotates_keys: bool = False
    rotates_values: bool = False
    converts_keys: bool = False
    converts_values: bool = False
    has_old_mask: bool = False


class GraphBuilder:
    """Builds the parts that graphs of several architectures have.

    Attributes:
        graph: What is built.
        shape: The shape of the model.
        settings: What the graph is built for.
        rows: Tokens of the results that are added.
        density: Bytes of an element of the layer's weights, if they are copied to the GPU that computes.
        cache: Bytes of the layer's KV cache, if it is copied likewise.
    """

    def __init__(self, shape: ModelShape, settings: GraphSettings) -> None:
        self.graph = Graph()
        self.shape, self.settings, self.rows = shape, settings, settings.rows
        self.is_cached = any(layer.is_cached for layer in shape.layers)
        self.zeros: list[Tensor] = []
        self.density = 0.0
        self.cache = 0
        self.positions = self.out_ids = self.index_mask = self.selected = self.graph.input(0)
        self._masks: dict[bool, Tensor] = {}
        self._halves: dict[Tensor, Tensor] = {}
        self._places: dict[bool, tuple[Tensor, ...]] = {}

    def op(self, width: int, *sources: Tensor) -> Tensor:
        """Add a result of `width` numbers a token."""
        return self.graph.op(width * self.rows * FLOAT, *sources)

    def product(self, width: int, source: Tensor, *others: Tensor, elements: int = 0) -> Tensor:
        """Add a product with a weight of so many elements, by default as many as it needs."""
        elements = elements or source.size // (self.rows * FLOAT) * width
        copied = (self.graph.copied(int(elements * self.density)),) if self.density else ()
        return self.op(width, *copied, source, *others)

    def store(self, *sources: Tensor) -> None:
        """Store tensors in the cache of the layer, on the CPU if it is there."""
        device = self.graph.device
        self.graph.device = -1 if self.cache else device
        self.graph.use(*sources)
        self.graph.device = device

    def view(self, tensor: Tensor) -> Tensor:
        """Add another view of a tensor, such as one of its parts."""
        return self.graph.view(tensor)

    def over(self, *sources: Tensor) -> Tensor:
        """Add a result that may overwrite one of its sources."""
        return self.graph.over(*sources)

    def inputs(self, *, device: int) -> Tensor:
        """Add the inputs of the graph and return the embeddings of its tokens; `device` is what computes."""
        graph, shape, settings, rows = self.graph, self.shape, self.settings, self.rows
        tokens = graph.input(rows * 4)
        if (
            not settings.has_old_mask
        ):  # nor have old graphs this: a batch may be of embeddings, such as of images
            graph.input(shape.embedding * (1 + shape.inner.deepstack) * rows * FLOAT)
        self.positions = graph.input(rows * 4)
        widest = max(layer.kv_heads * layer.value_length for layer in shape.layers)
        attends = any(self.has_attention(layer) for layer in shape.text_layers)
        for windowed in (False, True)[: attends + bool(shape.window)]:
            cells = settings.window_cells if windowed else settings.cells
            is_half = settings.flash_attention and not settings.has_old_mask
            self._masks[windowed] = graph.input(cells * rows * (2 if is_half else FLOAT))
            if not settings.flash_attention and not shape.caches_keys_only and self.is_cached:
                # where each value goes: without flash attention their cache is transposed
                self._places[windowed] = (graph.input(rows * widest * 8),)
        if shape.architecture in _TWO_MASKS:
            graph.input(settings.cells * rows * (2 if settings.flash_attention else FLOAT))
        if shape.inner.index_length and shape.kv_rank:
            self.index_mask = graph.input(settings.cells * rows * 2)
            size = min(shape.inner.index_top, settings.cells) * rows * FLOAT
            self.zeros = [graph.input(size, device=device) for _ in shape.text_layers]
        self.out_ids = graph.input(settings.outputs * 4)
        x = self.op(shape.embedding, tokens)
        if shape.architecture in _POSITIONS:
            x = self.over(self.op(shape.embedding, self.positions), x)
        return x

    def has_attention(self, layer: Layer) -> bool:
        """Return whether a layer has attention."""
        return layer.kv_heads > 0 and (not layer.is_recurrent or self.shape.architecture == "falcon-h1")

    def attend(
        self,
        q: Tensor,
        layer: Layer,
        width: int,
        *,
        mask: Tensor | None = None,
        keys_and_values: Sequence[Tensor] = (),
    ) -> Tensor:
        """Add attention.

        Args:
            q: Queries.
            layer: The layer.
            width: The width of a head's values.
            mask: What a token sees, if it is computed.
            keys_and_values: Both, if nothing is cached.
        """
        settings = self.settings
        if mask is None:
            is_old = settings.has_old_mask and settings.flash_attention
            mask = self._half_mask(layer) if is_old else self.mask(layer)
        if settings.flash_attention:
            halves = [self.graph.op(tensor.size // 2, self.view(tensor)) for tensor in keys_and_values]  # F16
            copied = [self.graph.copied(self.cache // 2) for _ in range(2) if self.cache]
            converted = self._converted_cache(layer)
            size = layer.heads * width * self.rows * FLOAT + converted
            return self.graph.op(size, self.view(q), *halves, *copied, mask)
        cells = settings.window_cells if layer.has_window else settings.cells
        keys = (self.graph.copied(self.cache // 2),) if self.cache else keys_and_values[:1]
        transposed = [self.graph.op(tensor.size, self.view(tensor)) for tensor in keys_and_values[1:]]
        scores = self.over(self.op(cells * layer.heads, self.view(q), *keys), mask)
        if self.cache:
            transposed.append(self.graph.copied(self.cache // 2))
        values = self.op(layer.heads * width, scores, *transposed)
        return self.op(layer.heads * width, self.view(values))

    def _converted_cache(self, layer: Layer) -> int:
        """Return the bytes of a layer's cache as F16: CUDA puts it behind the result of attention."""
        settings = self.settings
        if self.graph.device < 0 or not self.is_cached:
            return 0
        cells = settings.window_cells if layer.has_window else settings.cells
        length = layer.key_length if settings.converts_keys else 0
        if settings.converts_values and not self.shape.caches_keys_only:
            length += layer.value_length
        return cells * settings.streams * layer.kv_heads * length * 2

    def mask(self, layer: Layer) -> Tensor:
        """Return the attention mask of a layer."""
        # a layer that has no heads by its header may be one with attention by its architecture
        return self._masks.get(layer.has_window, self.out_ids)

    def _half_mask(self, layer: Layer) -> Tensor:
        """Convert the mask to F16, once for all layers."""
        mask = self.mask(layer)
        if mask not in self._halves:
            self._halves[mask] = self.graph.op(mask.size // 2, mask)
        return self._halves[mask]

    def attention(
        self,
        norm: Tensor,
        layer: Layer,
        *,
        is_fused: bool = False,
        has_rope: bool = True,
        has_gate: bool = False,
        has_value_norm: bool = False,
    ) -> Tensor:
        """Add the attention of a layer, without what comes before its norm and after its output."""
        q_width, shape, settings = layer.heads * layer.key_length, self.shape, self.settings
        full = None
        has_own = layer.is_cached or not self.is_cached  # otherwise it uses the cache of another layer
        if is_fused:
            q, k, v = self._fused(norm, layer, has_rope=has_rope)
        else:
            full = self.product(q_width * (2 if has_gate else 1), norm)
            q = self._rotated(self.view(full), q_width, has_rope=has_rope)
            k, v = (
                self._keys_and_values(norm, layer, has_rope=has_rope, has_value_norm=has_value_norm)
                if has_own
                else (q, q)
            )
        own: Sequence[Tensor] = ()
        if not self.is_cached:
            own = k, v
        elif is_fused or has_own:
            self.store(self.view(k))
            self.store(self.view(v), *self._places.get(layer.has_window, ()))
        is_sparse = shape.architecture == "minimax-m3" and layer.index_length and settings.flash_attention
        mask = self._block_mask(layer) if is_sparse else None
        values = self.attend(q, layer, layer.value_length, mask=mask, keys_and_values=own)
        if settings.rotates_values:
            values = self.op(layer.heads * layer.value_length, self.view(values))
        if full is not None and has_gate:
            gate = self.op(layer.heads * layer.value_length, self.view(full))
            values = self.over(self.view(values), gate)
        elements = shape.embedding * layer.heads * layer.value_length
        return self.product(shape.embedding, self.view(values), elements=elements)

    def _block_mask(self, layer: Layer) -> Tensor:
        """Add a mask for each head of keys, of the blocks that an indexer selects (MiniMax M3)."""
        cells = self.settings.cells
        inner = self.shape.inner
        keys, queries = inner.index_length, inner.index_length * layer.kv_heads
        selected = self.op(cells * layer.kv_heads, self.op(queries + keys, self.positions))
        selected = self.op(cells * layer.kv_heads, self.view(selected))
        mask = self.op(cells, self.mask(layer))
        return self.graph.op(cells * self.rows * layer.kv_heads * 2, selected, mask)

    def _rotated(self, tensor: Tensor, width: int, *, has_rope: bool) -> Tensor:
        """Rotate queries or keys, by position and for a quantized cache; of a view, and so not over it."""
        if has_rope:
            tensor = self.op(width, tensor, self.positions)
        if self.settings.rotates_keys:
            tensor = self.op(width, self.view(tensor))
        return tensor

    def _fused(self, norm: Tensor, layer: Layer, *, has_rope: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Add queries, keys and values as the parts of one result."""
        q_width, k_width = layer.heads * layer.key_length, layer.kv_heads * layer.key_length
        v_width = layer.kv_heads * layer.value_length
        qkv = self.product(q_width + k_width + v_width, norm)
        q = self._rotated(self.view(qkv), q_width, has_rope=has_rope)
        k = self._rotated(self.view(qkv), k_width, has_rope=has_rope)
        v = self.view(qkv)
        return q, k, self.op(v_width, v) if self.settings.rotates_values else v

    def _keys_and_values(
        self, norm: Tensor, layer: Layer, *, has_rope: bool, has_value_norm: bool
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values; those that are cached are rotated if they are quantized."""
        k_width, v_width = layer.kv_heads * layer.key_length, layer.kv_heads * layer.value_length
        if not self.is_cached:
            k = self.op(k_width, norm)
            if has_rope:
                k = self.op(k_width, self.view(k), self.positions)
            return k, self.op(v_width, norm)
        v = self.product(v_width, norm)
        if has_value_norm:
            v = self.op(v_width, self.view(v))
        if self.settings.rotates_values:
            v = self.op(v_width, self.view(v))
        return self._rotated(self.view(self.product(k_width, norm)), k_width, has_rope=has_rope), v

    def dense(self, norm: Tensor, width: int, *, has_gate: bool = True, is_fused: bool = False) -> Tensor:
        """Add a feed-forward part; `is_fused` if its gate is in the same tensor as the rest."""
        if not has_gate:
            hidden = self.product(width, norm)
        elif is_fused:
            hidden = self.op(width, self.product(2 * width, norm))
        else:
            gate = self.product(width, norm)
            hidden = self.op(width, gate, self.product(width, norm))
        return self.product(self.shape.embedding, hidden)

    def experts(
        self,
        norm: Tensor,
        *,
        width: int,
        has_bias: bool = False,
        has_gate: bool = True,
        is_fused: bool = False,
        weighs_first: bool = False,
        input_of: Callable[[], Tensor] | None = None,
    ) -> Tensor:
        """Add experts.

        Args:
            norm: What they are chosen by and applied to.
            width: The width of an expert.
            has_bias: Whether they are chosen by other numbers than they are weighed by.
            has_gate: Whether they have a gate.
            is_fused: Whether that is in the same tensor as the rest.
            weighs_first: Whether the weights are applied before the experts.
            input_of: What adds their input once they are chosen, if that is not `norm`.
        """
        shape, used = self.shape, self.shape.experts_used
        elements = shape.experts * shape.embedding * width
        logits = self.op(shape.experts, norm)
        choice = self.op(shape.experts, logits) if has_bias else logits
        chosen = self.view(self.op(shape.experts, choice))
        weights = self.op(used, self.view(logits), chosen)
        x = norm if input_of is None else input_of()
        if weighs_first:
            x = self.over(self.op(shape.embedding * used, self.view(x)), weights)
        if is_fused:
            both = self.product(2 * width * used, self.view(x), chosen, elements=2 * elements)
            hidden = self.op(width * used, self.view(both), self.view(both))
        elif has_gate:
            gate = self.product(width * used, self.view(x), chosen, elements=elements)
            hidden = self.op(
                width * used, gate, self.product(width * used, self.view(x), chosen, elements=elements)
            )
        else:
            hidden = self.product(width * used, self.view(x), chosen, elements=elements)
        down = self.product(shape.embedding * used, hidden, chosen, elements=elements)
        if not weighs_first:
            down = self.over(down, weights)
        one, two, *others = [self.view(down) for _ in range(min(max(used, 2), _SUMMED))]
        out = self.op(shape.embedding, one, two)
        for view in others:
            out = self.over(out, view)
        return out
