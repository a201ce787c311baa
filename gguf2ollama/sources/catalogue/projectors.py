"""Which projector goes with a model, as names and folders say; and what is left out."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.names import size
from gguf2ollama.sources.catalogue.gguf_files import Kind, Variant
from gguf2ollama.sources.catalogue.quantization import fold_quant

__all__ = ["PRECISIONS", "ProjectorChoice", "choose_projector", "find_own", "in_order"]

PRECISIONS = ("F16", "BF16", "Q8_0", "F32")
"""The order in which one is taken: half precision is what projectors are trained in, and Q8_0 is nearer to it
than four times its size is worth."""
_ROLES = frozenset({"mmproj", "projector", "vision", "visual", "audio", "model", "ggml", "gguf", "clip"})
_HEARING = "audio"
_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectorChoice:
    """The projector of a model.

    Attributes:
        projector: The one that is taken; ``None`` if there is none, or none is certain to be the model's.
        others: Projectors that could be taken instead.
        is_certain: Whether names leave no doubt; otherwise ``others`` are those that are left out.
        refused, problem: The one that would be taken, but for a problem.
    """

    projector: Variant | None = None
    others: tuple[Variant, ...] = ()
    is_certain: bool = True
    refused: Variant | None = None
    problem: str = ""

    @property
    def note(self) -> str | None:
        """What was taken of several; ``None`` if there was no choice."""
        if self.projector is None or not self.others:
            return None
        path = self.projector.files[0].path
        return f"Projector: {path}; --mmproj FILE takes another ({_names(self.others)}), --no-mmproj none"

    @property
    def warning(self) -> str | None:
        """What was left out although it may belong to the model; ``None`` if nothing was."""
        if self.refused is not None:
            return f"{self.refused.files[0].path} is not used as projector: {self.problem}"
        if self.is_certain or not self.others:
            return None
        return (
            f"no projector is used, so the model takes neither images nor audio: {_names(self.others)} may"
            " belong to another model; take one with --mmproj FILE"
        )


def choose_projector(model: Variant, variants: Sequence[Variant]) -> ProjectorChoice:
    """Choose the projector of a model.

    One with the model's name goes with that model, any other with the only model there is, or that is in the
    same folder. Of several precisions the first of F16, BF16, Q8_0 and F32 is taken, and one for images
    before one for audio.
    """
    found = [variant for variant in variants if variant.kind is Kind.PROJECTOR and not variant.missing]
    mine, unclear = find_own(model, found, variants=variants, roles=_ROLES)
    if not mine:
        return ProjectorChoice(others=tuple(in_order(unclear)), is_certain=not unclear)
    best, *others = in_order(mine)
    return ProjectorChoice(projector=best, others=tuple(others))


def find_own(
    model: Variant, found: Sequence[Variant], *, variants: Sequence[Variant], roles: Collection[str]
) -> tuple[list[Variant], list[Variant]]:
    """Return which companions are a model's, and which of those that are nobody's may be.

    Args:
        model: The model.
        found: Its companions, and those of others.
        variants: All files of the repository.
        roles: Words in the names of companions that say what they are, and not for which model.
    """
    names = {variant.base for variant in variants if variant.kind is Kind.MODEL}
    mine, unclear = [], []
    for companion in found:
        subject = _subject(companion, roles)
        owners = {name for name in names if subject and subject <= set(name.split("-"))}
        if model.base in owners:
            mine.append(companion)
        elif not owners:
            unclear.append(companion)
    if mine:
        # the longest name: that of the model, before that of what it was made from
        longest = max(len(_subject(companion, roles)) for companion in mine)
        return [companion for companion in mine if len(_subject(companion, roles)) == longest], unclear
    folder = posixpath.dirname(model.name)
    beside = [companion for companion in unclear if posixpath.dirname(companion.name) == folder]
    owners_beside = {
        variant.base
        for variant in variants
        if variant.kind is Kind.MODEL and posixpath.dirname(variant.name) == folder
    }
    if len(names) <= 1:
        mine = beside or unclear
    elif len(owners_beside) == 1:
        mine = beside
    if len({tuple(sorted(_subject(companion, roles))) for companion in mine}) > 1:  # of several other models
        mine = []
    return mine, unclear


def in_order(projectors: Iterable[Variant]) -> list[Variant]:
    """Return projectors in the order in which one is taken."""
    order = {quant: place for place, quant in enumerate(PRECISIONS)}
    return sorted(
        projectors,
        key=lambda variant: (
            _HEARING in variant.base.split("-"),
            order.get(fold_quant(variant.quant or ""), len(order)),
            variant.name,
        ),
    )


def _subject(companion: Variant, roles: Collection[str]) -> set[str]:
    """Return the words of a companion's name that say which model it is for."""
    return set(companion.base.split("-")) - {*roles, ""}


def _names(projectors: Sequence[Variant]) -> str:
    named = ", ".join(
        f"{projector.files[0].path} ({size(projector.n_bytes)})" for projector in projectors[:_NAMED]
    )
    more = len(projectors) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
