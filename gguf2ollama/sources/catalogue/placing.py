"""Where the models of a repository would run, by the header of one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import field

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.ggufio import GgufFile
from gguf2ollama.memory.context import USEFUL_CONTEXT
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.memory.placement import Model, Place, Places, place_weights
from gguf2ollama.memory.shape import read_shape
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile, Variant

__all__ = ["Placing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """A part of the weights of a model."""

    name: str
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where each model of a repository would run with a context of use.

    The quantizations of a model differ in nothing but the bytes of their weights, so one header, which is
    read when it is first needed, is enough for all. Without one the bytes of the files have to do.

    Attributes:
        room: The memory for models of the machine that will run them; ``None`` if unknown.
        read: Reads the header of a file of the repository.
        projector_of: Returns the projector that is used with one of them.
    """

    room: MemoryRoom | None
    read: Callable[[RepositoryFile], GgufFile]
    projector_of: Callable[[Variant], Variant | None] = lambda _: None
    _headers: dict[str, GgufFile | None] = field(default_factory=dict, repr=False)

    def __call__(self, variant: Variant) -> Place | None:
        """Return where a model would run; ``None`` if the memory is not known."""
        if self.room is None:
            return None
        used = self.projector_of(variant)
        projector = used.n_bytes if used is not None else 0
        # those of one base are the same model; of others nothing is known
        if variant.base not in self._headers:
            self._headers[variant.base] = self._read(variant)
        header = self._headers[variant.base]
        if header is not None:
            with contextlib.suppress(Gguf2OllamaError):
                shape = read_shape(header.metadata)
                model = Model(
                    shape=shape,
                    tensors=tuple(_weights(variant.n_bytes, header, layers=len(shape.layers))),
                    projector=(_Weights(name="projector", n_bytes=projector),),
                )
                context = min(USEFUL_CONTEXT, shape.context_length or USEFUL_CONTEXT)
                return Places(model=model, room=self.room).place(context)
        return place_weights(variant.n_bytes + projector, room=self.room)

    def _read(self, variant: Variant) -> GgufFile | None:
        with contextlib.suppress(Gguf2OllamaError):
            return self.read(variant.files[0])
        return None


def _weights(n_bytes: int, header: GgufFile, *, layers: int) -> Iterator[_Weights]:
    """Return the weights of a model of so many bytes whose tensors are as those of another quantization."""
    if header.split is None and (total := sum(tensor.n_bytes for tensor in header.tensors)):
        for tensor in header.tensors:
            yield _Weights(name=tensor.name, n_bytes=tensor.n_bytes * n_bytes // total)
        return
    for number in range(layers):  # a shard has only some of the tensors
        yield _Weights(name=f"blk.{number}.weight", n_bytes=n_bytes // layers)
