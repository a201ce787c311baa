"""The names of files in a repository, taken apart into words and a label."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.sources.catalogue.gguf_files import FileSet
from gguf2ollama.sources.catalogue.quantization import bits_of, find_label, find_quant

__all__ = [
    "NameParts",
    "extra_words",
    "shown_extra",
    "stated_size",
    "states_size",
    "take_apart",
    "words_of",
]

_WORD = lazy_pattern(r"[^\W_]+")
_CAMEL = lazy_pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_GENERIC = frozenset({"ggml", "gguf", "model"})
"""Words that converters put into the name of any file."""
_SIZE = lazy_pattern(r"(?:[0-9]+x|[ea])?[0-9]+[bm]")
_STATED = lazy_pattern(
    r"(?<![A-Za-z0-9.])(?:(?P<experts>[0-9]{1,3})x)?(?P<number>[0-9]{1,4}(?:\.[0-9]{1,3})?)(?P<unit>[bm])(?![a-z0-9])",
    re.IGNORECASE,
)
_LEAST_BITS = 1.2
_OF_SCALES = 0.8  # bits that scales and larger tensors add to each weight, about: Q4_K_M has 4.85, IQ2_M 2.8
_UNSCALED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """The name of a file set, taken apart.

    Attributes:
        files: The files.
        stem: The file's own name, without ``.gguf``.
        label: The quantization that the name of the file or of a folder has.
        label_at: Where in ``stem``; ``None`` if a folder has it.
        words: The other words of the name, and those of folders that the file does not repeat, in small
            letters; without the generic ones, if there are others.
        finer_words: The same divided at changes of case, too: ``my``, ``lora`` and ``2`` of ``myLora2``.
    """

    files: FileSet
    stem: str
    label: str | None
    label_at: tuple[int, int] | None
    words: tuple[str, ...]
    finer_words: frozenset[str]

    @property
    def is_nameless(self) -> bool:
        """Whether the name says nothing of the model: ``ggml-model-Q4_K_M``."""
        return set(self.words) <= _GENERIC

    @property
    def weights(self) -> float:
        """An estimate of the number of weights, from bytes and label; without a label the most it may be."""
        bits = bits_of(self.label or "") or _LEAST_BITS
        return self.files.n_bytes * 8 / (bits + (_OF_SCALES if bits < _UNSCALED else 0))

    @property
    def folder(self) -> str:
        """The path of its folder; empty for the root."""
        return posixpath.dirname(self.files.name)


def take_apart(files: FileSet) -> NameParts:
    """Take the name of a file set apart."""
    folder, stem = posixpath.split(files.name)
    match = find_label(stem)
    label, label_at = find_quant(stem), match.span("label") if match else None
    rest = f"{stem[: label_at[0]]} {stem[label_at[1] :]}" if label_at else stem
    own = words_of(rest)
    outer: list[str] = []
    texts = [rest]
    for part in [part for part in reversed(folder.split("/")) if part]:
        name = part.removesuffix(".gguf")
        found = find_label(name)
        if label is None and found:
            label = find_quant(name)
        without = f"{name[: found.start()]} {name[found.end() :]}" if found else name
        texts.append(without)
        outer = [word for word in words_of(without) if word not in own and word not in outer] + outer
    words = (*outer, *own)
    return NameParts(
        files=files,
        stem=stem,
        label=label,
        label_at=label_at,
        words=tuple(word for word in words if word not in _GENERIC) or words,
        finer_words=frozenset(part.lower() for text in texts for part in _CAMEL.findall(text)),
    )


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name in small letters; separators are all that is neither letter nor digit."""
    return tuple(word.lower() for word in _WORD.findall(text))


def extra_words(words: Sequence[str], core: Sequence[str]) -> tuple[str, ...] | None:
    """Return the words that a name has besides those of another, in order; ``None`` if it lacks one."""
    extra: list[str] = []
    left = list(core)
    for word in words:
        if left and word == left[0]:
            left.pop(0)
        else:
            extra.append(word)
    return None if left else tuple(extra)


def states_size(words: Sequence[str]) -> bool:
    """Return whether one of the words is a number of weights, such as ``7b``, ``8x7b`` and ``270m``."""
    return any(_SIZE.fullmatch(word) for word in words)


def stated_size(name: str) -> int:
    """Return the number of weights that a name states, as in ``Qwen3-35B-A3B``; 0 if it states none."""
    factors = {"b": 1e9, "m": 1e6}
    found = (
        int(match["experts"] or 1) * float(match["number"]) * factors[match["unit"].lower()]
        for match in _STATED.finditer(name)
    )
    return int(max(found, default=0))


def shown_extra(stem: str, extra: Sequence[str]) -> str:
    """Return some words as the name has them: with its separators where they stand together."""
    if not extra:
        return ""
    spans = [match.span() for match in _WORD.finditer(stem)]
    written = [stem[begin:end].lower() for begin, end in spans]
    for at in range(len(written) - len(extra), -1, -1):
        if written[at : at + len(extra)] == list(extra):
            return stem[spans[at][0] : spans[at + len(extra) - 1][1]]
    as_written = {word: stem[begin:end] for word, (begin, end) in zip(written, spans, strict=True)}
    return "-".join(as_written.get(word, word) for word in extra)
