"""Look at a GGUF and decide what would be made of it; nothing is written, no server is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from gguf2ollama.errors import UsageProblem
from gguf2ollama.families import Detection, detect, load_profiles
from gguf2ollama.ggufio import HeaderPatch, PatchedView, ShardSet, chat_template_patch
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.memory.context import ModelShape, choose_context, parse_context, read_shape
from gguf2ollama.memory.hardware import free_memory_bytes
from gguf2ollama.modelfiles import Parameter, render_modelfile
from gguf2ollama.planning.layers import Image, lay_out_image
from gguf2ollama.planning.options import ModelSettings, Target
from gguf2ollama.planning.recipe import Recipe, plan_recipe
from gguf2ollama.planning.target import parse_version, target_of
from gguf2ollama.planning.template_patch import require_chat_template
from gguf2ollama.sources.local import ModelFiles
from gguf2ollama.sources.resolve import obtain_model

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gguf2ollama.planning.template_selection import Tried, Unserved
    from gguf2ollama.sources.remote import SourceSelection

__all__ = ["UPSTREAM", "Inspection", "Preferences", "inspect", "modelfile"]

UPSTREAM = "upstream"
"""The chat template of the model that a GGUF was made from, as its site has it, instead of a text."""

# what `build` does wherever it need not upload
_BUILT = Target(create_replaces_template=False, header_is_editable=True, has_companions=True)


class Preferences(TypedDict, total=False):
    """What a user may want of a model; it goes before what the GGUF and its family's profile say.

    Attributes:
        context: Tokens of the context, ``"auto"`` (the default) or ``"max"``.
        parameters: PARAMETER values; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none, ``None`` for the family's own.
        template: The TEMPLATE text.
        chat_template: A Jinja text that the model carries instead of the chat template in its header, or
            :data:`UPSTREAM`.
        licenses: LICENSE texts, instead of what the GGUF tells.
        projectors: Files of projectors (mmproj), instead of the one in the folder.
        hub: Which of the models of a repository.
    """

    context: int | str
    parameters: Sequence[Parameter]
    system: str | None
    template: str | None
    chat_template: str | None
    licenses: Sequence[str]
    projectors: Sequence[str | os.PathLike[str]]
    hub: SourceSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a GGUF is, and what would be made of it.

    Attributes:
        files: Its files: the model's shards and its projectors.
        detection: Its family, with the evidence.
        shape: What decides its memory.
        recipe: The Modelfile, with the origin of every value.
        patch: What the header of the model is to carry instead of what it does; detection and recipe are
            those of a file that carries it.
        tried: What renders its chats and how well; ``None`` where that was not tried, or nothing does.
        unserved: Why nothing does; ``None`` where something does, or that was not tried.
    """

    files: ModelFiles
    detection: Detection
    shape: ModelShape
    recipe: Recipe
    patch: HeaderPatch = UNCHANGED
    tried: Tried | None = None
    unserved: Unserved | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may surprise, one sentence each: of the recipe, and of the folder."""
        left_out = (
            f"{path.name} is an adapter and is left out, Ollama from 0.34.1 on takes none"
            for path in self.files.left_out
        )
        unserved = [str(self.unserved)] if self.unserved else []
        return (*self.recipe.warnings, *unserved, *left_out)

    @property
    def model(self) -> ShardSet:
        """The model's shards; one where it is whole."""
        return self.files.model

    def lay_out_image(self, *, takes_shards: bool) -> Image:
        """Lay out what is written; see :func:`gguf2ollama.planning.layers.lay_out_image`."""
        return lay_out_image(self.files, recipe=self.recipe, takes_shards=takes_shards, patch=self.patch)


def inspect(
    source: str | os.PathLike[str] | ModelFiles,
    *,
    target: Target | None = None,
    free_bytes: int | Literal["here"] | None = "here",
    verify: bool = True,
    **preferences: Unpack[Preferences],
) -> Inspection:
    """Read the header of a GGUF, tell its family, choose its template, and plan its recipe.

    Args:
        source: A GGUF file, any shard of one, or a folder; or the files of a model that were found already.
        target: The Ollama it is for; when not given any, for which it is built and not made by ``create``.
        free_bytes: Memory of the machine that will run it: this one's, or ``None`` where it is not known.
        verify: Whether prompts are compared with those the authors meant to choose the template, which takes
            up to a second; otherwise the detection decides.
        preferences: See :class:`Preferences`.

    Raises:
        InvalidGguf: A file is no GGUF, or a broken one.
        InvalidInput: The chat template in the file is none, or takes no conversation.
        InvalidShards: The shards are not one whole set.
        NotFound: There is no such file, or no GGUF in the folder.
        UsageProblem: The folder holds several models, the file is none that runs by itself, or the chat
            template that was given is none.
    """
    projectors = preferences.get("projectors", ())
    files = (
        source
        if isinstance(source, ModelFiles)
        else obtain_model(source, projectors=projectors, selection=preferences.get("hub"))
    )
    model = files.model
    chat_template = preferences.get("chat_template")
    if chat_template == UPSTREAM:
        chat_template = _upstream(files)
    patch = _patch(model, chat_template=chat_template)
    metadata = PatchedView(model.shards[0], patch).header().metadata if patch else model.metadata
    shape = read_shape(metadata, weight_bytes=model.total_bytes)
    context = preferences.get("context", "auto")
    detection = detect(metadata, profiles=load_profiles())
    settings = ModelSettings(
        context=choose_context(
            shape,
            parse_context(context) if isinstance(context, str) else context,
            free_bytes=free_memory_bytes() if free_bytes == "here" else free_bytes,
        ),
        parameters=tuple(preferences.get("parameters", ())),
        system=preferences.get("system"),
        template=preferences.get("template"),
        chat_template=chat_template,
        licenses=tuple(preferences.get("licenses", ())),
        published=files.published,
    )
    target = target or _BUILT
    tried, unserved = None, None
    if verify:
        from gguf2ollama.planning.template_selection import (  # noqa: PLC0415 - heavy
            Unserved,
            changed_template_patch,
            try_templates,
        )

        found = try_templates(metadata, detection=detection, settings=settings, target=target)
        tried, unserved = (None, found) if isinstance(found, Unserved) else (found, None)
        if tried is not None and (text := tried.choice.chosen.chat_template) is not None:
            changed = changed_template_patch(model.first, text, original=tried.authors.chat_template)
            patch = HeaderPatch(changes={**patch.changes, **changed.changes})
            metadata = PatchedView(model.shards[0], patch).header().metadata
    recipe = plan_recipe(
        metadata,
        detection=detection,
        sources=tuple(_written(path) for path in files.paths),
        settings=settings,
        target=target,
        projectors=len(files.projectors),
        choice=tried.choice if tried else None,
        today=datetime.now().astimezone().date(),
    )
    return Inspection(
        files=files,
        detection=detection,
        shape=shape,
        recipe=recipe,
        patch=patch,
        tried=tried,
        unserved=unserved,
    )


def modelfile(
    source: str | os.PathLike[str],
    *,
    for_ollama: str | None = None,
    verify: bool = True,
    **preferences: Unpack[Preferences],
) -> str:
    """Write the Modelfile for a GGUF, each value with where it came from; see :func:`inspect`.

    Args:
        source: As for :func:`inspect`.
        for_ollama: The version of Ollama that ``ollama create`` will be run with; when not given, the
            Modelfile is for any.
        verify: As for :func:`inspect`.
        preferences: See :class:`Preferences`.

    Raises:
        InvalidModelfile: A value holds what a Modelfile cannot carry.
        UsageProblem: ``for_ollama`` is not a version.
    """
    target = Target()
    if for_ollama is not None:
        target = target_of(parse_version(for_ollama), create_replaces_template=True, header_is_editable=False)
    inspection = inspect(source, target=target, verify=verify, **preferences)
    return render_modelfile(inspection.recipe.modelfile, comments=_comments(inspection))


def _upstream(files: ModelFiles) -> str:
    if (found := files.published.chat_template) is None:
        raise UsageProblem(
            "the base model's chat template could not be found",
            hint="give the text itself, as --chat-template FILE",
        )
    return str(found.value)


def _patch(model: ShardSet, *, chat_template: str | None) -> HeaderPatch:
    if chat_template is None:
        return UNCHANGED
    require_chat_template(chat_template)
    return chat_template_patch(model.first, chat_template)


def _comments(inspection: Inspection) -> dict[str, str]:
    recipe = inspection.recipe
    comments = {name: one.source for name, one in recipe.parameters.items() if name != "stop"}
    comments |= {f"stop={stop}": origin for stop, origin in recipe.stop_sources.items()}
    comments |= {"SYSTEM": recipe.system.source, "TEMPLATE": recipe.template.source}
    comments |= {"PARSER": recipe.parser.source, "REQUIRES": "the oldest Ollama with the parser below"}
    if recipe.companion is not None:
        comments |= {
            "TEMPLATE": f"{recipe.companion_source}. Chats are rendered with {recipe.template.source}",
            "REQUIRES": "an older Ollama would render chats with the TEMPLATE below",
        }
    notes = [f"NOTE: {warning}" for warning in inspection.warnings]
    if (tried := inspection.tried) is not None:
        parity = tried.choice.chosen.parity
        notes.insert(0, f"Predicted prompt match on Ollama {tried.version}: {parity}.")
    if (origin := inspection.files.origin) is not None:
        notes.append(
            f"NOTE: `gguf2ollama download {origin.place} --local-dir .` gets the files to where FROM is."
        )
    if inspection.model.is_split:
        notes.append("NOTE: Ollama takes the shards from 0.30 on; merge them for an older one.")
    if inspection.patch:
        notes.append(
            "NOTE: this is for a file that carries the other chat template: write it with"
            " `gguf2ollama patch-template`, and name it in FROM."
        )
    return comments | {"": "\n".join(["Made by gguf2ollama.", *notes])}


def _written(path: Path) -> str:
    """Write a path so that FROM takes it for one, relative paths from where the user is."""
    text = path.as_posix()
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"
