"""Find a model on Hugging Face, ModelScope or at a URL, and read its headers by range requests."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.ggufio import GgufFile, Shard, ShardSet, open_gguf
from gguf2ollama.ggufio.shard_files import assemble
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.names import HubSource, UrlSource, size
from gguf2ollama.net import public_url
from gguf2ollama.sources.adapters import adapter_refusal
from gguf2ollama.sources.cache import CachedRepository
from gguf2ollama.sources.catalogue.drafts import choose_draft
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile, Variant
from gguf2ollama.sources.catalogue.placing import Placing
from gguf2ollama.sources.catalogue.projectors import ProjectorChoice
from gguf2ollama.sources.catalogue.selection import Catalogue, Choice
from gguf2ollama.sources.downloads.joined import JoinedReader
from gguf2ollama.sources.drafts import own_draft_problem
from gguf2ollama.sources.model import KnownDigests, ModelFiles, Origin, Published, SourceSelection
from gguf2ollama.sources.projectors import projector_problem, require_projector
from gguf2ollama.sources.recommendations import read_published
from gguf2ollama.sources.repository import Repository, read_repository
from gguf2ollama.sources.settling import settle
from gguf2ollama.sources.sites.opening import open_site
from gguf2ollama.sources.sites.remote_streams import RangeReader
from gguf2ollama.sources.sites.settings import SiteSettings, settings_for
from gguf2ollama.sources.sites.site import Site

__all__ = ["Headers", "Remote", "RemoteModel", "open_remote", "read_headers", "reopen_remote"]

_REVISION = lazy_pattern(r"(?!.*(?:\.\.|//))[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model of a repository, or at a URL.

    Attributes:
        source: The source as it was given.
        repository: The repository at one commit; for a URL, its folder.
        choice: The chosen model, and why.
        projectors: Files that turn images or sound into embeddings for it.
        drafts: What predicts tokens for it to check; one at most.
        notes: What was chosen of several, and what is not used, one line each.
        left_out: What is not used though it may belong to the model, one sentence each.
    """

    source: HubSource | UrlSource
    repository: Repository
    choice: Choice
    projectors: tuple[RepositoryFile, ...] = ()
    drafts: tuple[RepositoryFile, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[RepositoryFile, ...]:
        """All its files: the model's, then projectors, then drafts."""
        return (*self.choice.variant.files, *self.projectors, *self.drafts)

    @property
    def commit(self) -> str:
        """The commit; empty for a URL, which has none."""
        return "" if isinstance(self.source, UrlSource) else self.repository.info.commit

    @property
    def found(self) -> str:
        """One line about what was found."""
        names = ", ".join(file.path for file in self.files)
        n_bytes = sum(file.size for file in self.files)
        return f"Found {names} in {self.repository.info.name} ({size(n_bytes)}; {self.choice.reason})"

    def origin(self, *, bytes_fetched: int) -> Origin:
        """Return where it was found."""
        return Origin(
            source=self._named,
            commit=self.commit,
            reason=self.choice.reason,
            bytes_fetched=bytes_fetched,
            files=self.files,
            repository=self.repository.info.name if isinstance(self.source, HubSource) else "",
            label=self.choice.variant.quant,
        )

    @property
    def _named(self) -> str:
        if isinstance(self.source, UrlSource):
            return public_url(self.source.url)
        owner, _, repo = self.repository.info.name.partition("/")
        path, revision = self.choice.variant.files[0].path, self.repository.revision
        return str(HubSource(owner=owner, repo=repo, path=path, revision=revision, site=self.source.site))


class Headers:
    """Reads the headers of the files of a repository, each once, and counts the bytes fetched for them.

    Args:
        settings: The settings of its site.
        site: The site; ``None`` offline.
    """

    def __init__(self, *, settings: SiteSettings, site: Site | None) -> None:
        self.settings = settings
        self.site = site
        self.bytes_fetched = 0
        self._read: dict[str, GgufFile] = {}

    def read(
        self, file: RepositoryFile, repository: Repository, *, digests: KnownDigests | None = None
    ) -> GgufFile:
        """Return the header of a file.

        Args:
            file: The file.
            repository: Its repository.
            digests: The known digests of files in the cache.

        Raises:
            InvalidGguf: It is not a GGUF, or is broken.
            ServerProblem: The site cannot be reached, or refuses.
        """
        if file.path not in self._read:
            self._read[file.path] = self._open(file, repository, digests)
        return self._read[file.path]

    def read_joined(
        self, variant: Variant, repository: Repository, *, digests: KnownDigests | None = None
    ) -> GgufFile:
        """Return the header of a file that was cut into pieces; raises as :meth:`read` does."""
        opened: list[RangeReader] = []

        def open_piece(number: int) -> io.RawIOBase:
            file = variant.files[number]
            if (cached := self._cached(file, repository, digests)) is not None:
                return cached.open("rb", buffering=0)
            assert self.site is not None  # noqa: S101 - without one all is cached
            info = repository.info
            opened.append(self.site.open_header(info.name, file, commit=info.commit))
            return opened[-1]

        sizes = [file.size for file in variant.files]
        with io.BufferedReader(JoinedReader(sizes, open_piece)) as stream:
            try:
                return open_gguf(stream, name=f"{variant.name}.gguf")
            finally:
                self.bytes_fetched += sum(piece.bytes_fetched for piece in opened)

    def _cached(
        self, file: RepositoryFile, repository: Repository, digests: KnownDigests | None
    ) -> Path | None:
        """Return the path of a file in the cache; ``None`` if it has to be read at its site."""
        info = repository.info
        cache = self.settings.cached(info.name, revision=repository.revision)
        path = cache.path(file.path, commit=info.commit)
        if self.site is None or (path.is_file() and _is_current(file, path, cache, digests)):
            return path
        return None

    def _open(self, file: RepositoryFile, repository: Repository, digests: KnownDigests | None) -> GgufFile:
        if (cached := self._cached(file, repository, digests)) is not None:
            return open_gguf(cached)
        assert self.site is not None  # noqa: S101 - without one all is cached
        info = repository.info
        with self.site.open_header(info.name, file, commit=info.commit) as stream:
            try:
                gguf = open_gguf(cast("BinaryIO", stream), name=file.path)
            finally:
                self.bytes_fetched += stream.bytes_fetched
        return gguf


def _is_current(
    file: RepositoryFile, path: Path, cache: CachedRepository, digests: KnownDigests | None
) -> bool:
    """Return whether the cache has this file, and not an older one of that name."""
    if cache.has_blobs:
        return True
    known = digests.of_file(path) if digests is not None else None
    return known is not None and known == file.sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A model that was found, and the open connection to its site.

    Attributes:
        model: The model.
        settings: The settings of its site.
        site: The site; ``None`` offline.
        headers: Those that were read.
    """

    model: RemoteModel
    settings: SiteSettings
    site: Site | None
    headers: Headers

    @property
    def cached(self) -> CachedRepository:
        """The cache of its repository."""
        repository = self.model.repository
        return self.settings.cached(repository.info.name, revision=repository.revision)

    def published(self, first: Shard) -> Published:
        """Read the recommendations for it; there are none offline, and none at a URL."""
        if self.site is None or isinstance(self.model.source, UrlSource):
            return Published()
        return read_published(self.site, self.model.repository, first.gguf.metadata)


@contextlib.contextmanager
def open_remote(
    source: HubSource | UrlSource,
    *,
    selection: SourceSelection,
    room: MemoryRoom | None = None,
    takes_projector: bool = True,
    projectors: Sequence[str] = (),
    draft: str | None = None,
    takes_draft: bool = True,
    version: str | None = None,
    notify: Callable[[str], None] = ignore,
) -> Iterator[Remote]:
    """Find the model that a source names, and keep the connection to its site open.

    Args:
        source: The repository with its quantization, path or revision, or the URL.
        selection: The further options of selection.
        room: The memory for models of the machine that will run it, to choose a quantization by.
        takes_projector: Whether the projector of the repository that goes with the model is used.
        projectors: Paths or names of projectors in the repository that are used instead.
        draft: Path or name of a draft in the repository that is used in any case.
        takes_draft: Whether, without it, the draft of the repository that goes with the model is used.
        version: The version of Ollama that will run it; ``None`` for the newest.
        notify: Called with a line if the site keeps us waiting.

    Raises:
        InvalidShards: The repository lacks shards of it.
        NotFound: There is no such repository, revision or model.
        ServerProblem: The site cannot be reached, or refuses.
        UsageProblem: There are several models, or the selection contradicts the source.
    """
    settings = settings_for(source)
    with open_site(settings, notify=notify) as site:
        headers = Headers(settings=settings, site=site)
        if isinstance(source, UrlSource):
            assert site is not None  # noqa: S101 - offline mode does not concern URLs
            model = _find_at_url(source, selection, site=site)
        else:
            model = _find_in_repository(
                source,
                selection,
                headers=headers,
                room=room,
                takes_projector=takes_projector,
                projectors=projectors,
                drafts=_Drafts(called=draft, takes_own=takes_draft, version=version),
            )
        yield Remote(model=model, settings=settings, site=site, headers=headers)


@contextlib.contextmanager
def reopen_remote(model: RemoteModel, *, notify: Callable[[str], None] = ignore) -> Iterator[Remote]:
    """Reconnect to the site of a model that was found; repositories are not listed again.

    Raises:
        FileChanged: A file at a URL has changed.
    """
    settings = settings_for(model.source)
    with open_site(settings, notify=notify) as site:
        if isinstance(model.source, UrlSource) and site is not None:
            again = _find_at_url(model.source, SourceSelection(), site=site)
            if again.files != model.files or again.repository.info != model.repository.info:
                raise FileChanged(f"{again.repository.info.name} changed while it was being read")
        yield Remote(model=model, settings=settings, site=site, headers=Headers(settings=settings, site=site))


def read_headers(remote: Remote, *, projectors: Sequence[Shard] = (), digests: KnownDigests) -> ModelFiles:
    """Read the headers of a model at its site, some megabytes by range requests.

    Files in the cache are read there.

    Args:
        remote: The model.
        projectors: Projectors on this machine, instead of the one in the repository.
        digests: The known digests of files in the cache.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        ServerProblem: The site cannot be reached, or refuses.
    """
    headers, repository = remote.headers, remote.model.repository

    def read(file: RepositoryFile) -> Shard:
        gguf = headers.read(file, repository, digests=digests)
        return Shard(path=Path(*PurePosixPath(file.path).parts), gguf=gguf)

    variant = remote.model.choice.variant
    if variant.is_cut:
        whole = Path(*PurePosixPath(f"{variant.name}.gguf").parts)
        gguf = headers.read_joined(variant, repository, digests=digests)
        shards = assemble([Shard(path=whole, gguf=gguf)])
    else:
        shards = assemble([read(file) for file in variant.files])
    found = tuple(require_projector(read(file)) for file in remote.model.projectors)
    drafts = tuple(read(file) for file in remote.model.drafts)
    return ModelFiles(
        model=ShardSet(shards=shards),
        projectors=(*projectors, *found),
        drafts=drafts,
        left_out=remote.model.left_out,
        origin=remote.model.origin(bytes_fetched=headers.bytes_fetched),
        published=remote.published(shards[0]),
        are_local=False,
    )


def _find_in_repository(
    source: HubSource,
    selection: SourceSelection,
    *,
    headers: Headers,
    room: MemoryRoom | None,
    takes_projector: bool,
    projectors: Sequence[str],
    drafts: _Drafts,
) -> RemoteModel:
    quant = _one_of("--quant", selection.quant, source.quant)
    file = _one_of("--file", selection.file, source.path)
    revision = _one_of("--revision", selection.revision, source.revision)
    if revision is not None and not _REVISION.fullmatch(revision):
        raise UsageProblem(f"invalid revision {revision[:80]!r}", hint="use a branch, a tag or a commit")
    repository = read_repository(
        source.repo_id, revision=revision, settings=headers.settings, site=headers.site
    )
    repository = settle(
        repository,
        read=lambda file: headers.read(file, repository),
        needs_one=quant is None and file is None,
    )
    catalogue = repository.catalogue
    if file is None and not catalogue.models and (adapters := catalogue.of_kind(Kind.ADAPTER)):
        adapter = adapters[0].files[0]
        raise adapter_refusal(Path(adapter.path), headers.read(adapter, repository).metadata)
    automatic = takes_projector and not projectors
    place = Placing(
        room=room,
        read=lambda file: headers.read(file, repository),
        projector_of=lambda model: catalogue.projector_of(model).projector if automatic else None,
    )
    choice = catalogue.choose(quant=quant, file=file, place=place)
    named = [file for name in projectors for file in catalogue.companion_called(name).files]
    found = catalogue.projector_of(choice.variant) if automatic else ProjectorChoice()
    found = _fitting(found, choice.variant, repository, headers=headers)
    draft, notes = drafts.find(choice.variant, repository, headers=headers)
    return RemoteModel(
        source=source,
        repository=repository,
        choice=choice,
        projectors=(*named, *(found.projector.files if found.projector else ())),
        drafts=draft,
        notes=tuple(filter(None, (found.note, *notes))),
        left_out=tuple(filter(None, (found.warning,))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drafts:
    """Which draft of a repository is used: the one that the user names, else the model's own if wanted."""

    called: str | None
    takes_own: bool
    version: str | None

    def find(
        self, model: Variant, repository: Repository, *, headers: Headers
    ) -> tuple[tuple[RepositoryFile, ...], list[str]]:
        """Return the draft of a model, and a line for each that is found."""
        catalogue = repository.catalogue
        if self.called is not None:
            return catalogue.companion_called(self.called).files, []
        others = (*catalogue.of_kind(Kind.MTP), *catalogue.of_kind(Kind.DRAFT))
        own = choose_draft(model, catalogue.variants) if self.takes_own and others else None
        notes = []
        for draft in others:
            path, reason = draft.files[0].path, draft.kind.value
            if draft is own:
                first = (
                    headers.read_joined(model, repository)
                    if model.is_cut
                    else headers.read(model.files[0], repository)
                )
                problem = own_draft_problem(
                    headers.read(draft.files[0], repository), model=first, version=self.version
                )
                if problem is None:
                    notes.append(f"Draft: {path} ({size(draft.n_bytes)}); --no-draft leaves it out")
                    continue
                own, reason = None, problem
            notes.append(f"Not used: {path} ({reason})")
        return () if own is None else own.files, notes


def _fitting(
    found: ProjectorChoice, model: Variant, repository: Repository, *, headers: Headers
) -> ProjectorChoice:
    """Return the choice of a projector without one that is for models of another width."""
    if found.projector is None or model.is_cut:
        return found
    first = headers.read(model.files[0], repository)
    problem = projector_problem(headers.read(found.projector.files[0], repository), model=first)
    return found if problem is None else ProjectorChoice(refused=found.projector, problem=problem)


def _find_at_url(source: UrlSource, selection: SourceSelection, *, site: Site) -> RemoteModel:
    name = public_url(source.url)
    if selection:
        raise UsageProblem(
            f"{name} is one file: --quant, --file and --revision are for repositories", hint="leave them out"
        )
    folder, _, file = name.rpartition("/")
    info = site.info(folder, revision="")
    files = tuple(site.files(folder, commit=info.commit))
    variant = Variant(kind=Kind.MODEL, name=file, quant=None, files=files)  # regardless of its name
    catalogue = Catalogue(repository=folder, variants=(variant,))
    return RemoteModel(
        source=source,
        repository=Repository(info=info, revision="", files=files, catalogue=catalogue),
        choice=Choice(variant=variant, reason="as requested"),
    )


def _one_of(option: str, given: str | None, written: str | None) -> str | None:
    if given is not None and written is not None and given != written:
        raise UsageProblem(
            f"{option} {given} contradicts SOURCE, which says {written}", hint="give only one of them"
        )
    return given if given is not None else written
