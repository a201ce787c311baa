"""Decide what is made of a GGUF: pure, from its metadata to a Modelfile with the origin of every value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.families import Detection, Features, stops_for
from gguf2ollama.modelfiles import Modelfile, Parameter, lint
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import Value

if TYPE_CHECKING:
    from gguf2ollama.chat.candidate import TemplateChoice

__all__ = ["Recipe", "TemplateOrigin", "plan_recipe", "system_text"]

TemplateOrigin: TypeAlias = Literal["user", "native", "patched", "profile", "synthesised", "none"]

# keys of llama.cpp's `general.sampling.*` (llama-arch.cpp) and the PARAMETER that means the same
_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
}
_ASKED = "--param"
_COMPANIONS_REQUIRE = "0.30.0"  # older ones would render with a companion
_RENDERERS_SINCE = "0.32.15"  # the oldest Ollama in which those of GIVEN_RENDERERS were seen
_NAMED = 3  # conversations that a warning names
_WITHOUT_PARAMETER = (
    "sequence",
    "xtc_probability",
    "xtc_threshold",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What will be made of a GGUF.

    Attributes:
        modelfile: The Modelfile; its FROM names the files as given.
        parameters: Each PARAMETER by name (``stop``: a list) with its origin, in the order written.
        stop_sources: Where each stop string came from.
        system, template: The texts with their origins; a value of ``None`` is no layer of ours.
        companion: The TEMPLATE that the server passes over for the chat template in the GGUF; ``None`` for
            none. The Modelfile has it as its TEMPLATE.
        has_thinking_tags: Whether that TEMPLATE has ``/api/generate`` take thoughts out of answers.
        parser: What reads the model's answers, with its origin; a value of ``None`` is no built-in parser.
        template_origin: Whose template renders a chat.
        chat_template: The chat template in the GGUF, or nothing.
        is_chat_template_given: Whether the user gave that chat template.
        capabilities: What the model must be able to do once it is made, as ``/api/show`` names it.
        warnings: What may surprise the user, one sentence each.
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

    @property
    def companion_source(self) -> str:
        """What the companion is for, a phrase."""
        tags = " and has /api/generate take thoughts out of answers" if self.has_thinking_tags else ""
        return f"passed over for the chat template in the GGUF; it keeps `create` from adding another{tags}"


def plan_recipe(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    sources: tuple[str, ...],
    settings: ModelSettings,
    target: Target,
    projectors: int = 0,
    choice: TemplateChoice | None = None,
    today: date | None = None,
) -> Recipe:
    """Decide template, system text, parameters and licence.

    The user's wish goes before what is published beside the GGUF, that before ``general.sampling.*`` in it,
    that before the configuration of the model it was made from, and that before the family's profile.

    Args:
        metadata: The metadata of the GGUF.
        detection: What it is.
        sources: What FROM names, in order.
        settings: What the user asked for.
        target: The Ollama that will run it.
        projectors: How many of the sources are projectors (mmproj).
        choice: The template that was chosen by trying; without it the detection decides.
        today: The day that a TEMPLATE tells where that Ollama has none for it; needed without a choice.

    Raises:
        UsageProblem: The file is no model that Ollama could run by itself, or the user asks for a stop that
            cuts its answers.
    """
    _refuse_parts(detection)
    template, origin = _template(detection, settings=settings, target=target, choice=choice, today=today)
    parser, requires = _parser(choice)
    given = _given_renderer(metadata, detection=detection, target=target, origin=origin)
    renderer = None if target.create_replaces_template else given  # `create` adds it then
    if renderer is not None:
        why = f"what `create` gives architecture {metadata['general.architecture']}"
        parser = Value(value=renderer, source=why)
    companion = choice.chosen.companion if choice is not None else None
    if companion is not None:
        requires = _COMPANIONS_REQUIRE
    system = system_text(detection, settings=settings)
    stops = _stops(metadata, detection=detection, settings=settings)
    stops, left_out = _without_cutting(stops, cutting=choice.cutting if choice else ())
    parameters = dict(_parameters(metadata, detection=detection, settings=settings, stops=stops))
    chat_template = str(metadata.get("tokenizer.chat_template", ""))
    licenses = settings.licenses or tuple(_licenses(metadata))
    modelfile = Modelfile(
        sources=sources,
        parameters=tuple(_written(parameters)),
        template=template.value if companion is None else companion,
        renderer=renderer,
        parser=parser.value,
        requires=requires,
        system=system.value,
        licenses=licenses,
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
            )
        ),
        warnings=(
            *_warnings(
                metadata,
                detection=detection,
                origin=origin,
                target=target,
                settings=settings,
                choice=choice,
                renderer=given,
            ),
            *left_out,
            *_faults(
                modelfile if companion is None else dataclasses.replace(modelfile, template=None),
                chat_template=chat_template,
            ),
        ),
    )


def _refuse_parts(detection: Detection) -> None:
    if detection.kind == "adapter":
        raise UsageProblem(
            f"{detection.reason}; Ollama 0.34.1 and later do not support adapters",
            hint="merge it into its base model with llama.cpp's llama-export-lora, and build the result",
        )
    if detection.kind == "projector":
        raise UsageProblem(
            detection.reason, hint="name the model itself; a projector in the same folder comes along"
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
        told = "" if choice is None else f": {choice.chosen.parity}"
        return Value(value=given.value, source=f"{given.source}{told}"), "user"
    if detection.kind == "embedding":
        return Value(value=None, source="an embedding model has no chat"), "none"
    if choice is not None:
        told = "" if settings.chat_template is None else "; --chat-template put it there"
        return Value(value=choice.chosen.go_template, source=f"{choice.reason}{told}"), choice.chosen.origin
    if (text := detection.go_template()) is not None:
        assert detection.profile is not None  # noqa: S101 - a detection renders only a profile
        if target.version is not None and today is not None and not target.native_templates:
            from gguf2ollama.ollama_template import fit  # noqa: PLC0415 - for older Ollama alone

            text = fit(text, version=target.version, today=today).text
        return Value(value=text, source=f"profile {detection.profile.family}: {detection.reason}"), "profile"
    if detection.kind == "chat" and target.native_templates:
        return Value(value=None, source=f"the {_carried(settings)}; {detection.reason}"), "native"
    return Value(value=None, source=detection.reason), "none"


def _parser(choice: TemplateChoice | None) -> tuple[Value, str | None]:
    """Return what reads the answers, and the oldest Ollama that has it."""
    if choice is None or (parser := choice.chosen.parser) is None:
        return Value(value=None, source="the renderer determines how Ollama parses answers"), None
    why = (
        "it takes the model's calls of tools"
        + (" and its thoughts" if parser.thinks else "")
        + " apart as its chat template writes them"
    )
    return Value(value=parser.name, source=why), parser.since


def _given_renderer(
    metadata: Mapping[str, Any], *, detection: Detection, target: Target, origin: TemplateOrigin
) -> str | None:
    """Return the renderer that ``create`` gives a model whose file has no chat template, or ``None``."""
    if origin != "none" or detection.kind != "base" or not target.native_templates:
        return None
    from gguf2ollama.gotmpl.versions import is_since  # noqa: PLC0415
    from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS  # noqa: PLC0415 - for few models

    is_known = target.version is None or is_since(target.version, _RENDERERS_SINCE)
    return GIVEN_RENDERERS.get(str(metadata.get("general.architecture", ""))) if is_known else None


def _carried(settings: ModelSettings) -> str:
    """Name the chat template that the model carries."""
    return f"chat template {'in the GGUF' if settings.chat_template is None else 'of --chat-template'}"


def system_text(detection: Detection, *, settings: ModelSettings) -> Value:
    """Decide the SYSTEM text: the user's, else the publishers', else the family's own."""
    if settings.given_system is not None:
        return settings.given_system
    if detection.kind != "embedding" and detection.profile is not None and detection.system is not None:
        return Value(value=detection.system.text, source=detection.system.source)
    return Value(value=None, source="none is known")


def _stops(metadata: Mapping[str, Any], *, detection: Detection, settings: ModelSettings) -> dict[str, str]:
    """Return each stop string and where it came from; the user's go instead of all others."""
    if asked := [str(one.value) for one in settings.parameters if one.name == "stop"]:
        return dict.fromkeys(asked, _ASKED)
    if detection.kind == "embedding":
        return {}
    found = {one.text: one.source for one in stops_for(metadata, profile=detection.profile)}
    return found | {text: source for text, source in settings.published.stops.items() if text not in found}


def _without_cutting(
    stops: Mapping[str, str], *, cutting: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Leave out the stops that would cut an answer, and tell of each.

    Raises:
        UsageProblem: The user asked for one.
    """
    for text in cutting:
        if stops.get(text) == _ASKED:
            raise UsageProblem(
                f"stop string {text!r} would cut answers off: the chat template prints it within them",
                hint="remove that --param",
            )
    kept = {text: source for text, source in stops.items() if text not in cutting}
    return kept, [
        f"stop string {text!r} ({source}) is left out: the chat template prints it within answers"
        for text, source in stops.items()
        if text in cutting
    ]


def _parameters(
    metadata: Mapping[str, Any], *, detection: Detection, settings: ModelSettings, stops: Mapping[str, str]
) -> Iterator[tuple[str, Value]]:
    found: dict[str, Value] = {}
    if settings.context is not None:
        found["num_ctx"] = Value(value=settings.context.tokens, source=settings.context.reason)
    if detection.kind != "embedding":
        found |= {one.name: Value(value=one.value, source=one.source) for one in detection.parameters}
        found |= settings.published.fallbacks
        found |= dict(_sampling(metadata))
        found |= settings.published.parameters
    found |= {
        one.name: Value(value=one.value, source="--param")
        for one in settings.parameters
        if one.name != "stop"
    }
    if stops:
        sources = "; ".join(f"{text}: {source}" for text, source in stops.items())
        found["stop"] = Value(value=list(stops), source=sources)
    yield from found.items()


def _sampling(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Read what the authors wrote into the GGUF (llama.cpp's ``general.sampling.*``)."""
    for key, name in _SAMPLING.items():
        value = metadata.get(f"general.sampling.{key}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        whole = name in {"top_k", "repeat_last_n"}
        yield (
            name,
            Value(
                value=int(value) if whole else _shortest_float(value),
                source=f"general.sampling.{key} in the GGUF",
            ),
        )


def _shortest_float(value: float) -> float:
    """Undo what 32 bits did to a decimal: 0.699999988079071 was written as 0.7."""
    return float(f"{value:.7g}")


def _written(parameters: Mapping[str, Value]) -> Iterator[Parameter]:
    for name, one in parameters.items():
        for value in one.value if isinstance(one.value, list) else [one.value]:
            yield Parameter(name=name, value=value)


def _licenses(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Return the licence as the GGUF tells it: its name and, where there is one, its address."""
    texts = (metadata.get(f"general.license{part}") for part in ("", ".name", ".link"))
    told = dict.fromkeys(text.strip() for text in texts if isinstance(text, str) and text.strip())
    if told:
        yield "\n".join(told)


def _features(
    detection: Detection, *, template: str | None, origin: TemplateOrigin, choice: TemplateChoice | None
) -> Features:
    """Return what the model can do by its template."""
    if choice is not None:
        can = choice.chosen.capabilities
        return Features(tools="tools" in can, thinking="thinking" in can)
    if origin == "native":
        return detection.features
    if origin == "profile" and detection.profile is not None:
        return detection.profile.claims
    return Features(tools=template is not None and re.search(r"\.Tools\b", template) is not None)


def _tells_thinking(target: Target) -> bool:
    """Whether that Ollama knows of models that think."""
    if target.native_templates or target.version is None:
        return True
    from gguf2ollama.gotmpl.versions import dialect  # noqa: PLC0415 - for older Ollama alone

    return dialect(target.version).has_thinking


def _capabilities(can: Features, *, detection: Detection, target: Target, projectors: int) -> Iterator[str]:
    if detection.kind == "embedding":
        yield "embedding"
        return
    yield "completion"
    if can.tools:
        yield "tools"
    if can.thinking and _tells_thinking(target):
        yield "thinking"
    if projectors:
        yield "vision"


def _warnings(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    origin: TemplateOrigin,
    target: Target,
    settings: ModelSettings,
    choice: TemplateChoice | None,
    renderer: str | None,
) -> Iterator[str]:
    yield from _template_warnings(
        detection=detection, origin=origin, target=target, settings=settings, choice=choice, renderer=renderer
    )
    if unused := [key for key in _WITHOUT_PARAMETER if f"general.sampling.{key}" in metadata]:
        yield f"the GGUF recommends {', '.join(unused)} for sampling, which no PARAMETER of Ollama carries"
    if (today := settings.published.chat_template) is not None and settings.chat_template is None:
        carried = metadata.get("tokenizer.chat_template")
        if isinstance(carried, str) and not _is_same_text(carried, today.value):
            yield (
                f"the chat template in the GGUF differs from the current one ({today.source}); use"
                " --chat-template upstream to switch"
            )
    context, trained = settings.context, _trained_context(metadata)
    if context is not None and trained and context.tokens > trained:
        yield f"num_ctx {context.tokens:,} is beyond the {trained:,} tokens that the model was trained for"


def _is_same_text(one: str, other: str) -> bool:
    """Return whether two texts differ in nothing but ends of lines and blank space around them."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _template_warnings(
    *,
    detection: Detection,
    origin: TemplateOrigin,
    target: Target,
    settings: ModelSettings,
    choice: TemplateChoice | None,
    renderer: str | None,
) -> Iterator[str]:
    """Return what may not be as meant of the way in which chats are rendered."""
    if choice is not None:
        yield from _choice_warnings(choice, origin=origin, target=target)
    elif origin == "native":
        yield f"{detection.reason}; the {_carried(settings)} renders its chats, unchanged"
    elif origin == "none" and detection.kind == "chat":
        which = f"Ollama {target.version}" if target.version else "this Ollama"
        yield (
            f"{detection.reason}; {which} cannot use the chat template in a GGUF, so its chats are not"
            " rendered as its authors intend: pass --template FILE, or use Ollama 0.30 or newer"
        )
    elif origin == "none" and detection.kind == "base" and renderer is not None:
        yield f"the file has no chat template; Ollama's built-in renderer {renderer} renders its chats"
    elif origin == "none" and detection.kind == "base":
        yield (
            f"this looks like a base model ({detection.reason}); pass --template FILE to make it a chat model"
        )
    elif origin == "profile" and detection.confidence != "template":
        yield f"{detection.reason}; if this guess is wrong, pass --template FILE"


def _choice_warnings(choice: TemplateChoice, *, origin: TemplateOrigin, target: Target) -> Iterator[str]:
    """Return what may not be as expected of what was chosen by trying."""
    if choice.gets_renderer:
        yield (
            "Ollama gives uploads of this architecture a built-in renderer, which takes the place of the chat"
            " template in the GGUF (--via link or pull keeps the file's own)"
        )
        return
    yield from _shortfalls(choice)
    if choice.turns_thinking_on:
        yield (
            "Ollama has it think where a client does not say, though by its own chat template it would not;"
            ' "think": false turns that off'
        )
    if choice.chosen.generate_note:
        yield choice.chosen.generate_note
    if origin == "native" and target.create_replaces_template and choice.chosen.companion is None:
        yield (
            "Ollama may put a template of its own before the chat template in the GGUF when it makes the"
            " model; `gguf2ollama build` finds that out"
        )


def _shortfalls(choice: TemplateChoice) -> Iterator[str]:
    """Return which conversations the best candidate does not prompt as the authors meant."""
    from gguf2ollama.chat.outcome import Refused  # noqa: PLC0415 - loaded where there is a choice

    for feature, score in choice.chosen.parity.scores.items():
        if not score.compared or score.exact == score.compared:
            continue
        names = [
            case.conversation.name
            for case in choice.chosen.parity.faults
            if case.conversation.feature == feature
        ]
        shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        yield (
            f"{score.compared - score.exact} of {score.compared} {feature} conversations are not prompted as"
            f" the authors' chat template does: {shown}"
        )
    failing = {case.got.reason: None for case in choice.chosen.parity.faults if isinstance(case.got, Refused)}
    if failing:
        yield f"some conversations would end in an error of Ollama's: {next(iter(failing))}"
    if (day := choice.chosen.day) is not None:
        yield (
            "this template prints today's date, which Ollama < 0.11.4 cannot provide; it is fixed to"
            f" {day.isoformat()} until you rebuild"
        )
    if choice.chosen.misses_calls:
        yield "tool calls will not be parsed with this template"


def _faults(modelfile: Modelfile, *, chat_template: str) -> Iterator[str]:
    """Return what the linter finds; a Modelfile may lack words for what servers take."""
    for finding in lint(modelfile, chat_template=chat_template or None):
        if finding.level != "note" and finding.code != "not-carried":
            yield f"{finding.message}: {finding.hint}" if finding.hint else finding.message


def _trained_context(metadata: Mapping[str, Any]) -> int:
    value = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return value if isinstance(value, int) else 0
