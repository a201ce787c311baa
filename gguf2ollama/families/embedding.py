"""What says that a model embeds or ranks texts, and how it pools: header, tags, names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = ["TEXT_ENCODERS", "EmbeddingSigns", "PoolingName", "known_pooling", "read_embedding_signs"]

PoolingName: TypeAlias = Literal["mean", "cls", "last"]
"""How the vectors of a text's tokens become one, as llama.cpp names it: its ``--pooling``."""

TEXT_ENCODERS = frozenset(
    {
        *("bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llama-embed"),
        *("modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "t5encoder"),
    }
)
"""Architectures that generate no text."""

# tasks and libraries of the Hub (https://huggingface.co/tasks), and the benchmark of embedding models
_EMBEDDING_TAGS = frozenset({"sentence-transformers", "sentence-similarity", "feature-extraction", "mteb"})
_RANKING_TAGS = frozenset({"text-ranking", "cross-encoder", "reranker"})
_EMBEDS = lazy_pattern(r"(?i)(?<![a-z])[a-z]*embed(?:ding|dings|der)?(?![a-z])")
_RANKS = lazy_pattern(r"(?i)(?<![a-z])re-?rank(?:er|ers|ing)?(?![a-z])")
_NAME_KEYS = ("general.name", "general.basename", "general.finetune")
_CAP_TAGS = 256
_CAP_CHARACTERS = 256  # of a name or a tag

# all models of an architecture that one publisher makes, and a model whose first GGUFs lacked the key
# (ggml-org/llama.cpp#15023); each as its 1_Pooling/config.json says
_BY_ARCHITECTURE: Mapping[str, PoolingName] = {
    "gemma-embedding": "mean",
    "jina-bert-v2": "mean",
    "jina-bert-v3": "mean",
    "nomic-bert": "mean",
    "nomic-bert-moe": "mean",
}
_LAST_TOKEN = lazy_pattern(r"(?i)qwen3[-_. ]?(?:vl[-_. ]?)?embedding")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSigns:
    """What says that a model embeds texts, or ranks them.

    Attributes:
        kind: Which of the two.
        reason: What says so, a phrase.
    """

    kind: Literal["embedding", "reranker"]
    reason: str


def read_embedding_signs(
    metadata: Mapping[str, Any],
    *,
    tags: Iterable[str] = (),
    names: Iterable[str] = (),
    has_classifier: bool = False,
) -> EmbeddingSigns | None:
    """Return what says that a model embeds or ranks texts, other than its key for pooling.

    Args:
        metadata: The metadata of the GGUF.
        tags: Those of its repository.
        names: Those of its file and repository.
        has_classifier: Whether it has the tensors that make a score of a text.
    """
    architecture = str(metadata.get("general.architecture", ""))
    named = _words(metadata, names)
    tagged = {tag.strip().lower()[:_CAP_CHARACTERS] for tag in (*_tags(metadata), *tags)}
    ranking = _sign(tagged & _RANKING_TAGS, named, _RANKS)
    embedding = _sign(tagged & _EMBEDDING_TAGS, named, _EMBEDS)
    if ranking and not any(_EMBEDS.search(name) for name in named):
        return EmbeddingSigns(kind="reranker", reason=ranking)
    if architecture in TEXT_ENCODERS:
        if has_classifier:
            return EmbeddingSigns(kind="reranker", reason="its tensors make a score of a text")
        return EmbeddingSigns(kind="embedding", reason=f"architecture {architecture}")
    return EmbeddingSigns(kind="embedding", reason=embedding) if embedding else None


def known_pooling(
    metadata: Mapping[str, Any], *, names: Iterable[str] = ()
) -> tuple[PoolingName, str] | None:
    """Return how a model is known to pool, with the reason; ``None`` where that has to be asked."""
    architecture = str(metadata.get("general.architecture", ""))
    if (pooling := _BY_ARCHITECTURE.get(architecture)) is not None:
        return pooling, f"as all models of architecture {architecture}"
    if any(_LAST_TOKEN.search(name) for name in _words(metadata, names)):
        return "last", "as the authors of Qwen3-Embedding say"
    return None


def _sign(tags: Iterable[str], names: Iterable[str], pattern: re.Pattern[str]) -> str:
    if tags := sorted(tags):
        return f"tag {tags[0]}"
    name = next((name for name in names if pattern.search(name)), None)
    return "" if name is None else f"its name, {name!r}"


def _words(metadata: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    own = (metadata.get(key) for key in _NAME_KEYS)
    return [name[:_CAP_CHARACTERS] for name in (*own, *names) if isinstance(name, str)]


def _tags(metadata: Mapping[str, Any]) -> list[str]:
    found = metadata.get("general.tags")
    if isinstance(found, str) or not isinstance(found, Sequence):
        return []
    return [tag for tag in found[:_CAP_TAGS] if isinstance(tag, str)]
