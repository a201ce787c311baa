"""Make a model on a server through its REST interface: upload, create, check, load, name."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import Gguf2OllamaError, NotFound, VerificationFailed
from gguf2ollama.ggufio import MergedView
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client, Regime
from gguf2ollama.progress import Progress
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.hashing import hash_opened
from gguf2ollama.usecases.readback import differences
from gguf2ollama.usecases.source import ModelFiles

__all__ = ["UploadRoute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """One file that the server gets: its name there, and what opens its bytes from their start."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRoute:
    """Everything that making one model on one server needs.

    The model is made under a temporary name and takes its own only after it was read back and loaded, so
    that a failure leaves a model that is there already as it was.
    """

    client: Client
    regime: Regime
    name: ModelName
    files: ModelFiles
    recipe: Recipe
    load: bool
    allow_mismatch: bool
    progress: Progress
    tell: Callable[[str], None]

    def run(self) -> tuple[str, ...]:
        """Make the model; give the differences between what was asked for and what the server made.

        Raises:
            ServerProblem: The server cannot be reached, or refuses.
            VerificationFailed: The server made something else, and that is not allowed.
        """
        uploaded = {piece.name: self._upload(piece) for piece in self._pieces()}
        temporary = self.name.temporary(secrets.token_hex(6))
        with self._removed_at_the_end(temporary):
            self.tell("creating the model")
            self._create(temporary, files=uploaded)
            found = differences(self.client.show(temporary), recipe=self.recipe)
            if found and not self.allow_mismatch:
                raise VerificationFailed(
                    f"the server made something else of {self.name.short}: {'; '.join(found)}",
                    hint="no model was made; --template FILE sets a template, --store DIR (the server's own"
                    " store) keeps the one in the GGUF, --allow-mismatch takes what was made",
                )
            if self.load:
                self.tell("loading the model")
                self.client.load(temporary, tokens=1)
                self.client.unload(temporary)
            self._take_name(temporary)
        return found

    def _pieces(self) -> Iterator[_Piece]:
        model = self.files.model
        if model.is_split and not self.regime.takes_shards:
            view = MergedView(model)
            yield _Piece(name=f"{model.name}.gguf", size=view.size, open=view.open)
        else:
            for shard, name in zip(model.shards, model.canonical_names, strict=True):
                yield _file_piece(shard.path, name=name, size=shard.size)
        for projector in self.files.projectors:
            yield _file_piece(projector.path, name=projector.path.name, size=projector.size)

    def _upload(self, piece: _Piece) -> Digest:
        digest = hash_opened(piece.open, name=piece.name, size=piece.size, progress=self.progress)
        self.client.upload_blob(
            piece.open, digest=digest, size=piece.size, label=piece.name, progress=self.progress
        )
        return digest

    def _create(self, name: ModelName, *, files: Mapping[str, Digest]) -> None:
        wanted = self.recipe.modelfile
        self.client.create(
            name,
            files=files,
            template=wanted.template,
            system=wanted.system,
            parameters=wanted.parameters_json(),
            messages=[{"role": one.role, "content": one.content} for one in wanted.messages],
            licenses=wanted.licenses,
        ).drain()

    def _take_name(self, temporary: ModelName) -> None:
        """Copy to the final name; what had it before is removed with its blobs, or put back on a failure."""
        backup = self.name.temporary(f"old-{secrets.token_hex(4)}")
        had_one = True
        try:
            self.client.copy(self.name, to=backup)
        except NotFound:
            had_one = False
        with self._removed_at_the_end(backup) if had_one else contextlib.nullcontext():
            # a runner of the old model would render chats of the new one with the old settings
            if had_one:
                self.client.unload(self.name)
            self.client.copy(temporary, to=self.name)

    @contextlib.contextmanager
    def _removed_at_the_end(self, name: ModelName) -> Iterator[None]:
        try:
            yield
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self.client.delete(name)


def _file_piece(path: Path, *, name: str, size: int) -> _Piece:
    def open_file() -> BinaryIO:
        with disk_errors(path):
            return path.open("rb")

    return _Piece(name=name, size=size, open=open_file)
