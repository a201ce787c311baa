"""Detect the family of a model from its GGUF metadata.

The chat template decides. A family is certain only when its profile explains the whole template:
its marks are present, all text that the template can print is printed by our Go template, and the same
filters are applied to messages. A template that only resembles a family has no profile, and the detection
says which one it resembles and what differs; it is never taken for plain ChatML.

If the file has no chat template, name or architecture may suggest a family, if the name contains "instruct"
or "chat", or is that of a fine-tune such as Alpaca: a base model has no family. That is a guess, and the
detection says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.families.embedding import TEXT_ENCODERS
from gguf2ollama.families.profile import DefaultSystem, Features, ParameterDefault, Profile
from gguf2ollama.families.stops import adds_bos, token_text

if TYPE_CHECKING:
    from gguf2ollama.jinja.facts import ChatTemplate

__all__ = ["Confidence", "Detection", "Evidence", "Kind", "RunnerUp", "detect"]

Kind: TypeAlias = Literal["chat", "base", "embedding", "projector", "adapter"]
Confidence: TypeAlias = Literal["template", "architecture", "name", "none"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_TOKEN_VARIABLES = {"eos": "eos", "turn_bos": "bos"}
_WEIGHTS = {"template": 100, "system": 20, "architecture": 10, "tokenizer": 5, "name": 3}
_RESEMBLES = 0.5  # of a family's marks
_RUNNERS_UP = 3
_CAP_NAME = 256  # characters
_INSTRUCT = lazy_pattern(r"(?i)(?:\b|_)(?:instruct|chat|it|assistant)(?:\b|_)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A fact about the file, and how much it supports the family.

    Attributes:
        kind: ``template``, ``system``, ``architecture``, ``tokenizer``, ``name`` or ``type``.
        what: A phrase, such as ``the tokenizer is qwen2``.
        weight: Positive if it supports the family, negative if it contradicts it; 100 decides.
    """

    kind: str
    what: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerUp:
    """A family that was ruled out, and why."""

    family: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a model is, with the evidence.

    Attributes:
        kind: What the file contains: a chat model, one that only continues text (``base``), one that
            embeds, a projector for images, or an adapter.
        profile: The family, or ``None`` if unknown.
        confidence: The basis of the detection. Only ``template`` is certain.
        reason: What was found, or why nothing was: a phrase, lower case and without a full stop.
        evidence: The facts, the strongest first.
        runners_up: Similar families, the most similar first.
        features: The features of the chat template in the file, as Ollama detects them.
        system: The default system prompt, from the chat template if there is one.
        go_template: The family's Go template for this model; ``None`` if the family is unknown.
    """

    kind: Kind
    profile: Profile | None
    confidence: Confidence
    reason: str
    evidence: tuple[Evidence, ...] = ()
    runners_up: tuple[RunnerUp, ...] = ()
    features: Features = field(default_factory=Features)
    system: DefaultSystem | None = None
    go_template: str | None = None

    @property
    def parameters(self) -> tuple[ParameterDefault, ...]:
        """The family's sampling defaults; none if architecture or default system prompt are not the family's.

        Models of other authors may share the prompt format, but not the sampling defaults.
        """
        alien = any(seen.kind in {"architecture", "system"} and seen.weight < 0 for seen in self.evidence)
        return self.profile.parameters if self.profile and not alien else ()


def detect(metadata: Mapping[str, Any], *, profiles: Iterable[Profile]) -> Detection:
    """Return what a GGUF contains, and its family.

    Args:
        metadata: The metadata of the GGUF; arrays may be lazy.
        profiles: The families to choose from (``load_profiles()``).

    Raises:
        InvalidProfile: The Go template of a family cannot be rendered.
    """
    if (other := _other_kind(metadata)) is not None:
        kind, why = other
        seen = Evidence(kind="type", what=why, weight=_WEIGHTS["template"])
        return Detection(kind=kind, profile=None, confidence="none", reason=why, evidence=(seen,))
    families = tuple(profiles)
    text = _text(metadata, _TEMPLATE_KEY)
    if text.strip():
        return _by_template(metadata, text=text, profiles=families)
    return _by_name(metadata, profiles=families)


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _other_kind(metadata: Mapping[str, Any]) -> tuple[Kind, str] | None:
    """Return the kind of a file that is not a chat or base model, with the reason; else ``None``."""
    architecture, what = _text(metadata, "general.architecture"), _text(metadata, "general.type")
    if architecture == "clip" or what == "mmproj":
        return "projector", "this is a projector, which turns images into tokens of another model"
    if what == "adapter":
        return "adapter", "this is a LoRA adapter, which modifies another model"
    if f"{architecture}.pooling_type" in metadata:
        return "embedding", f"this is an embedding model ({architecture}.pooling_type is set)"
    if architecture in TEXT_ENCODERS:
        return "embedding", f"this is an embedding model (architecture {architecture})"
    return None


def _by_template(metadata: Mapping[str, Any], *, text: str, profiles: tuple[Profile, ...]) -> Detection:
    from gguf2ollama.families.matching import find_objection  # noqa: PLC0415 - most plans recall a detection
    from gguf2ollama.jinja.facts import (  # noqa: PLC0415 - as above
        read_chat_template,
        shows_thinking,
        shows_tools,
    )

    features = Features(tools=shows_tools(text), thinking=shows_thinking(text))
    template = read_chat_template(text)
    if template is None:
        return Detection(
            kind="chat",
            profile=None,
            confidence="none",
            reason="the chat template in the file cannot be parsed as Jinja, or is too long",
            features=features,
        )
    near: list[tuple[bool, int, RunnerUp]] = []
    fitting: list[tuple[int, bool, Profile]] = []
    for profile in profiles:
        marks = profile.evidence.contains
        seen = sum(mark in template.marks for mark in marks)
        objection = find_objection(template, profile=profile)
        if objection is None:
            rank = sum(seen.weight for seen in _circumstances(metadata, profile=profile))
            fitting.append((rank, not profile.is_generic, profile))
        elif seen >= _RESEMBLES * len(marks):
            near.append((not profile.is_generic, seen, RunnerUp(family=profile.family, reason=objection)))
    if not fitting:
        near.sort(key=lambda entry: entry[:2], reverse=True)
        return _unknown(
            metadata, features=features, runners_up=tuple(runner_up for *_, runner_up in near[:_RUNNERS_UP])
        )
    fitting.sort(key=lambda entry: entry[:2], reverse=True)
    profile, *others = (match for *_, match in fitting)
    return _certain(
        metadata,
        template=template,
        profile=profile,
        features=features,
        runners_up=tuple(RunnerUp(family=other.family, reason="it matches as well") for other in others),
    )


def _certain(
    metadata: Mapping[str, Any],
    *,
    template: ChatTemplate,
    profile: Profile,
    features: Features,
    runners_up: tuple[RunnerUp, ...],
) -> Detection:
    from gguf2ollama.families.matching import read_system  # noqa: PLC0415 - as above

    reason = f"the chat template is that of {profile.title}"
    system = read_system(template, profile=profile)
    return Detection(
        kind="chat",
        profile=profile,
        confidence="template",
        reason=reason,
        evidence=(
            Evidence(kind="template", what=reason, weight=_WEIGHTS["template"]),
            *_system_evidence(system, profile=profile),
            *_circumstances(metadata, profile=profile),
        ),
        runners_up=runners_up,
        features=features,
        system=system,
        go_template=profile.go_template(
            system=system.text if system else None,
            bos=token_text(metadata, "bos") if template.has_bos and not adds_bos(metadata) else "",
            switches=profile.read_switches(template),
            tokens=dict(_tokens(metadata, profile=profile)),
        ),
    )


def _system_evidence(system: DefaultSystem | None, *, profile: Profile) -> Iterator[Evidence]:
    if profile.system and (system is None or system.text != profile.system.text):
        yield _evidence("system", "the default system prompt differs from the family's", agrees=False)


def _tokens(metadata: Mapping[str, Any], *, profile: Profile) -> Iterator[tuple[str, str]]:
    for variable, name in _TOKEN_VARIABLES.items():
        if variable in profile.variables and (text := token_text(metadata, name)):
            yield variable, text


def _unknown(
    metadata: Mapping[str, Any], *, features: Features, runners_up: tuple[RunnerUp, ...]
) -> Detection:
    reason = "the chat template in the file matches no known family"
    if runners_up:
        reason += f"; it resembles {runners_up[0].family}, but {runners_up[0].reason}"
    architecture = _text(metadata, "general.architecture")[:_CAP_NAME]
    seen = Evidence(kind="architecture", what=f"the architecture is {architecture}", weight=0)
    return Detection(
        kind="chat",
        profile=None,
        confidence="none",
        reason=reason,
        evidence=(seen,) if architecture else (),
        runners_up=runners_up,
        features=features,
    )


def _circumstances(metadata: Mapping[str, Any], *, profile: Profile) -> Iterator[Evidence]:
    """Yield the evidence for and against a family other than the chat template."""
    evidence = profile.evidence
    architecture = _text(metadata, "general.architecture")
    if architecture and evidence.architectures:
        agrees = architecture in evidence.architectures
        what = f"the architecture is {architecture[:_CAP_NAME]}" + ("" if agrees else ", not the family's")
        yield _evidence("architecture", what, agrees=agrees)
    pre = _text(metadata, "tokenizer.ggml.pre")
    if pre and evidence.tokenizers:
        agrees = pre in evidence.tokenizers
        what = f"the tokenizer is {pre[:_CAP_NAME]}" + ("" if agrees else ", not the family's")
        yield _evidence("tokenizer", what, agrees=agrees)
    if (name := _named_like(metadata, profile=profile)) is not None:
        yield _evidence("name", f"it is named “{name}”", agrees=True)


def _evidence(kind: str, what: str, *, agrees: bool) -> Evidence:
    return Evidence(kind=kind, what=what, weight=_WEIGHTS[kind] if agrees else -_WEIGHTS[kind])


def _names(metadata: Mapping[str, Any]) -> Iterator[str]:
    for key in ("general.name", "general.basename", "general.finetune"):
        if name := _text(metadata, key):
            yield name[:_CAP_NAME]


def _named_like(metadata: Mapping[str, Any], *, profile: Profile) -> str | None:
    pattern = profile.evidence.name
    return next((name for name in _names(metadata) if pattern and pattern.search(name)), None)


def _by_name(metadata: Mapping[str, Any], *, profiles: tuple[Profile, ...]) -> Detection:
    """Guess by name, then by architecture, if the name is that of a chat model."""
    architecture = _text(metadata, "general.architecture")
    fitting = [
        profile
        for profile in profiles
        if architecture in profile.evidence.architectures or profile.is_generic
    ]
    chats = any(_INSTRUCT.search(name) for name in _names(metadata))
    fitting = [profile for profile in fitting if chats or profile.is_generic]
    named = [profile for profile in fitting if _named_like(metadata, profile=profile) is not None]
    if len(named) == 1:
        return _guess(metadata, profile=named[0], confidence="name")
    kin = [profile for profile in fitting if not profile.is_generic]
    if not named and len(kin) == 1:
        return _guess(metadata, profile=kin[0], confidence="architecture")
    runners_up = tuple(
        RunnerUp(family=profile.family, reason="the name matches as well") for profile in named
    )
    reason = "no chat template in the file"
    reason += ", and its name matches several families" if named else ", and nothing suggests a family"
    return Detection(kind="base", profile=None, confidence="none", reason=reason, runners_up=runners_up)


def _guess(metadata: Mapping[str, Any], *, profile: Profile, confidence: Confidence) -> Detection:
    circumstances = tuple(_circumstances(metadata, profile=profile))
    return Detection(
        kind="chat",
        profile=profile,
        confidence=confidence,
        reason=f"no chat template in the file; the {confidence} suggests {profile.title}",
        evidence=circumstances,
        features=profile.claims,
        system=profile.system,
        go_template=profile.go_template(system=profile.system.text if profile.system else None),
    )
