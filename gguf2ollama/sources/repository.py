"""A repository at one commit: its files, and the models among them."""

from __future__ import annotations

import contextlib

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError, NotFound
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.catalogue.selection import Catalogue
from gguf2ollama.sources.sites.settings import SiteSettings
from gguf2ollama.sources.sites.site import RepositoryInfo, Site

__all__ = ["Repository", "read_repository"]

_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".onnx", ".llamafile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at one commit.

    Attributes:
        info: What its site says of it.
        revision: What was asked for: a branch, a tag or a commit.
        files: All its files.
        catalogue: The models among them.
    """

    info: RepositoryInfo
    revision: str
    files: tuple[RepositoryFile, ...]
    catalogue: Catalogue

    @property
    def parameters(self) -> int | None:
        """The number of weights of its model; ``None`` where it is not known, or there are several models."""
        if len({variant.base for variant in self.catalogue.models}) > 1:
            return None
        return self.info.parameters or self.catalogue.parameters()


def read_repository(
    name: str, *, revision: str | None, settings: SiteSettings, site: Site | None
) -> Repository:
    """Read the list of files of a repository: from its site, or without a site from the cache.

    Raises:
        NotFound: There is no such repository or revision, or it holds no GGUF.
        ServerProblem: The site cannot be reached, or refuses.
    """
    wanted = revision or settings.default_revision
    if site is None:
        cached = settings.cached(name, revision=wanted)
        commit = cached.commit_of(wanted)
        info, files = RepositoryInfo(name=name, commit=commit), cached.files(commit=commit)
    else:
        info = site.info(name, revision=wanted)
        files = site.files(info.name, commit=info.commit)
    catalogue = Catalogue.of(files, repository=info.name)
    if not catalogue.variants:
        raise _no_gguf(info.name, files, site=site)
    return Repository(info=info, revision=wanted, files=tuple(files), catalogue=catalogue)


def _no_gguf(name: str, files: list[RepositoryFile], *, site: Site | None) -> NotFound:
    """Return the error that says what the repository holds instead, and where the site has GGUF of it."""
    kinds = sorted({ending for file in files for ending in _WEIGHTS if file.name.endswith(ending)})
    holds = (
        f"only {' and '.join(kind.removeprefix('.') for kind in kinds)}" if kinds else "nothing of the kind"
    )
    others: list[str] = []
    if site is not None:
        with contextlib.suppress(Gguf2OllamaError):
            others = site.quantized_repos(name)
    hint = "convert it with llama.cpp's convert_hf_to_gguf.py, or look for a repository with GGUF of it"
    if others:
        hint = f"these repositories carry GGUF of it: {', '.join(others)}"
    return NotFound(f"{name} has no GGUF file, {holds}", hint=hint)
