"""What all engines have in common once a model is loaded."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama.engines.settings import EngineName
from gguf2ollama.ollama.responses import Chunk

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Engine", "EngineMemory", "LoadReport", "LoadedModel", "Texts"]

Texts = Sequence[Mapping[str, str]]
"""The messages of a chat: ``role`` (``system``, ``user``, ``assistant``) and ``content`` of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """The memory of an engine's process, in bytes.

    Attributes:
        resident: What of its memory is in RAM, pages of mapped files included.
        peak: The most that was; ``None`` where the system does not say.
        own: What of ``resident`` is its own, without pages of files; ``None`` where the system does not say.
        gpu: What it has on GPUs; ``None`` where no driver says.
    """

    resident: int
    peak: int | None = None
    own: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """How a model was loaded.

    Attributes:
        engine: The engine.
        library: What loaded it, with its version.
        context: Tokens of its context.
        gpu_layers: Layers on GPUs, the output counted as one; ``None`` if the engine chose and does not say.
        devices: The GPUs that the engine sees.
        seconds: How long it took, the start of the process not counted.
        before: The memory of the process with the library imported and no model.
        after: Its memory with the model loaded.
        reported: What a server says that the model takes (``/api/ps``), in bytes; ``None`` without a server.
    """

    engine: EngineName
    library: str
    context: int
    gpu_layers: int | None
    devices: tuple[str, ...]
    seconds: float
    before: EngineMemory
    after: EngineMemory
    reported: int | None = None


class Engine(Protocol):
    """A model that an engine has loaded; a context manager that unloads it."""

    @property
    def report(self) -> LoadReport:
        """How it was loaded."""

    def prompt(self, messages: Texts, *, think: bool | None = None) -> str:
        """Return the prompt that a chat becomes."""

    def chat(
        self, messages: Texts, *, options: Mapping[str, object] | None = None, think: bool | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate the next message of a chat; a caller that stops reading ends the answer.

        Args:
            messages: The chat so far.
            options: How tokens are sampled, by the names of Ollama's parameters.
            think: Whether to reason first; the model's template decides when not given.
        """

    def generate(
        self, prompt: str, *, options: Mapping[str, object] | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate what follows a text, which is not put into a template."""

    def memory(self) -> EngineMemory:
        """Return the memory of the engine's process now."""

    def unload(self) -> None:
        """Take the model out of memory, and end the process."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LoadedModel:
    """What models in engines have alike: they say how they were loaded, and a ``with`` block unloads them."""

    _report: LoadReport

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    @property
    def report(self) -> LoadReport:
        """How it was loaded."""
        return self._report

    def unload(self) -> None:
        """Take the model out of memory, and end the process."""
        raise NotImplementedError
