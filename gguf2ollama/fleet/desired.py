"""What a file of models asks for: each source is found once, for all hosts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.api.modelfile_source import expand_modelfile
from gguf2ollama.errors import Gguf2OllamaError, NotFound, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fleet.entries import Fleet, ModelEntry
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.planning.options import BuildOptions, read_keywords
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import ModelRef, fetch, resolve

if TYPE_CHECKING:
    from gguf2ollama.install.digest_cache import DigestCache
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.sources.model import ModelFiles

__all__ = ["Desired"]

_TEXT_CAP = 4 << 20


@dataclass(slots=True, kw_only=True)
class Desired:
    """A model of the file, with its source and options; used by several threads.

    Attributes:
        entry: The model in the file.
        folder: Where relative paths in the file begin.
        digests: The known digests of files.
        progress: Called with the bytes downloaded and hashed.
    """

    entry: ModelEntry
    folder: Path
    digests: DigestCache
    progress: Progress = ignore
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: tuple[ModelRef, BuildOptions] | None = None
    _fetched: ModelFiles | None = None
    _error: Gguf2OllamaError | None = None

    @classmethod
    def all_of(cls, fleet: Fleet, *, digests: DigestCache, progress: Progress = ignore) -> dict[str, Desired]:
        """Return the models of a fleet by their full names."""
        return {
            model.name.full: cls(entry=model, folder=fleet.folder, digests=digests, progress=progress)
            for model in fleet.models
        }

    def find(self, notify: Callable[[str], None] = ignore) -> tuple[ModelRef, BuildOptions]:
        """Return its source, of which only headers were read, and its options; once found, they stay.

        Raises:
            Gguf2OllamaError: The source is not found, or an option is invalid; with the place in the file.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._found is None:
                try:
                    self._found = self._find(notify)
                except Gguf2OllamaError as error:
                    self._error = placed(error, self.entry)
                    raise self._error from error
            return self._found

    def fetch(self) -> ModelFiles:
        """Return its files, downloaded if they are not on this machine; the first caller waits for it.

        Raises:
            Gguf2OllamaError: As for ``build``.
        """
        ref, _ = self.find()
        with self._lock:
            if self._fetched is None:
                self._fetched = fetch(ref, digests=self.digests, progress=self.progress)
            return self._fetched

    def forget(self) -> None:
        """Forget what was found of its source, since a file of it has changed."""
        with self._lock:
            self._found = self._fetched = None

    def hash(self, plan: BuildPlan) -> None:
        """Have the digests of the layers of a plan in the cache; each file is read once for all hosts."""
        with self._lock, Hashing(cache=self.digests, progress=self.progress) as hashing:
            hashing.digests(plan.image)

    def _find(self, notify: Callable[[str], None]) -> tuple[ModelRef, BuildOptions]:
        keywords = dict(self.entry.keywords)
        for name, file in self.entry.texts.items():
            keywords[name] = self._read(file.path)
        if "projectors" in keywords:
            keywords["projectors"] = tuple(self._local(path) or path for path in keywords["projectors"])
        keywords["name"] = self.entry.name.short
        source, expanded = expand_modelfile(self._local(self.entry.source) or self.entry.source, keywords)
        selection, options = read_keywords("plan", BuildOptions, expanded)
        options.check()
        ref = resolve(
            source,
            selection=selection or SourceSelection(),
            projectors=options.projectors,
            takes_projector=not options.no_projector,
            room=None,  # the same model on all hosts
            digests=self.digests,
            notify=notify,
        )
        return ref, options

    def _local(self, text: str) -> str | None:
        """Return the path that a text names, from the folder of the file; ``None`` for another text."""
        if "://" in text:
            return None
        try:
            path = self.folder / Path(text).expanduser()
            is_there = os.path.lexists(path)
        except (OSError, ValueError, RuntimeError):
            return None
        if is_there or text.startswith(("./", "../", "/", "~", ".\\")):
            return str(path if path.is_absolute() else Path.cwd() / path)
        return None

    def _read(self, name: str) -> str:
        path = (self.folder / name).expanduser()
        try:
            content = path.read_bytes()
            if len(content) <= _TEXT_CAP:
                return content.decode("utf-8-sig")
        except FileNotFoundError:
            raise NotFound(f"{path}: no such file", hint="correct the path in the file") from None
        except (OSError, UnicodeDecodeError):
            pass
        raise UsageProblem(f"{path} cannot be read as a text", hint="name a text file in UTF-8")


def placed(error: Gguf2OllamaError, entry: ModelEntry) -> Gguf2OllamaError:
    """Return an error of a model with its place in the file before the message."""
    error.message = f"{entry.place}: model {entry.name.short}: {error.message}"
    return error
