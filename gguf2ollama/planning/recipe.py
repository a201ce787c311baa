"""Decide what a GGUF becomes: pure, from its metadata to a Modelfile with the origin of every value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date
from typing import TYPE_CHECKING, Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families import Detection, Features
from gguf2ollama.families.fill_in import with_fill_in
from gguf2ollama.modelfiles import Modelfile
from gguf2ollama.planning.ends import Ends, choose_ends
from gguf2ollama.planning.parameters import (
    choose_parameters,
    parameter_lines,
    read_licenses,
    unusable_values,
    without_cutting_stops,
)
from gguf2ollama.planning.recipe_warnings import lint_warnings, recipe_warnings
from gguf2ollama.planning.settings import ModelSettings, TemplateOrigin, choose_system
from gguf2ollama.planning.stored.plan_cache import NO_CACHE, PlanCache
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import Value

if TYPE_CHECKING:
    from gguf2ollama.chat.choice.candidate import TemplateChoice
    from gguf2ollama.oci import Digest
    from gguf2ollama.planning.stored.record import BuildRecord

__all__ = ["Recipe", "plan_recipe"]

_COMPANIONS_REQUIRE = "0.30.0"  # older ones would render with a companion
_CONTINUED = "{{ .Prompt }}"
_CONTINUED_AFTER_SYSTEM = "{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}"
_RENDERERS_SINCE = "0.32.15"  # the oldest Ollama in which those of GIVEN_RENDERERS were seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a GGUF becomes.

    Attributes:
        modelfile: The Modelfile; its FROM names the files as given.
        parameters: Each PARAMETER by name (``stop``: a list) with its origin, in the order written.
        stop_sources: Where each stop string came from.
        system, template: The texts with their origins; a value of ``None`` is no layer of ours.
        companion: The TEMPLATE of the Modelfile where the chat template in the GGUF takes precedence over it;
            ``None`` for none.
        has_thinking_tags: Whether that TEMPLATE has ``/api/generate`` separate reasoning from answers.
        parser: What parses the model's answers, with its origin; a value of ``None`` is no built-in parser.
        template_origin: Whose template renders a chat.
        chat_template: The chat template in the GGUF; empty where there is none.
        is_chat_template_given: Whether the user gave that chat template.
        capabilities: What the model has to support, in the words of ``/api/show``.
        warnings: What may surprise the user, one sentence each.
        record: How its context was chosen, one line, which goes behind the licences; ``None`` for none.
        made: What it is made of, which goes before that line; ``None`` if that is not recorded.
    """

    modelfile: Modelfile
    parameters: Mapping[str, Value]
    stop_sources: Mapping[str, str]
    system: Value
    template: Value
    parser: Value
    template_origin: TemplateOrigin
    chat_template: str
    capabilities: tuple[str, ...]
    is_chat_template_given: bool = False
    companion: str | None = None
    has_thinking_tags: bool = False
    warnings: tuple[str, ...] = field(default=())
    record: str | None = None
    made: BuildRecord | None = None

    @property
    def licenses(self) -> tuple[str, ...]:
        """The LICENSE texts, and a last one with the records."""
        made = str(self.made) if self.made is not None and self.made.digest else None
        records = "\n".join(line for line in (made, self.record) if line is not None)
        return (*self.modelfile.licenses, records) if records else self.modelfile.licenses

    def recorded(self, digests: Iterable[Digest]) -> Recipe:
        """Return it with a complete record, given the digests of the layers of weights in order."""
        return self if self.made is None else dataclasses.replace(self, made=self.made.with_digests(digests))

    @property
    def companion_source(self) -> str:
        """What the companion is for, a phrase."""
        tags = " and lets /api/generate separate reasoning from answers" if self.has_thinking_tags else ""
        return f"the chat template in the GGUF precedes it; it keeps `create` from adding another{tags}"


def plan_recipe(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    sources: tuple[str, ...],
    settings: ModelSettings,
    target: Target,
    projectors: int = 0,
    drafts: tuple[str, ...] = (),
    choice: TemplateChoice | None = None,
    ends: Ends | None = None,
    today: date | None = None,
    cache: PlanCache = NO_CACHE,
) -> Recipe:
    """Decide template, system prompt, parameters and licence.

    The user's options precede what is published with the GGUF, that ``general.sampling.*`` in it, that the
    configuration of the base model, and that the family's profile.

    Args:
        metadata: The metadata of the GGUF.
        detection: Its family.
        sources: What FROM names, in order.
        settings: What the user requests and the publishers recommend.
        target: The Ollama that will run it.
        projectors: How many of the sources are projectors (mmproj).
        drafts: What DRAFT names.
        choice: The template that was chosen by comparing prompts; without it the detection decides.
        ends: How its answers end; without it, what header and family say decides.
        today: The date for a TEMPLATE that prints it, where that Ollama cannot; needed without a choice.
        cache: What was found out before.

    Raises:
        UsageProblem: The user asks for a stop that cuts its answers.
    """
    template, origin = _template(detection, settings=settings, target=target, choice=choice, today=today)
    parser, requires = _parser(choice)
    given = _given_renderer(metadata, detection=detection, target=target, origin=origin)
    if given is not None:
        template = Value(value=None, source=template.source)
    elif origin == "none" and settings.fill_in is not None and template.value is not None:
        source = f"it fills in the middle: {settings.fill_in.source}"
        template = Value(value=with_fill_in(template.value, settings.fill_in), source=source)
    renderer = None if target.create_replaces_template else given  # `create` adds it then
    if renderer is not None:
        why = f"what `create` gives architecture {metadata['general.architecture']}"
        parser = Value(value=renderer, source=why)
    companion = choice.chosen.companion if choice is not None else None
    if companion is not None:
        requires = _COMPANIONS_REQUIRE
    system = choose_system(detection, settings=settings)
    if ends is None:
        ends = choose_ends(metadata, detection=detection, settings=settings, target=target)
    stops, stop_warnings = without_cutting_stops(ends.stops, cutting=choice.cutting if choice else ())
    parameters = choose_parameters(metadata, detection=detection, settings=settings, stops=stops)
    chat_template = str(metadata.get("tokenizer.chat_template", ""))
    licenses = settings.licenses or tuple(read_licenses(metadata))
    modelfile = Modelfile(
        sources=sources,
        drafts=drafts,
        parameters=tuple(parameter_lines(parameters)),
        template=template.value if companion is None else companion,
        renderer=renderer,
        parser=parser.value,
        requires=requires,
        system=system.value,
        licenses=licenses,
        messages=settings.messages,
    )
    return Recipe(
        modelfile=modelfile,
        parameters=parameters,
        stop_sources=stops,
        system=system,
        template=template,
        parser=parser,
        template_origin=origin,
        chat_template=chat_template,
        is_chat_template_given=settings.chat_template is not None,
        companion=companion,
        has_thinking_tags=choice is not None and choice.chosen.has_thinking_tags,
        capabilities=tuple(
            _capabilities(
                _features(detection, template=template.value, origin=origin, choice=choice),
                detection=detection,
                target=target,
                projectors=projectors,
                inserts=_inserts(template.value, choice),
            )
        ),
        warnings=(
            *recipe_warnings(
                metadata,
                detection=detection,
                origin=origin,
                target=target,
                settings=settings,
                choice=choice,
                renderer=given,
            ),
            *unusable_values(metadata),
            *ends.warnings,
            *stop_warnings,
            *lint_warnings(
                modelfile if companion is None else dataclasses.replace(modelfile, template=None),
                chat_template=chat_template,
                is_template_given=origin == "user",
                cache=cache,
            ),
        ),
    )


def _template(
    detection: Detection,
    *,
    settings: ModelSettings,
    target: Target,
    choice: TemplateChoice | None,
    today: date | None,
) -> tuple[Value, TemplateOrigin]:
    if (given := settings.given_template) is not None:
        parity = "" if choice is None else f": {choice.chosen.parity}"
        return Value(value=given.value, source=f"{given.source}{parity}"), "user"
    if detection.kind == "embedding":
        return Value(value=None, source="not needed for an embedding model"), "none"
    if choice is not None:
        source = f"{choice.reason}{settings.chat_template_note}"
        return Value(value=choice.chosen.go_template, source=source), choice.chosen.origin
    if (text := detection.go_template) is not None:
        assert detection.profile is not None  # noqa: S101 - a detection renders only a profile
        if target.version is not None and today is not None and not target.native_templates:
            from gguf2ollama.ollama_template import adapt  # noqa: PLC0415 - for older Ollama alone

            text = adapt(text, version=target.version, today=today).text
        if settings.fill_in is not None and (settings.fill_in.is_certain or settings.prefers_insert):
            text = with_fill_in(text, settings.fill_in) or text
        return Value(value=text, source=f"profile {detection.profile.family}: {detection.reason}"), "profile"
    if detection.kind == "chat" and target.native_templates:
        return Value(
            value=None,
            source=f"the chat template in the GGUF{settings.chat_template_note}; {detection.reason}",
        ), "native"
    continued = _CONTINUED_AFTER_SYSTEM if settings.system else _CONTINUED
    # without a TEMPLATE, llama.cpp renders chats of a base model as ChatML
    return Value(value=continued if detection.kind == "base" else None, source=detection.reason), "none"


def _parser(choice: TemplateChoice | None) -> tuple[Value, str | None]:
    """Return the built-in parser of answers, and the oldest Ollama that has it."""
    if choice is None or (parser := choice.chosen.parser) is None:
        return Value(value=None, source="the renderer determines how Ollama parses answers"), None
    what = "tool calls and reasoning" if parser.thinks else "tool calls"
    why = f"it parses {what} in the format of the model's chat template"
    return Value(value=parser.name, source=why), parser.since


def _given_renderer(
    metadata: Mapping[str, Any], *, detection: Detection, target: Target, origin: TemplateOrigin
) -> str | None:
    """Return the built-in renderer that ``create`` gives a model without a chat template, or ``None``."""
    if origin != "none" or detection.kind != "base" or not target.native_templates:
        return None
    from gguf2ollama.gotmpl.versions import is_since  # noqa: PLC0415
    from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS  # noqa: PLC0415 - for few models

    is_known = target.version is None or is_since(target.version, _RENDERERS_SINCE)
    return GIVEN_RENDERERS.get(str(metadata.get("general.architecture", ""))) if is_known else None


def _features(
    detection: Detection, *, template: str | None, origin: TemplateOrigin, choice: TemplateChoice | None
) -> Features:
    """Return what the model supports by its template."""
    if choice is not None:
        can = choice.chosen.capabilities
        return Features(tools="tools" in can, thinking="thinking" in can)
    if origin == "native":
        return detection.features
    if origin == "profile" and detection.profile is not None:
        return detection.profile.claims
    return Features(tools=template is not None and re.search(r"\.Tools\b", template) is not None)


def _reports_thinking(target: Target) -> bool:
    """Return whether that Ollama has the capability ``thinking``."""
    if target.native_templates or target.version is None:
        return True
    from gguf2ollama.gotmpl.versions import dialect  # noqa: PLC0415 - for older Ollama alone

    return dialect(target.version).has_thinking


def _inserts(template: str | None, choice: TemplateChoice | None) -> bool:
    """Return whether the model fills in the middle."""
    if choice is not None:
        return choice.chosen.inserts
    return template is not None and re.search(r"\.Suffix\b", template) is not None


def _capabilities(
    can: Features, *, detection: Detection, target: Target, projectors: int, inserts: bool
) -> Iterator[str]:
    if detection.kind == "embedding":
        yield "embedding"
        return
    yield "completion"
    if can.tools:
        yield "tools"
    if can.thinking and _reports_thinking(target):
        yield "thinking"
    if inserts:
        yield "insert"
    if projectors:
        yield "vision"
