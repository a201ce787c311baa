"""How a model makes one vector of a text: what its header says, or what is known, or what the user says.

Ollama embeds with a model only if its header has ``<architecture>.pooling_type`` (``server/images.go``).
With an encoder that lacks it, or with a number that llama.cpp has no pooling for, requests end in errors, and
with a reranker in vectors of zeros.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import field
from typing import NoReturn, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama._text import one_line
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.families.embedding import (
    TEXT_ENCODERS,
    EmbeddingSigns,
    PoolingName,
    known_pooling,
    read_embedding_signs,
)
from gguf2ollama.families.stops import token_text
from gguf2ollama.ggufio import GgufFile, HeaderPatch, TypedValue, ValueType
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.sources.model import ModelFiles, Value

__all__ = ["POOLING_CHOICES", "IsReranker", "Pooling", "choose_pooling"]

# `enum llama_pooling_type` in llama.h; 0 stands for none: vectors of tokens, which /api/embed refuses
_NUMBERS: Mapping[PoolingName, int] = {"mean": 1, "cls": 2, "last": 3}
_NAMES: Mapping[int | None, PoolingName] = {number: name for name, number in _NUMBERS.items()}
_RANK = 4
POOLING_CHOICES = (*_NUMBERS, "none")
"""What ``--pooling`` takes; ``none`` for a model that generates text and does not embed."""

_CLASSIFIER = "cls.output.weight"  # a tensor that makes a score of a text
_ADDS_EOS = "tokenizer.ggml.add_eos_token"
_TEXT_END = "<|endoftext|>"
_AS_LANGUAGE_MODEL = (
    "this is a reranker ({}), and Ollama has no endpoint that scores texts: it is built as the language model"
    " that it is, which answers with a word where its authors take the probabilities of two words"
)
_HINT = "use --pooling mean, cls or last, as its model card says"


class IsReranker(UsageProblem):
    """A file is a reranker, which Ollama has no use for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How a model makes one vector of a text.

    Attributes:
        key: The key of a header that says it.
        choice: How, with its origin; a value of ``None`` for a model that generates text and does not embed.
        patch: The change of its header for that.
        prompts: Texts that its authors put before a text to embed, by their names.
        warnings: What may surprise, one sentence each.
    """

    key: str
    choice: Value
    patch: HeaderPatch = UNCHANGED
    prompts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def choose_pooling(files: ModelFiles, *, requested: str | None) -> Pooling | None:
    """Choose how a model pools; ``None`` for a model that does not embed, as far as anything says.

    Args:
        files: The model, with what is published of it.
        requested: What the user says, of :data:`POOLING_CHOICES`; ``None`` for nothing.

    Raises:
        InvalidGguf: The header has something else than a number there.
        IsReranker: It is one.
        UsageProblem: It is an embedding model, and nothing says how it pools.
    """
    subject = _Subject(files)
    return subject.choose() if requested is None else subject.as_requested(requested)


class _Subject:
    """A model that may embed."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self._gguf: GgufFile = files.model.first
        self._architecture = str(self._gguf.metadata.get("general.architecture", ""))
        self._key = f"{self._architecture}.pooling_type"

    def as_requested(self, requested: str) -> Pooling:
        """Return the pooling that the user says."""
        origin = "--pooling"
        if requested != "none":
            return self._pool(cast("PoolingName", requested), origin)
        if self._architecture in TEXT_ENCODERS:
            raise UsageProblem(
                f"{self._gguf.name} generates no text (architecture {self._architecture}): without pooling it"
                " is of no use",
                hint="use --pooling mean, cls or last",
            )
        patch = HeaderPatch(changes={self._key: None}) if self._key in self._gguf.metadata else UNCHANGED
        return Pooling(key=self._key, choice=Value(value=None, source=origin), patch=patch)

    def choose(self) -> Pooling | None:
        """Choose by header, tags, names and published files."""
        number = self._number()
        if number == _RANK:
            self._refuse_reranker(f"{self._key} is {_RANK}, which stands for rank")
        if number in _NAMES:
            return self._pool(_NAMES[number], f"{self._key} in the GGUF")
        published = self._files.published
        signs = read_embedding_signs(
            self._gguf.metadata,
            tags=published.tags,
            names=self._files.names,
            has_classifier=self._architecture in TEXT_ENCODERS
            and any(tensor.name == _CLASSIFIER for tensor in self._files.model.tensors),
        )
        if signs is not None and signs.kind == "reranker":
            return self._reranker(signs)
        if signs is None and number is None:
            return None
        if published.pooling is not None and published.pooling.value in _NUMBERS:
            return self._pool(published.pooling.value, published.pooling.source)
        if published.pooling is None and (
            known := known_pooling(self._gguf.metadata, names=self._files.names)
        ):
            return self._pool(*known)
        raise self._question(number, signs)

    def _number(self) -> int | None:
        """Return the number in the header; ``None`` if it has none.

        Raises:
            InvalidGguf: It is of another type.
        """
        metadata = self._gguf.metadata
        if self._key not in metadata:
            return None
        value = metadata[self._key]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        shown = one_line(str(value), limit=40) if isinstance(value, (str, bool, float)) else "an array"
        raise InvalidGguf(
            f"{self._gguf.name}: {self._key} is {shown}, not the number of a way to pool",
            hint=f"{_HINT}; none for a model that generates text",
        )

    def _pool(self, name: PoolingName, source: str) -> Pooling:
        """Return a pooling, with the change that puts it into the header as llama.cpp reads it."""
        metadata, number = self._gguf.metadata, _NUMBERS[name]
        is_there = self._key in metadata and metadata[self._key] == number
        changes: dict[str, TypedValue | None] = {}
        if not is_there or metadata.type_of(self._key) is not ValueType.UINT32:
            changes[self._key] = TypedValue(ValueType.UINT32, number)
        # Qwen3-Embedding pools the end of the text, which converters that did not write the key did not
        # have added either (ggml-org/llama.cpp#14314)
        ends = token_text(metadata, "eos") == _TEXT_END and metadata.get(_ADDS_EOS) is not True
        if name == "last" and not is_there and ends:
            changes[_ADDS_EOS] = TypedValue(ValueType.BOOL, value=True)
        return Pooling(
            key=self._key,
            choice=Value(value=name, source=source),
            patch=HeaderPatch(changes=changes) if changes else UNCHANGED,
            prompts=self._files.published.prompts,
        )

    def _reranker(self, signs: EmbeddingSigns) -> Pooling:
        if self._architecture in TEXT_ENCODERS:
            self._refuse_reranker(signs.reason)
        return Pooling(
            key=self._key,
            choice=Value(value=None, source=f"it is a reranker ({signs.reason})"),
            warnings=(_AS_LANGUAGE_MODEL.format(signs.reason),),
        )

    def _refuse_reranker(self, why: str) -> NoReturn:
        path = shlex.quote(str(self._files.paths[0]))
        language_model = "; --pooling none builds it as a language model, which does not score"
        raise IsReranker(
            f"{self._gguf.name} is a reranker ({why}): Ollama has no endpoint that scores texts, and answers"
            " with vectors of zeros",
            hint=f"llama.cpp serves it: llama-server --rerank --model {path}"
            + ("" if self._architecture in TEXT_ENCODERS else language_model),
        )

    def _question(self, number: int | None, signs: EmbeddingSigns | None) -> UsageProblem:
        """Return the error that asks how it pools."""
        published = self._files.published.pooling
        if published is not None:
            why = f"llama.cpp has no pooling {one_line(str(published.value), limit=80)} ({published.source})"
        elif number is not None:
            why = f"{self._key} is {number}, with which llama.cpp does not make one vector of a text"
        else:
            why = f"its header does not say how it pools ({self._key})"
        what = f" ({signs.reason})" if signs is not None else ""
        return UsageProblem(
            f"{self._gguf.name} is an embedding model{what}, and {why}",
            hint=_HINT
            if self._architecture in TEXT_ENCODERS
            else f"{_HINT}; none for a model that generates text",
        )
