"""Read a few headers of a repository or a folder where names and sizes leave open what its files are."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.ggufio import GgufFile, Role, role_of
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant
from gguf2ollama.sources.catalogue.quantization import is_convertible
from gguf2ollama.sources.catalogue.selection import Catalogue
from gguf2ollama.sources.repository import Repository

__all__ = ["settle"]

_MOST_HEADERS = 4
_BY_ROLE = {
    Role.PROJECTOR: Kind.PROJECTOR,
    Role.ADAPTER: Kind.ADAPTER,
    Role.IMATRIX: Kind.IMATRIX,
    Role.VOCABULARY: Kind.VOCABULARY,
}
_DRAFTS = frozenset({Kind.DRAFT, Kind.MTP})
_ENCODERS = frozenset({"t5encoder", "wavtokenizer-dec"})


def settle(
    repository: Repository, *, read: Callable[[RepositoryFile], GgufFile], needs_one: bool = False
) -> Repository:
    """Return the repository with the kinds that headers say, for files whose names leave that open.

    One file of each name is read, the smallest, and four at most; what cannot be read stays as it is.

    Args:
        repository: The repository.
        read: Reads the header of a file of it.
        needs_one: Whether one model is to be chosen; see :func:`find_unclear`.
    """
    kinds = read_kinds(find_unclear(repository.catalogue.variants, needs_one=needs_one), read=read)
    if not kinds:
        return repository
    catalogue = Catalogue.of(repository.files, repository=repository.info.name, kinds=kinds)
    return dataclasses.replace(repository, catalogue=catalogue)


def find_unclear(variants: Iterable[Variant], *, needs_one: bool = False) -> list[Variant]:
    """Return the variants whose headers are worth a look.

    Among a few models of different names some may be parts of another. One that is there as converters write
    it alone, and not quantized, may be its projector (``projector-fp16.gguf``). Any other may be the encoder
    of text for images, which matters where one of them is to be chosen.

    Args:
        variants: All of a repository or a folder.
        needs_one: Whether one is to be chosen.
    """
    variants = list(variants)
    labels: dict[str, list[str | None]] = defaultdict(list)
    for variant in variants:
        if variant.kind is Kind.MODEL:
            labels[variant.base].append(variant.quant)
    may_be_parts = {
        base
        for base, quants in labels.items()
        if 1 < len(labels) <= _MOST_HEADERS
        and (needs_one or all(quant is None or is_convertible(quant) for quant in quants))
    }
    return [
        variant
        for variant in variants
        if variant.needs_header or (variant.kind is Kind.MODEL and variant.base in may_be_parts)
    ]


def read_kinds(variants: Iterable[Variant], *, read: Callable[[RepositoryFile], GgufFile]) -> dict[str, Kind]:
    """Return what headers say otherwise than names, by the name of a variant.

    The first of each base is read, and four at most; what cannot be read stays as it is.
    """
    firsts: dict[str, Variant] = {}
    for variant in variants:
        if not variant.missing and not variant.is_cut:
            firsts.setdefault(variant.base, variant)
    kinds: dict[str, Kind] = {}
    for variant in list(firsts.values())[:_MOST_HEADERS]:
        with contextlib.suppress(Gguf2OllamaError):
            if (kind := _kind(read(variant.files[0]), named=variant.kind)) is not variant.kind:
                kinds[variant.name] = kind
    return kinds


def _kind(gguf: GgufFile, *, named: Kind) -> Kind:
    """Return the kind of a file by its header, and by its name where the header is that of any model."""
    if (role := role_of(gguf)) is Role.DRAFT:
        return named if named in _DRAFTS else Kind.DRAFT
    if (kind := _BY_ROLE.get(role)) is not None:
        return kind
    architecture = gguf.metadata.get("general.architecture")
    if architecture in _ENCODERS:
        return Kind.COMPONENT
    if named is Kind.MODEL and "tokenizer.ggml.model" not in gguf.metadata and gguf.split is None:
        return Kind.COMPONENT  # no language model is without one
    return Kind.MODEL if named in {Kind.ADAPTER, Kind.VOCABULARY} else named
