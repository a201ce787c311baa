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
from gguf2ollama.fs.homes import expand_home
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.ollama import ServerFeatures, ServerVersion
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
    _found: dict[str, tuple[ModelRef, BuildOptions]] = field(default_factory=dict)
    _fetched: dict[str, ModelFiles] = field(default_factory=dict)
    _errors: dict[str, Gguf2OllamaError] = field(default_factory=dict)

    @classmethod
    def all_of(cls, fleet: Fleet, *, digests: DigestCache, progress: Progress = ignore) -> dict[str, Desired]:
        """Return the models of a fleet by their full names."""
        return {
            model.name.full: cls(entry=model, folder=fleet.folder, digests=digests, progress=progress)
            for model in fleet.models
        }

    def find(
        self, version: ServerVersion, *, notify: Callable[[str], None] = ignore
    ) -> tuple[ModelRef, BuildOptions]:
        """Return its source, of which only headers were read, and its options; once found, they stay.

        Args:
            version: The version of Ollama that will run it, on which drafts depend.
            notify: Called with a line about what was found.

        Raises:
            Gguf2OllamaError: The source is not found, or an option is invalid; with the place in the file.
        """
        key = version.rules
        with self._lock:
            if key in self._errors:
                raise self._errors[key]
            if key not in self._found:
                try:
                    self._found[key] = self._find(version, notify)
                except Gguf2OllamaError as error:
                    self._errors[key] = placed(error, self.entry)
                    raise
            return self._found[key]

    def fetch(self, version: ServerVersion) -> ModelFiles:
        """Return its files, downloaded if they are not on this machine; the first caller waits for it.

        Raises:
            Gguf2OllamaError: As for ``build``.
        """
        ref, _ = self.find(version)
        with self._lock:
            if version.rules not in self._fetched:
                self._fetched[version.rules] = fetch(ref, digests=self.digests, progress=self.progress)
            return self._fetched[version.rules]

    def forget(self) -> None:
        """Forget what was found of its source, since a file of it has changed."""
        with self._lock:
            self._found.clear()
            self._fetched.clear()

    def hash(self, plan: BuildPlan) -> None:
        """Have the digests of the layers of a plan in the cache; each file is read once for all hosts."""
        with self._lock, Hashing(cache=self.digests, progress=self.progress) as hashing:
            hashing.digests(plan.image)

    def _find(self, version: ServerVersion, notify: Callable[[str], None]) -> tuple[ModelRef, BuildOptions]:
        keywords = dict(self.entry.keywords)
        for name, file in self.entry.texts.items():
            keywords[name] = self._read(file.path)
        if "projectors" in keywords:
            keywords["projectors"] = tuple(self._local(path) or path for path in keywords["projectors"])
        if keywords.get("draft"):
            keywords["draft"] = self._local(keywords["draft"]) or keywords["draft"]
        keywords["name"] = self.entry.name.short
        source, expanded = expand_modelfile(self._local(self.entry.source) or self.entry.source, keywords)
        if str(source).startswith("ollama:"):
            raise UsageProblem(
                f"{source} is a model of a server, and a file of models is for any",
                hint="name what it was made of: a file, a repository or a URL; or use pull",
            )
        selection, options = read_keywords("plan", BuildOptions, expanded)
        options.check()
        runs_drafts = ServerFeatures.of(version).runs_drafts
        if options.draft is not None and not runs_drafts:
            raise UsageProblem(
                f"Ollama {version} does not run drafts; 0.32.15 is the oldest known to",
                hint="leave out the draft on that host, or update Ollama",
            )
        ref = resolve(
            source,
            selection=selection or SourceSelection(),
            projectors=options.projectors,
            takes_projector=not options.no_projector,
            draft=options.draft,
            takes_draft=runs_drafts and not options.no_draft,
            version=version.rules,
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
            path = self.folder / expand_home(text)
            is_there = os.path.lexists(path)
        except (OSError, ValueError):
            return None
        if is_there or text.startswith(("./", "../", "/", "~", ".\\")):
            return str(path if path.is_absolute() else Path.cwd() / path)
        return None

    def _read(self, name: str) -> str:
        path = self.folder / expand_home(name)
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
