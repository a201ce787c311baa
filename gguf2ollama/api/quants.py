"""List the models of a repository, and the default one."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.memory.context import fits_memory
from gguf2ollama.memory.hardware import free_memory_bytes
from gguf2ollama.sources.gguf_files import Kind, Variant
from gguf2ollama.sources.parse import require_repository
from gguf2ollama.sources.repository import Repository, read_repository
from gguf2ollama.sources.selection import Choice
from gguf2ollama.sources.settings import settings_for
from gguf2ollama.sources.sites import open_site

__all__ = ["QuantRow", "QuantTable", "list_quants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRow:
    """One model of a repository.

    Attributes:
        variant: The model.
        bits_per_weight: Bits per weight; ``None`` if the number of weights is not known.
        fits: Whether it fits in this machine's memory; ``None`` if that is not known.
    """

    variant: Variant
    bits_per_weight: float | None
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantTable:
    """The models of a repository, smallest first.

    Attributes:
        repository: The repository at one commit.
        rows: Its models, also those with missing shards.
        choice: The default model; ``None`` if there is none.
        problem: Why there is none.
        others: The other files: projectors, importance matrices, adapters, parts.
    """

    repository: Repository
    rows: tuple[QuantRow, ...]
    choice: Choice | None
    problem: str | None
    others: tuple[Variant, ...]


def list_quants(source: str, *, revision: str | None = None) -> QuantTable:
    """List the models of a repository.

    Args:
        source: ``owner/repo``, ``hf://owner/repo``, ``ms://owner/repo`` or a page of one.
        revision: A branch, a tag or a commit.

    Raises:
        NotFound: There is no such repository or revision, or no GGUF in it.
        ServerProblem: The site cannot be reached, or refuses.
        UsageProblem: The source is not a repository.
    """
    parsed = require_repository(source)
    settings = settings_for(parsed)
    with open_site(settings) as site:
        repository = read_repository(
            parsed.repo_id, revision=revision or parsed.revision, settings=settings, site=site
        )
    catalogue, parameters = repository.catalogue, repository.parameters
    free_bytes = free_memory_bytes()
    choice, problem = None, None
    try:
        choice = catalogue.choose(fits=lambda count: fits_memory(count, free_bytes=free_bytes))
    except Gguf2OllamaError as error:
        problem = error.message
    return QuantTable(
        repository=repository,
        rows=tuple(
            QuantRow(
                variant=variant,
                bits_per_weight=None if variant.missing else variant.bits_per_weight(parameters),
                fits=fits_memory(variant.n_bytes, free_bytes=free_bytes),
            )
            for variant in catalogue.models
        ),
        choice=choice,
        problem=problem,
        others=tuple(variant for variant in catalogue.variants if variant.kind is not Kind.MODEL),
    )
