"""Make a model from files in a repository without a copy here: they are passed through to the server."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, Update
from gguf2ollama.install.parallel import run_parallel
from gguf2ollama.install.upload import create_model
from gguf2ollama.names import HubSource, ModelName, parse_source
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.planning.layers import Weights
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.sites.opening import open_site
from gguf2ollama.sources.sites.remote_streams import FileStream
from gguf2ollama.sources.sites.settings import settings_for
from gguf2ollama.sources.sites.site import Site

__all__ = ["StreamTransport"]

_PARALLEL = 4
_BUFFER_BYTES = 1 << 20
_DOWNLOAD = "leave out --stream to download it first"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTransport:
    """The transport from a repository through this machine to a server; existing blobs are not fetched.

    The digests are those that the site reports, and the server checks the bytes against them.

    Attributes:
        client: The server.
        plan: The plan; its files are in a repository.
        progress: Called with the bytes sent.
        notify: Called with a line for each existing blob.
    """

    client: Client
    plan: BuildPlan
    progress: Progress
    notify: Callable[[str], None]

    def make(self, name: ModelName) -> None:
        """Make the model under a name.

        Raises:
            ServerProblem: The site or the server cannot be reached, or refuses.
            UsageProblem: It needs a copy here.
        """
        sources = self._files()
        layers = self.plan.inspection.lay_out_image(takes_shards=True).weights
        with open_site(settings_for(self._source())) as site:
            if site is None:
                raise UsageProblem("--stream needs a network, and HF_HUB_OFFLINE is set", hint=_DOWNLOAD)
            digests = run_parallel(
                lambda pair, check: self._send(*pair, site=site, check=check),
                list(zip(layers, sources, strict=True)),
                most=_PARALLEL,
            )
        create_model(
            self.client,
            name,
            layers=layers,
            digests={layer.name: digest for layer, digest in zip(layers, digests, strict=True)},
            recipe=self.plan.inspection.recipe.recorded(digests),
            quantization=self.plan.inspection.files.label,
        )

    def _files(self) -> tuple[RepositoryFile, ...]:
        """Return the files in the repository; they must be usable unchanged."""
        origin = self.plan.inspection.files.origin
        if origin is None or not origin.files:
            raise UsageProblem(
                "--stream needs a repository on Hugging Face or ModelScope", hint="leave it out"
            )
        if self.plan.inspection.patch:
            raise UsageProblem("--stream cannot change the chat template in the file", hint=_DOWNLOAD)
        if self.plan.inspection.model.is_split and not self.plan.destination.features.takes_shards:
            raise UsageProblem(
                "this Ollama does not support shards, and --stream cannot merge them", hint=_DOWNLOAD
            )
        if len(self.plan.inspection.files.paths) != len(origin.files):
            raise UsageProblem("--stream cannot join the pieces of a file", hint=_DOWNLOAD)
        if any(file.sha256 is None for file in origin.files):
            raise UsageProblem("the site reports no digest for some of the files", hint=_DOWNLOAD)
        return origin.files

    def _send(self, layer: Weights, file: RepositoryFile, *, site: Site, check: Callable[[], None]) -> Digest:
        digest = Digest(file.sha256 or "")

        def report(update: Update) -> None:
            check()
            self.progress(update)

        is_sent = self.client.upload_blob(
            lambda: self._open(file, site=site),
            digest=digest,
            size=file.size,
            label=layer.name,
            progress=report,
        )
        if not is_sent:
            self.notify(f"{layer.name}: already exists (nothing fetched)")
        return digest

    def _open(self, file: RepositoryFile, *, site: Site) -> BinaryIO:
        origin = self.plan.inspection.files.origin
        assert origin is not None  # noqa: S101 - its files have an origin
        stream = FileStream(site.remote_file(self._source().repo_id, file, commit=origin.commit))
        return cast("BinaryIO", io.BufferedReader(stream, _BUFFER_BYTES))

    def _source(self) -> HubSource:
        origin = self.plan.inspection.files.origin
        source = parse_source(origin.source) if origin is not None else None
        if not isinstance(source, HubSource):
            raise UsageProblem(
                "--stream needs a repository on Hugging Face or ModelScope", hint="leave it out"
            )
        return source
