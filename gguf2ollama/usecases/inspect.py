"""Look at a GGUF and decide what would be made of it; nothing is written, no server is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from gguf2ollama.detect import Detection, detect, load_profiles
from gguf2ollama.ggufio import ShardSet
from gguf2ollama.host import free_memory_bytes
from gguf2ollama.memory import ModelShape, choose_context, parse_context, read_shape
from gguf2ollama.modelfiles import Parameter, render_modelfile
from gguf2ollama.recipe import Recipe, Target, Wishes, plan_recipe
from gguf2ollama.usecases.source import ModelFiles, find_model

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Inspection", "Preferences", "inspect", "modelfile"]


class Preferences(TypedDict, total=False):
    """What a user may want of a model; it goes before what the GGUF and its family's profile say.

    Attributes:
        context: Tokens of the context, ``"auto"`` (the default) or ``"max"``.
        parameters: PARAMETER values; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none, ``None`` for the family's own.
        template: The TEMPLATE text.
        licenses: LICENSE texts, instead of what the GGUF tells.
        projectors: Files of projectors (mmproj), instead of the one in the folder.
    """

    context: int | str
    parameters: Sequence[Parameter]
    system: str | None
    template: str | None
    licenses: Sequence[str]
    projectors: Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a GGUF is, and what would be made of it.

    Attributes:
        files: Its files: the model's shards and its projectors.
        detection: Its family, with the evidence.
        shape: What decides its memory.
        recipe: The Modelfile, with the origin of every value.
    """

    files: ModelFiles
    detection: Detection
    shape: ModelShape
    recipe: Recipe

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may surprise, one sentence each: of the recipe, and of the folder."""
        left_out = (
            f"{path.name} is an adapter and is left out, Ollama from 0.34.1 on takes none"
            for path in self.files.left_out
        )
        return (*self.recipe.warnings, *left_out)

    @property
    def model(self) -> ShardSet:
        """The model's shards; one where it is whole."""
        return self.files.model


def inspect(
    source: str | os.PathLike[str],
    *,
    target: Target | None = None,
    free_bytes: int | Literal["here"] | None = "here",
    **preferences: Unpack[Preferences],
) -> Inspection:
    """Read the header of a GGUF, tell its family, and plan its recipe.

    Args:
        source: A GGUF file, any shard of one, or a folder.
        target: The Ollama it is for; any, when not given.
        free_bytes: Memory of the machine that will run it: this one's, or ``None`` where it is not known.
        preferences: See :class:`Preferences`.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        InvalidShards: The shards are not one whole set.
        NotFound: There is no such file, or no GGUF in the folder.
        UsageProblem: The folder holds several models, or the file is none that runs by itself.
    """
    files = find_model(source, projectors=preferences.get("projectors", ()))
    model = files.model
    shape = read_shape(model.metadata, weight_bytes=model.total_bytes)
    context = preferences.get("context", "auto")
    detection = detect(model.metadata, profiles=load_profiles())
    recipe = plan_recipe(
        model.metadata,
        detection=detection,
        sources=tuple(_written(path) for path in files.paths),
        wishes=Wishes(
            context=choose_context(
                shape,
                parse_context(context) if isinstance(context, str) else context,
                free_bytes=free_memory_bytes() if free_bytes == "here" else free_bytes,
            ),
            parameters=tuple(preferences.get("parameters", ())),
            system=preferences.get("system"),
            template=preferences.get("template"),
            licenses=tuple(preferences.get("licenses", ())),
        ),
        target=target or Target(),
        projectors=len(files.projectors),
    )
    return Inspection(files=files, detection=detection, shape=shape, recipe=recipe)


def modelfile(source: str | os.PathLike[str], **preferences: Unpack[Preferences]) -> str:
    """Write the Modelfile for a GGUF, each value with where it came from; see :func:`inspect`.

    Raises:
        InvalidModelfile: A value holds what a Modelfile cannot carry.
    """
    inspection = inspect(source, **preferences)
    return render_modelfile(inspection.recipe.modelfile, comments=_comments(inspection))


def _comments(inspection: Inspection) -> dict[str, str]:
    recipe = inspection.recipe
    comments = {name: one.source for name, one in recipe.parameters.items() if name != "stop"}
    comments |= {f"stop={stop}": origin for stop, origin in recipe.stop_sources.items()}
    comments |= {"SYSTEM": recipe.system.source, "TEMPLATE": recipe.template.source}
    notes = [f"NOTE: {warning}" for warning in inspection.warnings]
    if inspection.model.is_split:
        notes.append("NOTE: Ollama takes the shards from 0.30 on; merge them for an older one.")
    return comments | {"": "\n".join(["Made by gguf2ollama.", *notes])}


def _written(path: Path) -> str:
    """Write a path so that FROM takes it for one, relative paths from where the user is."""
    text = path.as_posix()
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"
