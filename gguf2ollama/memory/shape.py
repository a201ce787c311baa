"""The dimensions of a model that determine its memory, read from its header and validated.

Keys, defaults and rules are those of llama.cpp b11095: ``llama_model_base::load_hparams`` in
``src/llama-model.cpp``, ``src/llama-hparams.cpp`` and ``load_arch_hparams`` of each file in ``src/models/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidGguf
from gguf2ollama.memory.architectures import (
    ARCHITECTURES,
    ENCODERS,
    HYBRID,
    INDEXED,
    RECURRENT,
    WINDOWS,
)
from gguf2ollama.memory.inner import InnerSizes, read_inner_sizes

__all__ = ["MAX_LAYERS", "Layer", "ModelShape", "read_shape"]

MAX_LAYERS = 512
"""``LLAMA_MAX_LAYERS``."""

_MAX_NUMBER = (1 << 32) - 1  # these keys are 32-bit numbers in llama.cpp

_GLM_DSA_SHARED_FROM = 1 << 20  # tokens of context from which its indexers are shared without the key
_GEMMA3N_CACHED_LAYERS = 20  # `n_layer_kv_from_start`: those above use the cache of two of them
_DEEPSEEK4_RATIOS = (4, 128)  # tokens for each cell of its two compressed caches


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer ("block") of a model.

    Attributes:
        heads: Attention heads.
        kv_heads: Of keys and values; 0 for a layer without attention.
        key_length: Elements of a head's key.
        value_length: Elements of a head's value.
        feed_forward: The width of its dense feed-forward part; 0 if it has none.
        has_window: Whether it attends to :attr:`ModelShape.window` tokens only.
        is_cached: Whether it has a KV cache of its own.
        is_recurrent: Whether it has a recurrent state.
        index_length: Elements of a cached index key; 0 without an indexer.
        compression: Tokens for each cell of an additional compressed cache; 0 without one.
        is_draft: Whether it only predicts further tokens (``nextn_predict_layers``), for speed.
    """

    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    feed_forward: int
    has_window: bool = False
    is_cached: bool = False
    is_recurrent: bool = False
    index_length: int = 0
    compression: int = 0
    is_draft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The dimensions of a model that determine its memory.

    Attributes:
        architecture: Such as ``qwen3``.
        is_known: Whether its rules are known; otherwise attention in all layers is assumed, an upper bound
            for its cache.
        layers: All layers, those for drafts last.
        context_length: Tokens it was trained for, or ``None`` if unknown.
        embedding: The width of the model.
        embedding_out: The width of what it returns, usually the same.
        vocabulary: The number of tokens; 0 if unknown.
        window: The tokens that layers with a window attend to; 0 without one.
        caches_keys_only: Whether keys and values are cached compressed, as one (MLA).
        kv_rank: The rank of compressed keys and values (MLA), or 0.
        conv_state: Elements of the state of the convolution, for each recurrent layer and sequence.
        recurrent_state: Elements of the recurrent state itself, likewise.
        experts: The number of experts; 0 for a dense model.
        experts_used: Experts used per token.
        expert_feed_forward: The width of an expert.
        shared_feed_forward: The width of all shared experts together.
        leading_dense: The number of first layers that have no experts.
        is_causal: Whether a token sees only the tokens before it.
        inner: Further sizes, which only intermediate results have.
    """

    architecture: str
    is_known: bool
    layers: tuple[Layer, ...]
    context_length: int | None
    embedding: int
    embedding_out: int
    vocabulary: int
    window: int
    caches_keys_only: bool
    kv_rank: int
    conv_state: int
    recurrent_state: int
    experts: int
    experts_used: int
    expert_feed_forward: int
    shared_feed_forward: int
    leading_dense: int
    is_causal: bool
    inner: InnerSizes

    @property
    def text_layers(self) -> tuple[Layer, ...]:
        """The layers without those for drafts."""
        return tuple(layer for layer in self.layers if not layer.is_draft)


class _Keys:
    """The keys of an architecture, as numbers and lists of numbers."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str) -> None:
        self._metadata, self._architecture = metadata, architecture
        self.block_count = 0

    def get(self, key: str) -> Any:  # noqa: ANN401 - as in the header
        return self._metadata.get(f"{self._architecture}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        """Return a number; of a list, its largest."""
        value = self.get(key)
        if value is None:
            return default
        if _is_list(value):
            return max((self._checked(key, item) for item in value[: MAX_LAYERS + 1]), default=default)
        return self._checked(key, value)

    def per_layer(self, key: str, default: Sequence[int]) -> Sequence[int]:
        """Return a number for each layer; one number is for all."""
        value = self.get(key)
        if value is None:
            return default
        if not _is_list(value):
            return [self._checked(key, value)] * self.block_count
        if len(value) != self.block_count:
            name = f"{self._architecture}.{key}"
            raise InvalidGguf(
                f"invalid {name}: {len(value)} values for {self.block_count} layers",
                hint="llama.cpp refuses it as well: the file is damaged, or its converter is faulty",
            )
        return [self._checked(key, item) for item in value]

    def pattern(self, key: str) -> Sequence[int] | int | None:
        """Return a list of numbers for the first layers, or one number."""
        value = self.get(key)
        if value is None:
            return None
        if _is_list(value):
            return [self._checked(key, item) for item in value[:MAX_LAYERS]]
        return self._checked(key, value)

    def _checked(self, key: str, value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
            name = f"{self._architecture}.{key}"
            raise InvalidGguf(
                f"invalid {name} {str(value)[:40]!r}: expected an integer from 0 to {_MAX_NUMBER}"
            )
        return int(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def read_shape(metadata: Mapping[str, Any]) -> ModelShape:
    """Return the shape of a model from its GGUF metadata.

    Args:
        metadata: Keys of the header with their values; without a list of tokens,
            ``ARCHITECTURE.vocab_size`` is their number.

    Raises:
        InvalidGguf: A key that determines the memory is negative, too large, or of another type, a list does
            not have one value for each layer, or there are no layers or no heads.
    """
    architecture = str(metadata.get("general.architecture", ""))
    keys = _Keys(metadata, architecture)
    keys.block_count = _block_count(keys, architecture)
    drafts = min(keys.number("nextn_predict_layers"), keys.block_count)
    if drafts == keys.block_count:
        drafts = 0  # a file of draft layers alone, which then are the model
    layers = _read_layers(keys, architecture, n_text=keys.block_count - drafts)
    has_loops = architecture == "nanbeige"
    if has_loops:  # the same weights several times, each with a cache of its own
        layers = layers * max(1, keys.number("num_loops", 1))
        if len(layers) > MAX_LAYERS:
            raise InvalidGguf(f"invalid {architecture}.num_loops: more than {MAX_LAYERS} layers")
    embedding = keys.number("embedding_length")
    conv, state = _recurrent_state(keys, architecture, embedding=embedding, heads=layers[0].heads)
    return ModelShape(
        architecture=architecture,
        is_known=architecture in ARCHITECTURES,
        layers=tuple(layers),
        context_length=keys.number("context_length") or None,
        embedding=embedding,
        embedding_out=keys.number("embedding_length_out") or embedding,
        vocabulary=_vocabulary(metadata, keys),
        window=_window(keys, architecture) if any(layer.has_window for layer in layers) else 0,
        caches_keys_only=_caches_keys_only(keys, architecture),
        kv_rank=keys.number("attention.kv_lora_rank"),
        conv_state=conv,
        recurrent_state=state,
        experts=keys.number("expert_count"),
        experts_used=keys.number("expert_used_count"),
        expert_feed_forward=keys.number("expert_feed_forward_length"),
        shared_feed_forward=_shared_feed_forward(keys),
        leading_dense=keys.number("leading_dense_block_count"),
        is_causal=bool(keys.number("attention.causal", 1)),
        inner=read_inner_sizes(keys.number, architecture=architecture),
    )


def _block_count(keys: _Keys, architecture: str) -> int:
    count = keys.number("block_count")
    if not 0 < count <= MAX_LAYERS:
        raise InvalidGguf(
            f"invalid {architecture}.block_count {count}: expected 1 to {MAX_LAYERS}",
            hint="the header lists no language model that llama.cpp runs",
        )
    return count


def _read_layers(keys: _Keys, architecture: str, *, n_text: int) -> list[Layer]:
    count = keys.block_count
    heads = keys.per_layer("attention.head_count", [0] * count)
    kv_heads = keys.per_layer("attention.head_count_kv", heads)
    feed_forward = keys.per_layer("feed_forward_length", [0] * count)
    if architecture not in RECURRENT and not any(heads) and not any(kv_heads):
        raise InvalidGguf(
            f"invalid {architecture}.attention.head_count: no layer has a head",
            hint="the file is damaged, or its converter is faulty",
        )
    head_length = keys.number("embedding_length") // heads[0] if heads[0] else 0
    key_length = keys.number("attention.key_length", head_length)
    value_length = keys.number("attention.value_length", head_length)
    if architecture == "kimi-k3":  # caches compressed values, whatever the key says
        value_length = keys.number("attention.kv_lora_rank")
    key_length_swa = keys.number("attention.key_length_swa", key_length)
    value_length_swa = keys.number("attention.value_length_swa", value_length)
    recurrent = _recurrent_layers(keys, architecture, kv_heads, feed_forward, n_text=n_text)
    windowed = _windowed_layers(keys, architecture, recurrent, n_text=n_text)
    indexed = _index_layers(keys, architecture, recurrent, windowed, n_text=n_text)
    cached_from_start = _cached_from_start(keys, architecture)
    compressions = keys.pattern("attention.compress_ratios") if architecture == "deepseek4" else None
    layers = []
    for index in range(count):
        is_draft = index >= n_text
        layers.append(
            Layer(
                heads=heads[index],
                kv_heads=kv_heads[index],
                key_length=key_length_swa if windowed[index] else key_length,
                value_length=value_length_swa if windowed[index] else value_length,
                feed_forward=feed_forward[index],
                has_window=windowed[index],
                is_cached=(
                    architecture not in ENCODERS
                    and architecture not in RECURRENT
                    and (not is_draft or architecture == "deepseek4")
                    and index < cached_from_start
                    and (not recurrent[index] or architecture == "falcon-h1")
                    and not (architecture.startswith("nemotron_h") and feed_forward[index])
                ),
                is_recurrent=recurrent[index],
                index_length=indexed[index],
                compression=_compression(compressions, index),
                is_draft=is_draft,
            )
        )
    return layers


def _recurrent_layers(
    keys: _Keys, architecture: str, kv_heads: Sequence[int], feed_forward: Sequence[int], *, n_text: int
) -> list[bool]:
    """Return which layers have a recurrent state."""
    count = keys.block_count
    if architecture in RECURRENT or architecture == "falcon-h1":  # the latter has attention as well
        return [index < n_text for index in range(count)]
    if architecture not in HYBRID:
        return [False] * count
    if architecture in {"qwen35", "qwen35moe", "qwen3next", "qwen4exp", "minimax-01"}:
        interval = max(1, keys.number("full_attention_interval", 4))
        every = [(index + 1) % interval != 0 for index in range(count)]
        listed = keys.per_layer("attention.recurrent_layers", every)
        return [index < n_text and bool(value) for index, value in enumerate(listed)]
    if architecture.startswith("nemotron_h"):
        return [index < n_text and not kv_heads[index] and not feed_forward[index] for index in range(count)]
    return [index < n_text and not heads for index, heads in enumerate(kv_heads)]


def _windowed_layers(keys: _Keys, architecture: str, recurrent: Sequence[bool], *, n_text: int) -> list[bool]:
    """Return which layers have a window."""
    count = keys.block_count
    rule = WINDOWS.get(architecture)
    if rule is None or not _window(keys, architecture) or rule.layers not in {None, n_text}:
        return [False] * count
    pattern = keys.pattern("attention.sliding_window_pattern")
    if isinstance(pattern, Sequence):  # 1 for a window; layers beyond its end have none
        return [index < len(pattern) and bool(pattern[index]) for index in range(count)]
    period = rule.period if pattern is None else pattern
    if period is None:
        return [False] * count  # llama.cpp demands the list: without it, the larger cache is assumed
    if period == 0:
        return [
            not recurrent[index] and (index < n_text or architecture == "deepseek4") for index in range(count)
        ]
    full = 0 if rule.starts_full else period - 1
    return [index < n_text and index % period != full for index in range(count)]


def _window(keys: _Keys, architecture: str) -> int:
    """Return the tokens of a window; 0 if no layer has one."""
    rule = WINDOWS.get(architecture)
    if rule is None:
        return 0
    tokens = keys.number("attention.sliding_window", rule.tokens)
    return rule.forced if tokens and rule.forced is not None else tokens


def _index_layers(
    keys: _Keys, architecture: str, recurrent: Sequence[bool], windowed: Sequence[bool], *, n_text: int
) -> list[int]:
    """Return the elements of an index key for each layer; 0 for those without an indexer."""
    count = keys.block_count
    length = keys.number("attention.indexer.key_length")
    ratios = keys.pattern("attention.compress_ratios")
    if architecture == "deepseek4" and isinstance(ratios, Sequence):  # beside the less compressed cache
        return [
            length if _compression(ratios, index) == _DEEPSEEK4_RATIOS[0] else 0 for index in range(count)
        ]
    if architecture not in INDEXED or (
        architecture == "hy_v4" and not keys.number("attention.indexer.top_k")
    ):
        return [0] * count
    has = [index < n_text for index in range(count)]
    if architecture == "minimax-m3":
        dense = keys.number("leading_dense_block_count")
        has = [index >= dense for index in range(count)]
    elif architecture == "qwen4exp":
        has = [index < n_text and not recurrent[index] for index in range(count)]
    elif architecture != "deepseek32":
        kinds = keys.pattern("attention.indexer.types")
        if kinds is None and architecture == "glm-dsa":
            # GLM-5.2 has one in the first two layers and then in every fourth, GLM 5 and 5.1 in all
            shares = keys.number("context_length") >= _GLM_DSA_SHARED_FROM
            kinds = [int(not shares or index in {0, 1} or not (index - 2) % 4) for index in range(count)]
        if isinstance(kinds, int):
            kinds = [kinds] * count
        kinds = kinds or ()
        has = [index < n_text and index < len(kinds) and bool(kinds[index]) for index in range(count)]
        if architecture == "dots3note":
            has = [value and not windowed[index] for index, value in enumerate(has)]
    return [length if value else 0 for value in has]


def _compression(ratios: Sequence[int] | int | None, index: int) -> int:
    if not isinstance(ratios, Sequence) or index >= len(ratios):
        return 0
    return ratios[index] if ratios[index] in _DEEPSEEK4_RATIOS else 0


def _cached_from_start(keys: _Keys, architecture: str) -> int:
    """Return the number of first layers that have a cache of their own; the others use one of theirs."""
    if architecture == "gemma3n":
        return _GEMMA3N_CACHED_LAYERS
    if architecture == "gemma4":
        return keys.block_count - min(keys.number("attention.shared_kv_layers"), keys.block_count)
    if architecture == "gemma4-assistant":  # a draft model, which uses its target's cache
        return 0
    return keys.block_count


def _caches_keys_only(keys: _Keys, architecture: str) -> bool:
    if architecture == "deepseek4":
        return True
    return bool(keys.number("attention.key_length_mla") and keys.number("attention.value_length_mla"))


def _recurrent_state(keys: _Keys, architecture: str, *, embedding: int, heads: int) -> tuple[int, int]:
    """Return the elements of the two parts of a recurrent state (``n_embd_r``, ``n_embd_s``)."""
    if architecture not in RECURRENT and architecture not in HYBRID:
        return 0, 0
    head_size = keys.number("wkv.head_size")
    if head_size:
        return keys.number("token_shift_count", 2) * embedding, embedding * head_size
    cells = keys.number("shortconv.l_cache")
    if cells:
        return embedding * (cells - 1), 0
    kernel = keys.number("ssm.conv_kernel")
    kda = keys.number("kda.head_dim")
    if kda:
        return 3 * (kernel - 1 if kernel else 3) * heads * kda, kda * kda * heads
    if architecture == "minimax-01":
        length = keys.number("attention.key_length", embedding // heads if heads else 0)
        return 0, length * length * heads
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    # of Mamba 1 llama.cpp does not read the groups
    groups = 0 if architecture in {"mamba", "jamba"} else keys.number("ssm.group_count")
    return max(kernel - 1, 0) * (inner + 2 * groups * state), state * inner


def _vocabulary(metadata: Mapping[str, Any], keys: _Keys) -> int:
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Sequence) and not isinstance(tokens, str):
        return len(tokens)
    return keys.number("vocab_size")


def _shared_feed_forward(keys: _Keys) -> int:
    width = keys.number("expert_shared_feed_forward_length")
    return width or keys.number("expert_shared_count") * keys.number("expert_feed_forward_length")
