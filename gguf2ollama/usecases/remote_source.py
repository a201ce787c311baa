"""Find a model on the Hub, and look at it there: its header comes by ranges, the rest stays where it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import GgufFile, Shard, ShardName, ShardSet, open_gguf, shard_name
from gguf2ollama.ggufio.assembly import assemble
from gguf2ollama.host import free_memory_bytes
from gguf2ollama.hub.cache import CachedRepository
from gguf2ollama.hub.catalogue import Choice
from gguf2ollama.hub.published import read_published
from gguf2ollama.hub.ranges import RangeReader
from gguf2ollama.hub.repository import Repository, read_repository
from gguf2ollama.hub.settings import HubSettings
from gguf2ollama.hub.site import HubSite
from gguf2ollama.hub.variants import RepositoryFile
from gguf2ollama.memory import fits_memory
from gguf2ollama.recipe import Published
from gguf2ollama.refs import HubSource, UrlSource
from gguf2ollama.usecases.source import ModelFiles, Origin, require_projector

__all__ = [
    "HubWishes",
    "RemoteModel",
    "look_at_hub",
    "look_at_url",
    "open_site",
    "published_beside",
    "resolve",
]


_MOST_SHARDS = 1000  # that are asked for because a name says so
_REVISION = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubWishes:
    """Which of a repository's models is wanted; each may be ``None``.

    Attributes:
        quant: The quantization, in any case.
        file: A file, any shard, or a folder with one model.
        revision: A branch, a tag or a commit.
    """

    quant: str | None = None
    file: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model of a repository.

    Attributes:
        repository: The repository at one commit.
        choice: Which model, and why.
        projectors: Files that turn images or sound into embeddings for it.
    """

    repository: Repository
    choice: Choice
    projectors: tuple[RepositoryFile, ...] = ()

    @property
    def files(self) -> tuple[RepositoryFile, ...]:
        """All files of it: the model's, then projectors."""
        return (*self.choice.variant.files, *self.projectors)

    def origin(self, *, bytes_fetched: int) -> Origin:
        """Tell where it was found."""
        owner, _, repo = self.repository.info.name.partition("/")
        path, revision = self.choice.variant.files[0].path, self.repository.revision
        return Origin(
            place=str(HubSource(owner=owner, repo=repo, path=path, revision=revision)),
            commit=self.repository.info.commit,
            reason=self.choice.reason,
            bytes_fetched=bytes_fetched,
            files=self.files,
        )


@contextlib.contextmanager
def open_site(settings: HubSettings) -> Iterator[HubSite | None]:
    """Open the way to the Hub; give ``None`` where the environment wants no network."""
    if settings.is_offline:
        yield None
        return
    with HubSite(settings) as site:
        yield site


def resolve(
    source: HubSource,
    *,
    wishes: HubWishes,
    settings: HubSettings,
    site: HubSite | None,
    is_here: bool = True,
    takes_projector: bool = True,
) -> RemoteModel:
    """Find the model that a source names.

    Args:
        source: The repository, with what was written behind its name.
        wishes: What was asked for besides.
        settings: How the Hub is used.
        site: The Hub; ``None`` without a network.
        is_here: Whether this machine will run it, so that its memory decides.
        takes_projector: Whether a projector of the repository comes along.

    Raises:
        InvalidShards: The repository lacks shards of it.
        NotFound: There is no such repository, revision or model.
        ServerProblem: The Hub cannot be asked, or refuses.
        UsageProblem: There are several models, or wishes contradict the source.
    """
    quant = _one_of("--quant", wishes.quant, source.quant)
    file = _one_of("--file", wishes.file, source.path)
    revision = _one_of("--revision", wishes.revision, source.revision)
    if revision is not None and not _REVISION.fullmatch(revision):
        raise UsageProblem(f"{revision[:80]!r} is no revision", hint="give a branch, a tag or a commit")
    repository = read_repository(source.repo_id, revision=revision, settings=settings, site=site)
    free_bytes = free_memory_bytes() if is_here else None
    catalogue = repository.catalogue
    choice = catalogue.choose(
        quant=quant, file=file, fits=lambda count: fits_memory(count, free_bytes=free_bytes)
    )
    projector = catalogue.projector if takes_projector and choice.variant in catalogue.models else None
    return RemoteModel(repository=repository, choice=choice, projectors=projector.files if projector else ())


def look_at_hub(
    source: HubSource, *, wishes: HubWishes, projectors: Sequence[Shard] = (), is_here: bool = True
) -> ModelFiles:
    """Read the headers of a model on the Hub; of its files, some megabytes are fetched.

    What the shared cache holds already is read there.

    Args:
        source: Where it is.
        wishes: Which of the models there.
        projectors: Projectors on this machine, instead of the one in the repository.
        is_here: Whether this machine will run it.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        Gguf2OllamaError: As :func:`resolve` does.
    """
    settings = HubSettings.from_environment()
    with open_site(settings) as site:
        model = resolve(
            source,
            wishes=wishes,
            settings=settings,
            site=site,
            is_here=is_here,
            takes_projector=not projectors,
        )
        headers = _Headers(model.repository, settings=settings, site=site)
        shards = assemble([headers.read(file) for file in model.choice.variant.files])
        found = tuple(require_projector(headers.read(file)) for file in model.projectors)
        return ModelFiles(
            model=ShardSet(shards=shards),
            projectors=tuple(projectors) or found,
            origin=model.origin(bytes_fetched=headers.bytes_fetched),
            published=published_beside(model, shards[0], site=site),
        )


def published_beside(model: RemoteModel, first: Shard, *, site: HubSite | None) -> Published:
    """Read what is recommended for a model; nothing without a network."""
    if site is None:
        return Published()
    return read_published(site, model.repository, first.gguf.metadata)


def look_at_url(source: UrlSource, *, projectors: Sequence[Shard] = ()) -> ModelFiles:
    """Read the header of a GGUF at a URL, and of its other shards beside it.

    Raises:
        InvalidGguf: It is no GGUF, or a broken one.
        InvalidShards: The files are not one whole set.
        NotFound: There is no such file.
        ServerProblem: The server cannot be asked, or refuses.
    """
    url, _, query = source.url.partition("?")
    folder, _, name = url.rpartition("/")
    parsed = ShardName.parse(name)
    names = [name]
    if parsed is not None and parsed.count <= _MOST_SHARDS:
        names = [shard_name(parsed.prefix, no=no, count=parsed.count) for no in range(parsed.count)]
    fetched, shards = 0, []
    for one in names:
        with RangeReader(f"{folder}/{one}{'?' if query else ''}{query}") as stream:
            shards.append(Shard(path=Path(one), gguf=open_gguf(cast("BinaryIO", stream))))
            fetched += stream.bytes_fetched
    origin = Origin(place=url, commit="", reason="as asked for", bytes_fetched=fetched)
    return ModelFiles(model=ShardSet(shards=assemble(shards)), projectors=tuple(projectors), origin=origin)


class _Headers:
    """Reads headers of a repository's files, and counts the bytes that were fetched for them."""

    def __init__(self, repository: Repository, *, settings: HubSettings, site: HubSite | None) -> None:
        self.bytes_fetched = 0
        self._info = repository.info
        self._settings = settings
        self._site = site
        self._is_allowed = False

    def read(self, file: RepositoryFile) -> Shard:
        return Shard(path=Path(*PurePosixPath(file.path).parts), gguf=self._open(file))

    def _open(self, file: RepositoryFile) -> GgufFile:
        cached = CachedRepository(cache=self._settings.cache, name=self._info.name)
        here = cached.path(file.path, commit=self._info.commit)
        if self._site is None or here.is_file():
            return open_gguf(here)
        if not self._is_allowed:
            self._site.require_access(self._info.name, file.path, commit=self._info.commit)
            self._is_allowed = True
        url = self._site.file_url(self._info.name, file.path, commit=self._info.commit)
        with RangeReader(url, token=self._settings.token) as stream:
            try:
                gguf = open_gguf(cast("BinaryIO", stream), name=file.path)
            finally:
                self.bytes_fetched += stream.bytes_fetched
        return gguf


def _one_of(option: str, wished: str | None, written: str | None) -> str | None:
    if wished is not None and written is not None and wished != written:
        raise UsageProblem(
            f"{option} {wished} contradicts SOURCE, which says {written}", hint="give one of them"
        )
    return wished if wished is not None else written
