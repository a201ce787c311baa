"""What each GGUF of a repository is for, and what to call it there: by name, size and place.

A name is read beside its siblings. A word such as *mtp* says what a file is for where other files of the
repository do without it, and is part of the model's name where none does. And a file that holds a fraction of
the weights of its siblings is not one more quantization of theirs, whatever it is called. Where that leaves
something open, the header decides: see ``needs_header``, and ``kinds`` of :func:`group_files`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant, collect_sets
from gguf2ollama.sources.catalogue.name_parts import (
    NameParts,
    extra_words,
    shown_extra,
    states_size,
    take_apart,
)
from gguf2ollama.sources.catalogue.quantization import is_convertible

__all__ = ["group_files"]

_ROLES = {
    "mmproj": Kind.PROJECTOR,
    "imatrix": Kind.IMATRIX,
    "vocab": Kind.VOCABULARY,
    "lora": Kind.ADAPTER,
    "adapter": Kind.ADAPTER,
    "eagle3": Kind.DRAFT,
    "dflash": Kind.DRAFT,
    "draft": Kind.DRAFT,
    "mtp": Kind.MTP,
    "tokenizer": Kind.COMPONENT,
    "vocoder": Kind.COMPONENT,
}
"""Words that may say what a file is for; those first that leave the least doubt."""

_NEVER_A_MODEL = frozenset({"mmproj", "eagle3", "dflash"})
"""Programs and architectures, for which nobody names a model."""

_UNQUANTIZED = frozenset({Kind.IMATRIX, Kind.VOCABULARY})
"""What has no quantization: beside one the word says how a model was made."""

_SENSES = frozenset({"vision", "visual", "audio", "projector"})
"""How projectors are called that stand in a folder for each sense."""

_HALF, _QUARTER, _TENTH = 2, 4, 10
_LONGEST_EXTRA = 3
_LARGEST_COMPANION = 4_000_000_000  # bytes; no adapter and no projector is larger
_FEW = 2
_MOST_NAMES = 500  # that are compared with each other


def group_files(files: Iterable[RepositoryFile], *, kinds: Mapping[str, Kind] | None = None) -> list[Variant]:
    """Put shards and pieces together, and say what each is for; files that are not GGUF are left out.

    Args:
        files: All files of the repository.
        kinds: What headers say, by the name of a variant; that counts for all files of these words.
    """
    parts = [take_apart(found) for found in collect_sets(files)]
    known = {part.words: kinds[part.files.name] for part in parts if kinds and part.files.name in kinds}
    found = _Kinds(parts)
    decided = {part.files.name: known.get(part.words) or found.of(part) for part in parts}
    models = [part for part in parts if decided[part.files.name] is Kind.MODEL]
    labels = _labels(models)
    return [
        _variant(
            part,
            kind=decided[part.files.name],
            label=labels.get(part.files.name) or _Label(text=part.label, core=part.words),
            needs_header=part.words not in known and found.is_open(part),
        )
        for part in parts
    ]


def _variant(part: NameParts, *, kind: Kind, label: _Label, needs_header: bool) -> Variant:
    return Variant(
        kind=kind,
        name=part.files.name,
        quant=label.text,
        files=part.files.files,
        missing=part.files.missing,
        is_cut=part.files.is_cut,
        base="-".join(label.core),
        n_extra=label.n_extra,
        needs_header=needs_header,
    )


class _Kinds:
    """The kinds of all files of a repository, each decided beside the others."""

    def __init__(self, parts: Sequence[NameParts]) -> None:
        self._roles = {part.files.name: _roles(part) for part in parts}
        self._quantized = {part.words for part in parts if part.label and not is_convertible(part.label)}
        self._has_sizes = len({part.files.n_bytes for part in parts}) > 1
        # what no word speaks of, and what has a word that all files of its kind have
        plain = [part for part in parts if not self._roles[part.files.name]]
        if not plain:
            others = [part for part in parts if not self._is_sure(part)]
            common = [self._roles[part.files.name] for part in others]
            shared = set.intersection(*map(set, common)) if common else set()
            for part in others:
                self._roles[part.files.name] = [
                    word for word in self._roles[part.files.name] if word not in shared
                ]
            plain = [part for part in others if not self._roles[part.files.name]]
            self._shared = frozenset(part.files.name for part in others if shared)
        else:
            self._shared = frozenset()
        is_converted = all(part.label is None or is_convertible(part.label) for part in plain)
        self._may_be_converted = is_converted and len({part.words for part in plain}) <= _FEW
        labelled = [part for part in plain if part.label and not part.files.missing] or [
            part for part in plain if not part.files.missing
        ]
        self._main = max(labelled, key=lambda part: part.weights, default=None)
        whole = [part for part in labelled if not self._is_fraction(part, _QUARTER)]
        self._smallest = min((part.files.n_bytes for part in whole), default=0)
        self._home = frozenset(part.folder for part in plain if part.label)
        self._by_name: dict[str, Kind] = {}

    def of(self, part: NameParts) -> Kind:
        """Return the kind of a file."""
        if part.files.name not in self._by_name:
            self._by_name[part.files.name] = self._decide(part)
        return self._by_name[part.files.name]

    def is_open(self, part: NameParts) -> bool:
        """Return whether a look at the header is worth a request."""
        if set(self._roles[part.files.name]) & _NEVER_A_MODEL:
            return False
        if part.files.name in self._shared:
            return True
        if self.of(part) is not Kind.MODEL:
            return self.of(part) is not Kind.IMATRIX
        return self._may_be_converted and part.files.n_bytes < _LARGEST_COMPANION

    def _is_sure(self, part: NameParts) -> bool:
        """Return whether a word decides, also where all files have it."""
        roles = self._roles[part.files.name]
        if set(roles) & _NEVER_A_MODEL:
            return True
        kinds = {_ROLES[word] for word in roles}
        if kinds & _UNQUANTIZED:
            return part.label is None
        return Kind.ADAPTER in kinds and part.words not in self._quantized

    def _decide(self, part: NameParts) -> Kind:
        roles = self._roles[part.files.name]
        if roles:
            kind = _ROLES[roles[0]]
            if roles[0] in _NEVER_A_MODEL:
                return kind
            if kind in _UNQUANTIZED and part.label is not None:
                return Kind.MODEL if not self._is_fraction(part, _QUARTER) else kind
            if kind is Kind.ADAPTER and part.words in self._quantized:
                return Kind.MODEL  # convert_lora_to_gguf.py writes no such types
            if self._has_sizes and self._main is not None and not self._is_fraction(part, _HALF):
                return Kind.MODEL
            return kind
        return self._part_of_another(part) or Kind.MODEL

    def _is_fraction(self, part: NameParts, divisor: int) -> bool:
        """Return whether a file has much fewer weights than the models."""
        if self._main is None or not self._has_sizes or part.files.missing:
            return False
        return part.weights * divisor < self._main.weights

    def _part_of_another(self, part: NameParts) -> Kind | None:
        """Return the kind of a file that no word decides and that is part of a model; else ``None``."""
        main = self._main
        if main is None or part is main or part.files.missing or not self._is_part(part, main):
            return None
        own = set(part.words) - set(main.words)
        return Kind.PROJECTOR if own & _SENSES else Kind.COMPONENT

    def _is_part(self, part: NameParts, main: NameParts) -> bool:
        extra = extra_words(part.words, main.words)
        if extra is not None:  # without other words it is one more quantization
            return bool(extra) and self._is_fraction(part, _HALF) and not states_size(extra)
        if part.label is None and self._home:
            if set(part.words) & set(main.words):
                return False
            if not self._has_sizes:
                return part.folder not in self._home
            return part.files.n_bytes * _QUARTER < self._smallest
        is_beside = part.folder == main.folder and not states_size(part.words)
        return is_beside and self._is_fraction(part, _TENTH)


def _roles(part: NameParts) -> list[str]:
    words = {*part.words, *part.finer_words}
    return [word for word in _ROLES if word in words]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    """What a model of a repository is called beside the others.

    Attributes:
        text: The label.
        core: The words of the model's name.
        n_extra: Words that this file's name has besides those.
    """

    text: str | None
    core: tuple[str, ...]
    n_extra: int = 0


def _labels(models: Sequence[NameParts]) -> dict[str, _Label]:
    """Return what each model is called, by the name of its files."""
    cores = _cores([part.words for part in models if part.label])
    cores |= _cores_of_nameless([part for part in models if part.label], cores)
    builds = Counter((cores[part.words], part.label) for part in models if part.label)
    # other builds, of which at least one has the label of another
    doubles = {part.words for part in models if part.label and builds[cores[part.words], part.label] > 1}
    found: dict[str, _Label] = {}
    left: list[NameParts] = []
    known = list(dict.fromkeys(cores.values()))[:_MOST_NAMES]
    for part in models:
        core = cores[part.words] if part.label else _core_of(part.words, known)
        extra = (extra_words(part.words, core) if core else None) or ()
        if not part.label and not extra:
            left.append(part)
            continue
        text = part.label if part.label and part.words not in doubles else None
        if text is None:
            text = "-".join(filter(None, (shown_extra(part.stem, extra), part.label)))
        found[part.files.name] = _Label(text=text, core=core or (), n_extra=len(extra))
    return found | _unlabelled(left)


def _unlabelled(models: Sequence[NameParts]) -> dict[str, _Label]:
    """Call files without a known label by what distinguishes those that begin alike."""
    by_first: dict[str, list[NameParts]] = defaultdict(list)
    for part in models:
        by_first[part.words[0] if part.words else ""].append(part)
    found: dict[str, _Label] = {}
    for group in by_first.values():
        core = _common_prefix([part.words for part in group])
        rests = [part.words[len(core) :] for part in group]
        is_one = len(group) > 1 and len(set(rests)) == len(rests) and not any(map(states_size, rests))
        for part, rest in zip(group, rests, strict=True):
            text = shown_extra(part.stem, rest) if rest and is_one else None
            found[part.files.name] = _Label(text=text, core=core if is_one else part.words)
    return found


def _cores(names: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the model that each name is a build of: the shortest name that it only adds words to."""
    counted = Counter(names)
    cores: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: list[tuple[str, ...]] = []
    for words in sorted(counted, key=lambda words: (len(words), words)):
        core = _core_of(words, found) if len(found) < _MOST_NAMES else None
        cores[words] = core or words
        if core is None:
            found.append(words)
    return cores


def _cores_of_nameless(
    models: Sequence[NameParts], cores: Mapping[tuple[str, ...], tuple[str, ...]]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the model of files whose name says none: the only one that is named, if it is of their size.

    ``ggml-model-Q4_K_M.gguf`` lies beside ``Model-7.6B-F16.gguf`` in the repositories of MiniCPM-V.
    """
    nameless = [part for part in models if part.is_nameless]
    named = [part for part in models if not part.is_nameless]
    if not nameless or len(cores_named := {cores[part.words] for part in named}) != 1:
        return {}
    weights = [part.weights for part in models]
    if max(weights) > _HALF * min(weights):
        return {}
    return {part.words: next(iter(cores_named)) for part in nameless}


def _core_of(words: tuple[str, ...], cores: Iterable[tuple[str, ...]]) -> tuple[str, ...] | None:
    fitting = [
        core
        for core in cores
        if core
        and (extra := extra_words(words, core)) is not None
        and len(extra) <= _LONGEST_EXTRA
        and not states_size(extra)
    ]
    return max(fitting, key=len, default=None)


def _common_prefix(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    prefix = names[0]
    for words in names[1:]:
        length = next((at for at, (a, b) in enumerate(zip(prefix, words, strict=False)) if a != b), None)
        prefix = prefix[: min(len(prefix), len(words)) if length is None else length]
    return prefix
