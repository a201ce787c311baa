"""The models of a repository, as the names of its files show them, and the choice of one."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidShards, NotFound, UsageProblem
from gguf2ollama.ggufio import ShardName
from gguf2ollama.sources.catalogue.classification import group_files
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant
from gguf2ollama.sources.catalogue.name_parts import stated_size, words_of
from gguf2ollama.sources.catalogue.projectors import ProjectorChoice, choose_projector
from gguf2ollama.sources.catalogue.quantization import bits_of, fold_quant, is_same_quant

if TYPE_CHECKING:
    from gguf2ollama.memory.placement import Place

__all__ = ["Catalogue", "Choice"]

_NAMED = 8  # that an error names
_USUAL = ("Q4_K_M", "Q4_K", "UD-Q4_K_XL", "I1-Q4_K_M", "UD-Q4_K_M", "Q4_K_XL", "Q4_K_L", "Q4_K_S")
_NEARLY_USUAL = ("Q4_K_", "IQ4_NL", "IQ4_XS", "Q4_0")  # what labels begin with
_USUAL_BITS = 4
_USUAL_BITS_PER_WEIGHT = 4.85  # Q4_K_M of Llama 3.1 8B, as llama.cpp's tools/quantize/README.md has it
_LEAST_BITS = 3  # that are taken for the sake of the GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model of a repository, and why it is that one."""

    variant: Variant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The models of a repository and what lies beside them, smallest first.

    Attributes:
        repository: What errors call it.
        variants: All of them.
    """

    repository: str
    variants: tuple[Variant, ...]

    @classmethod
    def of(
        cls, files: Iterable[RepositoryFile], *, repository: str, kinds: Mapping[str, Kind] | None = None
    ) -> Catalogue:
        """Sort the files of a repository; ``kinds`` is what headers say, as in :func:`group_files`."""
        variants = sorted(
            group_files(files, kinds=kinds), key=lambda variant: (variant.n_bytes, variant.name)
        )
        return cls(repository=repository, variants=tuple(variants))

    @property
    def models(self) -> tuple[Variant, ...]:
        """The models, those of which shards are missing too."""
        return self.of_kind(Kind.MODEL)

    def of_kind(self, kind: Kind) -> tuple[Variant, ...]:
        """Return what is of one kind."""
        return tuple(variant for variant in self.variants if variant.kind is kind)

    def projector_of(self, model: Variant) -> ProjectorChoice:
        """Return the projector that goes with a model; none with what is not a model."""
        return choose_projector(model, self.variants) if model.kind is Kind.MODEL else ProjectorChoice()

    def companion_called(self, file: str) -> Variant:
        """Return the file of a path or a name that goes with a model.

        Raises:
            NotFound: There is no such file.
            UsageProblem: There are several.
        """
        return self._choose_file(file, quant=None).variant

    def parameters(self) -> int | None:
        """Estimate the number of weights from a file that has 16 bits for each; ``None`` without one."""
        for variant in self.models:
            if fold_quant(variant.quant or "") in {"F16", "BF16"} and not variant.missing:
                return variant.n_bytes // 2
        return None

    def choose(
        self,
        *,
        quant: str | None = None,
        file: str | None = None,
        place: Callable[[Variant], Place | None],
    ) -> Choice:
        """Choose a model.

        Args:
            quant: The quantization that is wanted, in any case.
            file: The path or the name of a file, of any shard, or of a folder that holds one model.
            place: Returns where a model would run; ``None`` where that is not known.

        Raises:
            InvalidShards: The repository lacks shards of it.
            NotFound: There is no such model.
            UsageProblem: There are several.
        """
        if file is not None:
            found = self._choose_file(file, quant=quant)
        elif quant is not None:
            found = self._choose_quant(quant)
        else:
            found = self._choose_usual(place)
        _require_whole(found.variant, self.repository)
        return found

    def _choose_file(self, file: str, *, quant: str | None) -> Choice:
        wanted = file.strip("/")
        matches = [variant for variant in self.variants if wanted in {found.path for found in variant.files}]
        matches = matches or [variant for variant in self.variants if _is_named(variant, wanted)]
        if not matches:
            inside = [variant for variant in self.models if posixpath.dirname(variant.name) == wanted]
            matches = [variant for variant in inside if quant is None or _has_label(variant, quant)]
        if not matches:
            raise NotFound(
                f"{self.repository} has no GGUF {file!r}", hint=f"it has {self._names(self.models)}"
            )
        return Choice(variant=self._plainest(matches, f"called {file!r}"), reason="as requested")

    def _choose_quant(self, quant: str) -> Choice:
        for is_meant in (_has_label, _has_loose_label, _has_words):
            matches = [variant for variant in self.models if is_meant(variant, quant)]
            if matches:
                return Choice(variant=self._plainest(matches, f"of {quant}"), reason="as requested")
        self._require_models()
        raise NotFound(f"{self.repository} has no quantization {quant!r}", hint=f"it has {self._labels()}")

    def _choose_usual(self, place: Callable[[Variant], Place | None]) -> Choice:
        self._require_models()
        whole = [variant for variant in self.models if not variant.missing] or list(self.models)
        if len(whole) == 1:
            return Choice(variant=whole[0], reason="the only model there")
        if len({variant.base for variant in whole}) > 1:
            raise self._several(whole, "models")
        parameters = self.parameters() or self._stated_parameters()
        ordered = sorted(whole, key=lambda variant: _preference(variant, parameters=parameters))
        best = ordered[0]
        name = fold_quant(best.quant or "")
        best = self._plainest(
            [variant for variant in ordered if _has_label(variant, name)] or [best], f"of {name}"
        )
        usual = "the usual one" if name == "Q4_K_M" else "the nearest there is to the usual Q4_K_M"
        ordered = [best, *(variant for variant in ordered if variant != best)]
        return _choose_by_place(ordered, usual=usual, places={item.name: place(item) for item in ordered})

    def _only(self, matches: Sequence[Variant], what: str) -> Variant:
        if len(matches) > 1:
            raise self._several(matches, f"models {what}")
        return matches[0]

    def _plainest(self, matches: Sequence[Variant], what: str) -> Variant:
        """Return the model itself rather than another build of it, from the root rather than a folder."""
        order = [(variant.n_extra, variant.depth) for variant in matches]
        plainest = [variant for variant, place in zip(matches, order, strict=True) if place == min(order)]
        return self._only(plainest, what)

    def _several(self, matches: Sequence[Variant], what: str) -> UsageProblem:
        return UsageProblem(
            f"{self.repository} has {len(matches)} {what}: {self._names(matches)}",
            hint=f"choose one, such as --file {matches[0].files[0].path}",
        )

    def _names(self, variants: Sequence[Variant]) -> str:
        named = ", ".join(variant.files[0].path for variant in variants[:_NAMED])
        more = len(variants) - _NAMED
        return f"{named} and {more} more (`gguf2ollama quants` lists all)" if more > 0 else named or "none"

    def _labels(self) -> str:
        """Return the labels of the models, and the names of those that have none."""
        found = dict.fromkeys(variant.quant or variant.files[0].path for variant in self.models)
        return ", ".join(found)

    def _stated_parameters(self) -> int | None:
        """Return the number of weights that names state; ``None`` if they state none."""
        return max((stated_size(variant.name) for variant in self.models), default=0) or None

    def _require_models(self) -> None:
        if self.models:
            return
        if self.variants:
            found = ", ".join(
                f"{variant.files[0].path} ({variant.kind.value})" for variant in self.variants[:_NAMED]
            )
            raise NotFound(
                f"{self.repository} has no model, only {found}", hint="name one with --file if it is one"
            )
        raise NotFound(
            f"{self.repository} has no GGUF file", hint="look for a repository whose name ends in GGUF"
        )


def _choose_by_place(ordered: Sequence[Variant], *, usual: str, places: Mapping[str, Place | None]) -> Choice:
    """Choose the first model of those in the order of preference, by where each would run."""
    best = ordered[0]
    if places[best.name] is None:
        return Choice(variant=best, reason=usual)
    for variant in ordered:
        # with few bits a model answers worse than one of which a part runs in RAM
        if places[variant.name] == "gpu" and bits_of(variant.quant or "") >= _LEAST_BITS:
            if variant == best:
                return Choice(variant=best, reason=f"{usual}, and all of it fits this machine's GPU")
            why = f"all of it fits this machine's GPU, which {best.quant} does not"
            return Choice(variant=variant, reason=why)
    if places[best.name] != "none":
        where = ", partly its GPU" if places[best.name] == "split" else ""
        return Choice(variant=best, reason=f"{usual}, and it fits this machine's memory{where}")
    for variant in ordered:
        if places[variant.name] != "none":
            why = f"the largest that fits this machine's memory, which {best.quant} does not"
            return Choice(variant=variant, reason=why)
    smallest = min(ordered, key=lambda variant: variant.n_bytes)
    return Choice(variant=smallest, reason="the smallest there is; none fits this machine's memory")


def _is_named(variant: Variant, wanted: str) -> bool:
    names = {variant.name, posixpath.basename(variant.name)}
    names |= {name for file in variant.files for name in (file.path, file.name)}
    return wanted in names


def _has_label(variant: Variant, wanted: str) -> bool:
    return variant.quant is not None and is_same_quant(variant.quant, wanted)


def _has_loose_label(variant: Variant, wanted: str) -> bool:
    return variant.quant is not None and is_same_quant(variant.quant, wanted, loosely=True)


def _has_words(variant: Variant, wanted: str) -> bool:
    """Return whether the name has these words, one after the other."""
    asked, words = words_of(wanted), words_of(variant.name)
    return bool(asked) and any(
        words[at : at + len(asked)] == asked for at in range(len(words) - len(asked) + 1)
    )


def _preference(variant: Variant, *, parameters: int | None) -> tuple[int, float, int, int]:
    """Put four bits first, the usual ones before others; then more bits, fewest first; then less.

    A label that names no bits counts by its bits per weight.
    """
    quant = fold_quant(variant.quant or "")
    if quant in _USUAL:
        return (0, _USUAL.index(quant), variant.n_extra, variant.depth)
    for place, beginning in enumerate(_NEARLY_USUAL, start=len(_USUAL)):
        if quant.startswith(beginning):
            return (0, place, variant.n_extra, variant.depth)
    bits: float = bits_of(quant)
    if not bits:
        bits = variant.bits_per_weight(parameters) or 0
        if abs(bits - _USUAL_BITS_PER_WEIGHT) < 1:
            return (1, abs(bits - _USUAL_BITS_PER_WEIGHT), variant.n_extra, variant.depth)
    if bits == _USUAL_BITS:
        return (1, 1, variant.n_bytes, variant.n_extra)
    return (2, 0, variant.n_bytes, 0) if bits > _USUAL_BITS else (3, 0, -variant.n_bytes, 0)


def _require_whole(variant: Variant, repository: str) -> None:
    if variant.missing:
        shards = ShardName.parse(variant.files[0].name)
        count = shards.count if shards else len(variant.files) + len(variant.missing)
        what = "pieces" if variant.is_cut else "shards"
        raise InvalidShards(
            f"{repository} has {len(variant.files)} of the {count:,} {what} of {variant.name}; missing:"
            f" {', '.join(variant.missing[:_NAMED])}",
            hint="they may still be on their way there; choose another quantization, or try again later",
        )
