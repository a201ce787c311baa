"""What a GGUF is, and what a build would make of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families import Detection
from gguf2ollama.ggufio import HeaderPatch, ShardSet
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.memory.context import ASSUMED, ContextChoice, describe_use, judge_context
from gguf2ollama.memory.hardware import Hardware, MemoryRoom
from gguf2ollama.memory.placement import MAX_CONTEXT, Model, place_model
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.names import ModelName
from gguf2ollama.planning.layers import Image, lay_out_image
from gguf2ollama.planning.model_check import header_warnings
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.pooling import Pooling
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.stored.record import BuildRecord
from gguf2ollama.planning.target import TransportName
from gguf2ollama.sources.model import ModelFiles

if TYPE_CHECKING:
    from gguf2ollama.planning.target import TransportName
    from gguf2ollama.planning.templates.selected_template import TemplateSelection, Unsupported

__all__ = ["Inspection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a GGUF is, and what a build would make.

    Attributes:
        files: Its files: the model's shards, its projectors and its draft.
        detection: Its family, with the evidence.
        memory: What determines its memory; ``None`` if its header contradicts itself.
        room: The memory for models of the machine that will run it; ``None`` if unknown.
        context: Its context length, with the reason.
        recipe: The Modelfile, with the origin of every value.
        patch: Changes to the header of the model; detection and recipe are those of the changed file.
        selection: What renders its chats and how well; ``None`` where nothing was compared, or nothing does.
        unsupported: Why nothing does; ``None`` where something does, or nothing was compared.
        memory_problem: Why its memory is not known; empty if it is.
        missing_projector: What its chat template takes and no projector turns into tokens, a sentence; empty
            for nothing.
        pooling: How it embeds texts; ``None`` if nothing says that it does.
    """

    files: ModelFiles
    detection: Detection
    memory: Model | None
    room: MemoryRoom | None
    context: ContextChoice
    recipe: Recipe
    patch: HeaderPatch = UNCHANGED
    selection: TemplateSelection | None = None
    unsupported: Unsupported | None = None
    memory_problem: str = ""
    missing_projector: str = ""
    pooling: Pooling | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may surprise, one sentence each: of the recipe, and of the folder."""
        unsupported = [str(self.unsupported)] if self.unsupported else []
        pooling = self.pooling.warnings if self.pooling else ()
        media = [self.missing_projector] if self.missing_projector else []
        header = (*header_warnings(self.files.model.first), *pooling, *media)
        return (*self.recipe.warnings, *header, *self._memory_warnings(), *unsupported, *self.files.left_out)

    def _memory_warnings(self) -> Iterator[str]:
        if self.memory_problem:
            yield f"the memory that it takes cannot be estimated: {self.memory_problem}"
        elif self.memory is not None and not self.memory.shape.is_known:
            yield (
                f"architecture {self.memory.shape.architecture!r} is not known: its KV cache is estimated as"
                " that of attention in all layers, which is the most that it can take"
            )
        if (context := self.recipe.parameters.get("num_ctx")) is not None:
            by_option = context.source == self.context.reason
            problems = judge_context(
                int(context.value),
                source=f"--ctx {self.context.requested}" if by_option else context.source,
                model=self.memory,
                room=self.room,
                system=self.recipe.system.value or "",
            )
            yield from map(str, problems)

    @property
    def model(self) -> ShardSet:
        """The model's shards; one if it is not split."""
        return self.files.model

    def describe_context(self, name: ModelName) -> str:
        """Return which context length it has and why, a line.

        Args:
            name: The model's name.
        """
        context, number = self.context, self.recipe.parameters.get("num_ctx")
        if number is None:
            return f"Context: {context.reason}"
        if number.source != context.reason:
            why = str(number.source)
        elif context.is_recorded:
            why = f"as recorded in {name.short}: {context.reason}"
        else:
            assumed = f"; assumed: {ASSUMED}" if context.requested == "auto" and self.room is not None else ""
            why = f"{context.reason}{assumed}"
        return f"Context: {number.value:,} tokens ({why})"

    def describe_embeddings(self) -> tuple[str, ...]:
        """Return how it pools, and which texts its authors put before others, a line each."""
        if self.pooling is None or self.pooling.choice.value is None:
            return ()
        choice, prompts = self.pooling.choice, self.pooling.prompts
        how = f"Embeddings: pooling {choice.value} ({choice.source})"
        return (
            how,
            *(f"Prompt {name!r} of its authors: {text!r} before a text" for name, text in prompts.items()),
        )

    def describe_use(self, hardware: Hardware) -> str:
        """Return what of a machine is in the way of the model now, a sentence; empty if nothing is."""
        number = self.recipe.parameters.get("num_ctx")
        if number is None or self.memory is None or not 0 < int(number.value) <= MAX_CONTEXT:
            return ""
        placement = place_model(self.memory, int(number.value), room=hardware.room)
        return describe_use(placement, hardware)

    def with_records(self, *, options: ModelOptions, transport: TransportName) -> Inspection:
        """Return it with records of what it is made of, and of how its context length was chosen."""
        made = BuildRecord.of(
            self.files,
            modelfile=self.recipe.modelfile,
            patch=self.patch,
            options=options,
            transport=transport,
        )
        recipe = dataclasses.replace(self.recipe, made=made, record=self._context_record())
        return dataclasses.replace(self, recipe=recipe)

    def _context_record(self) -> str | None:
        """Return the record of the context length, unless a PARAMETER sets that."""
        number = self.recipe.parameters.get("num_ctx")
        if self.memory is None or (number is not None and number.source != self.context.reason):
            return None
        return str(
            ContextRecord(
                tokens=self.context.tokens,
                requested=str(self.context.requested),
                reason=self.context.reason,
                weights=self.memory.weights,
            )
        )

    def lay_out_image(self, *, takes_shards: bool) -> Image:
        """Return its layers; see :func:`gguf2ollama.planning.layers.lay_out_image`."""
        return lay_out_image(self.files, recipe=self.recipe, takes_shards=takes_shards, patch=self.patch)
