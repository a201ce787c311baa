"""Plan what a GGUF becomes, from headers alone: its family, what renders its chats, and its recipe."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.families import Detection
from gguf2ollama.families.fill_in import FillIn, find_fill_in
from gguf2ollama.ggufio import GgufFile, HeaderPatch, Metadata, PatchedView, ShardSet, chat_template_patch
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE, UNCHANGED, chat_template_variants
from gguf2ollama.ggufio.reader import SPLIT_KEYS
from gguf2ollama.memory.context import choose_context
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.memory.placement import NEWEST_BUILD, Model
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.planning.ends import choose_ends
from gguf2ollama.planning.inspection import Inspection
from gguf2ollama.planning.model_check import repair_types, require_language_model
from gguf2ollama.planning.options import UPSTREAM, ModelOptions
from gguf2ollama.planning.pooling import Pooling, choose_pooling
from gguf2ollama.planning.recipe import plan_recipe
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.stored.choice_form import choice_form, fill_in_form
from gguf2ollama.planning.stored.plan_cache import NO_CACHE, PlanCache
from gguf2ollama.planning.stored.value_json import Forms
from gguf2ollama.planning.target import NEWEST_TESTED, Target
from gguf2ollama.planning.templates.template_patch import changed_template_patch, require_chat_template
from gguf2ollama.sources.drafts import has_mtp_layers, runs_mtp_layers
from gguf2ollama.sources.model import ModelFiles, Value

if TYPE_CHECKING:
    from gguf2ollama.chat.reference import Renderer
    from gguf2ollama.planning.stored.choice_form import Choice

__all__ = ["plan_model"]

# what `build` does unless it uploads
_BUILT = Target(create_replaces_template=False, header_is_editable=True, has_companions=True)

_DRAFT_TOKENS = 4  # as Ollama sets it for a draft layer (api/types.go of 0.34.4)


def plan_model(
    files: ModelFiles,
    *,
    options: ModelOptions,
    target: Target | None = None,
    room: MemoryRoom | None,
    recorded: ContextRecord | None = None,
    renderer: Renderer | None = None,
    cache: PlanCache = NO_CACHE,
) -> Inspection:
    """Detect the family of a model, select what renders its chats, and plan its recipe.

    Args:
        files: The model; headers are enough.
        options: The options.
        target: The Ollama that it is for; when not given, any to which it is not uploaded.
        room: The memory for models of the machine that will run it; ``None`` where it is not known.
        recorded: How the context of the model that it replaces was chosen.
        renderer: Renders the chat template; one for this call when not given.
        cache: What was found out before.

    Raises:
        InvalidGguf: The file is not a language model that llama.cpp loads.
        InvalidInput: The chat template in the file is invalid, or rejects every conversation.
        UsageProblem: The file is not a model of its own, or the chat template given is invalid.
    """
    model = files.model
    require_language_model(model)
    target = target or _BUILT
    chat_template = _upstream(files) if options.chat_template == UPSTREAM else options.chat_template
    pooling = choose_pooling(files, requested=options.pooling)
    patch = _patch(model, pooling=pooling, chat_template=chat_template, target=target)
    metadata = PatchedView(model.shards[0], patch).header().metadata if patch else model.metadata
    published = files.published
    if published.template is not None and options.template is None:
        from gguf2ollama.planning.published_template import without_useless_template  # noqa: PLC0415 - rare

        published = without_useless_template(
            published,
            chat_template=str(metadata.get(CHAT_TEMPLATE, "")) if target.native_templates else "",
            version=target.version or NEWEST_TESTED,
            cache=cache,
        )
    asked = ModelSettings(  # but those on which no choice depends
        parameters=options.parameters,
        system=options.system,
        template=options.template,
        chat_template=chat_template,
        published=published,
        exact=options.exact,
        fill_in=_fill_in(files, metadata, pooling=pooling, is_wanted=options.fim, cache=cache),
        prefers_insert=options.fim,
    )
    asked, changed = _with_given_texts(
        asked, gguf=model.first, metadata=metadata, target=target, renderer=renderer
    )
    written = metadata
    if changed:
        patch = HeaderPatch(changes={**patch.changes, **changed.changes})
        written = PatchedView(model.shards[0], patch).header().metadata
    if asked.template is None:  # a TEMPLATE is compared with the chat template that it replaces
        metadata = written

    def choose() -> Choice:
        return _choose(metadata, settings=asked, target=target, compares=options.verify, renderer=renderer)

    inputs = ("choice", metadata.digest(), options.verify, asked, target)
    detection, found = cache.recall(inputs, choose, form=choice_form)
    metadata = written
    memory, memory_problem = _read_memory(files, metadata, detection, target)
    context = choose_context(memory, options.context_tokens, room=room, recorded=recorded)
    settings = dataclasses.replace(
        asked,
        context=context,
        licenses=options.licenses,
        messages=options.messages,
        draft_tokens=None if options.no_draft else _draft_tokens(files, target),
    )
    selection, unsupported = None, None
    if found is not None:
        from gguf2ollama.planning.templates.selected_template import Unsupported  # noqa: PLC0415 - if chats are compared

        selection, unsupported = (None, found) if isinstance(found, Unsupported) else (found, None)
    if selection is not None and (text := selection.choice.chosen.chat_template) is not None:
        changed = changed_template_patch(model.first, text, original=selection.authors.chat_template)
        patch = HeaderPatch(changes={**patch.changes, **changed.changes})
        metadata = PatchedView(model.shards[0], patch).header().metadata
    if selection is not None:
        ends = selection.ends
    else:
        ends = choose_ends(metadata, detection=detection, settings=settings, target=target)
    if ends.patch:
        patch = HeaderPatch(changes={**patch.changes, **ends.patch.changes})
    recipe = plan_recipe(
        metadata,
        detection=detection,
        sources=tuple(_written(shard.path) for shard in (*files.model.shards, *files.projectors)),
        drafts=tuple(_written(draft.path) for draft in files.drafts),
        settings=settings,
        target=target,
        projectors=len(files.projectors),
        choice=selection.choice if selection else None,
        ends=ends,
        today=datetime.now().astimezone().date(),
        cache=cache,
    )
    return Inspection(
        files=files,
        detection=detection,
        memory=memory,
        room=room,
        context=context,
        recipe=recipe,
        patch=patch,
        selection=selection,
        unsupported=unsupported,
        memory_problem=memory_problem,
        missing_projector="" if options.no_projector else _missing_projector(files, metadata, cache),
        pooling=pooling,
    )


def _with_given_texts(
    settings: ModelSettings,
    *,
    gguf: GgufFile,
    metadata: Mapping[str, Any],
    target: Target,
    renderer: Renderer | None,
) -> tuple[ModelSettings, HeaderPatch]:
    """Have the TEMPLATE that the user gives used, and no system prompt where that is to be empty."""
    if settings.template is not None:
        from gguf2ollama.planning.templates.given_template import with_template_used  # noqa: PLC0415 - rare

        return with_template_used(settings, gguf=gguf, metadata=metadata, target=target)
    if settings.system == "":
        from gguf2ollama.planning.templates.default_system import without_default_system  # noqa: PLC0415 - rare

        return without_default_system(
            settings, gguf=gguf, metadata=metadata, target=target, renderer=renderer
        )
    return settings, UNCHANGED


def _missing_projector(files: ModelFiles, metadata: Mapping[str, Any], cache: PlanCache) -> str:
    """Return what the chat template of a model takes that it does not see without a projector."""
    text = metadata.get(CHAT_TEMPLATE)
    is_inside = any(tensor.name.startswith(("v.", "a.")) for tensor in files.model.tensors)
    if files.projectors or is_inside or not isinstance(text, str):
        return ""

    def find() -> tuple[str, ...]:
        from gguf2ollama.jinja import shows_media  # noqa: PLC0415 - most templates are text alone

        return shows_media(text)

    kinds = cache.recall(("media", text), find, form=lambda: Forms().of(tuple[str, ...]))
    if not kinds:
        return ""
    what = " and ".join({"image": "images"}.get(kind, kind) for kind in kinds)
    where = files.origin.repository if files.origin is not None else ""
    place = f"{where} has no mmproj file for it" if where else "there is no mmproj file in its directory"
    return (
        f"the chat template takes {what}, but {place}, so they do not reach the model; if it was made for"
        " them, get the mmproj file from the repository of the model, and use it with --mmproj FILE"
    )


def _draft_tokens(files: ModelFiles, target: Target) -> Value | None:
    """Return how many tokens the MTP layers in a model predict at a time; ``None`` for a model without.

    They are run only if the parameter is set, and a draft layer goes before them (``modelOptions`` in
    ``server/routes.go`` and ``NewLlamaServerRunner`` in ``llm/llama_server.go`` of 0.34.4).
    """
    first, *others = (shard.gguf for shard in files.model.shards)
    if files.drafts or not has_mtp_layers(first, others=others):
        return None
    if not runs_mtp_layers(str(first.metadata.get("general.architecture")), version=target.version):
        return None
    return Value(value=_DRAFT_TOKENS, source="the model has MTP layers (nextn_predict_layers)")


def _choose(
    metadata: Mapping[str, Any],
    *,
    settings: ModelSettings,
    target: Target,
    compares: bool,
    renderer: Renderer | None,
) -> Choice:
    """Detect the family of a model, and select what renders its chats if they are compared."""
    from gguf2ollama.families import detect, load_profiles  # noqa: PLC0415 - most plans recall a choice

    if not compares:
        return detect(metadata, profiles=load_profiles()), None
    from gguf2ollama.chat.reference import Renderer  # noqa: PLC0415 - as above

    with Renderer() if renderer is None else contextlib.nullcontext(renderer) as running:
        if CHAT_TEMPLATE in metadata:
            running.begin()  # it takes a twentieth of a second, in which the family is detected
        detection = detect(metadata, profiles=load_profiles())
        from gguf2ollama.planning.templates.template_selection import select_template  # noqa: PLC0415 - as above

        return detection, select_template(
            metadata, detection=detection, settings=settings, target=target, renderer=running
        )


def _read_memory(
    files: ModelFiles, metadata: Mapping[str, Any], detection: Detection, target: Target
) -> tuple[Model | None, str]:
    """Return what determines the memory of a model, or why that is not known."""
    beside = (*files.projectors, *files.drafts)  # a draft's weights count as well, its cache is small
    projector = [tensor for shard in beside for tensor in shard.gguf.tensors]
    is_embedding = detection.kind == "embedding"
    try:
        memory = Model.read(
            metadata,
            files.model.tensors,
            projector=projector,
            is_embedding=is_embedding,
            build=NEWEST_BUILD if target.version is None else target.llama_cpp_build,
        )
    except InvalidGguf as error:
        return None, str(error)
    return memory, ""


def _upstream(files: ModelFiles) -> str:
    if (found := files.published.chat_template) is None:
        raise UsageProblem(
            "the base model's chat template could not be found",
            hint="give it with --chat-template FILE",
        )
    return str(found.value)


def _patch(
    model: ShardSet, *, pooling: Pooling | None, chat_template: str | None, target: Target
) -> HeaderPatch:
    patch = repair_types(model.first)
    if model.shards[0].has_left_over_split:
        patch = HeaderPatch(changes={**patch.changes, **dict.fromkeys(SPLIT_KEYS)})
    if patch and not target.header_is_editable:
        keys = ", ".join(patch.changes)
        raise InvalidGguf(
            f"{model.first.name}: llama.cpp does not read it with {keys} as they are",
            hint="use `gguf2ollama build` without --stream, which changes them in the header",
        )
    if pooling is not None and pooling.patch:
        if not target.header_is_editable:
            raise UsageProblem(
                f"{model.first.name}: Ollama embeds with it only if its header has {pooling.key}",
                hint="use `gguf2ollama build` without --stream, which writes the header",
            )
        patch = HeaderPatch(changes={**patch.changes, **pooling.patch.changes})
    if chat_template is None:
        named = _named_template(model.first) if target.header_is_editable else UNCHANGED
        return HeaderPatch(changes={**patch.changes, **named.changes})
    require_chat_template(chat_template)
    return HeaderPatch(changes={**patch.changes, **chat_template_patch(model.first, chat_template).changes})


def _named_template(gguf: GgufFile) -> HeaderPatch:
    """Make a named chat template the default where there is none: Ollama looks for that one alone."""
    names = chat_template_variants(gguf)
    if CHAT_TEMPLATE in gguf.metadata or not names:
        return UNCHANGED
    name = "tool_use" if "tool_use" in names else names[0]  # as llama.cpp does
    text = gguf.metadata.get(f"{CHAT_TEMPLATE}.{name}")
    return chat_template_patch(gguf, text, keep_variants=True) if isinstance(text, str) else UNCHANGED


def _fill_in(
    files: ModelFiles, metadata: Metadata, *, pooling: Pooling | None, is_wanted: bool, cache: PlanCache
) -> FillIn | None:
    """Return how a model fills in the middle.

    Raises:
        UsageProblem: The user wants that of a model that has no tokens for it.
    """
    tags, names = files.published.tags, files.names
    found = None
    if pooling is None or pooling.choice.value is None:
        found = cache.recall(  # of 150,000 tokens, those that are special take 20 ms
            ("fill in", metadata.digest(), tags, names),
            lambda: find_fill_in(metadata, tags=tags, names=names),
            form=fill_in_form,
        )
    if is_wanted and found is None:
        raise UsageProblem(
            f"{files.model.first.name} has no tokens to fill in the middle with",
            hint="leave out --fim, or use --template FILE with a TEMPLATE that prints {{ .Suffix }}",
        )
    return found


def _written(path: Path) -> str:
    """Return a path as FROM needs it: a relative one begins with a dot."""
    text = path.as_posix()
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"
