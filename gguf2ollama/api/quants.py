"""List the models of a repository, and the default one."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.memory.hardware import MemoryRoom, find_hardware
from gguf2ollama.memory.placement import Place
from gguf2ollama.sources.catalogue.gguf_files import Kind, Variant
from gguf2ollama.sources.catalogue.placing import Placing
from gguf2ollama.sources.catalogue.selection import Choice
from gguf2ollama.sources.parse import require_repository
from gguf2ollama.sources.remote import Headers
from gguf2ollama.sources.repository import Repository, read_repository
from gguf2ollama.sources.settling import settle
from gguf2ollama.sources.sites.opening import open_site
from gguf2ollama.sources.sites.settings import settings_for

__all__ = ["QuantRow", "QuantTable", "list_quants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRow:
    """One model of a repository.

    Attributes:
        variant: The model.
        bits_per_weight: Bits per weight; ``None`` if the number of weights is not known.
        place: Where it would run on this machine with a context of 4,096 tokens; ``None`` if not known.
    """

    variant: Variant
    bits_per_weight: float | None
    place: Place | None

    @property
    def fits(self) -> bool | None:
        """Whether it fits in this machine's memory; ``None`` if that is not known."""
        return None if self.place is None else self.place != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantTable:
    """The models of a repository, smallest first.

    Attributes:
        repository: The repository at one commit.
        rows: Its models, also those with missing shards.
        choice: The default model; ``None`` if there is none.
        problem: Why there is none.
        others: The other files: projectors, importance matrices, adapters, parts.
        room: The memory of this machine for models; ``None`` if not known.
    """

    repository: Repository
    rows: tuple[QuantRow, ...]
    choice: Choice | None
    problem: str | None
    others: tuple[Variant, ...]
    room: MemoryRoom | None


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
    hardware = find_hardware()
    room = hardware.room if hardware is not None else None
    choice, problem = None, None
    with open_site(settings) as site:
        repository = read_repository(
            parsed.repo_id, revision=revision or parsed.revision, settings=settings, site=site
        )
        headers = Headers(settings=settings, site=site)
        repository = settle(repository, read=lambda file: headers.read(file, repository), needs_one=True)
        catalogue, parameters = repository.catalogue, repository.parameters
        place = Placing(
            room=room,
            read=lambda file: headers.read(file, repository),
            projector_of=lambda variant: catalogue.projector_of(variant).projector,
        )
        try:
            choice = catalogue.choose(place=place)
        except Gguf2OllamaError as error:
            problem = error.message
        rows = [
            QuantRow(
                variant=variant,
                bits_per_weight=None if variant.missing else variant.bits_per_weight(parameters),
                place=place(variant),
            )
            for variant in catalogue.models
        ]
    return QuantTable(
        repository=repository,
        rows=tuple(rows),
        choice=choice,
        problem=problem,
        others=tuple(variant for variant in catalogue.variants if variant.kind is not Kind.MODEL),
        room=room,
    )
