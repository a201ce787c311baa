"""Tell the family of a model from its GGUF metadata.

The chat template decides. A family is taken for certain only when its profile explains the whole template:
its marks are there, every text that the template can print is one that our Go template prints, and messages
pass through the same filters. A template that only resembles a family has no profile, and the detection says
which one it resembles and what differs; it is never taken for plain ChatML.

Where the file has no chat template, a name (or an architecture together with a name that says "instruct" or
"chat") may suggest a family. That is a guess, and the detection says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from gguf2ollama.detect.chat_template import ChatTemplate, read_chat_template, shows_thinking, shows_tools
from gguf2ollama.detect.go_text import printable_text
from gguf2ollama.detect.profile import DefaultSystem, Features, ParameterDefault, Profile
from gguf2ollama.detect.stops import adds_bos, token_text

__all__ = ["Confidence", "Detection", "Evidence", "Kind", "RunnerUp", "detect"]

Kind: TypeAlias = Literal["chat", "base", "embedding", "projector", "adapter"]
Confidence: TypeAlias = Literal["template", "architecture", "name", "none"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_TOKEN_VARIABLES = {"eos": "eos", "turn_bos": "bos"}
_WEIGHTS = {"template": 100, "architecture": 10, "tokenizer": 5, "name": 3}
_RESEMBLES = 0.5  # of a family's marks
_RUNNERS_UP = 3
_CAP_NAME = 256  # characters
_QUOTED = 60  # characters of a text that a message quotes
_ROLE = re.compile(r"\b(?:system|user|assistant)\b")  # our templates print .Role
_LINE_ENDS = re.compile(r"[\r\n]+|(?<=>)(?=<)")
_SAYS_NOTHING = re.compile(r"\w+|[^\w<>\[\]|#]{1,3}")
_INSTRUCT = re.compile(r"(?i)(?:\b|_)(?:instruct|chat|it|assistant)(?:\b|_)")
_EMBEDDING_ARCHITECTURES = frozenset(
    {
        *("bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert"),
        *("nomic-bert", "nomic-bert-moe", "t5encoder"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing seen in the file, and how much it speaks for the family.

    Attributes:
        kind: ``template``, ``architecture``, ``tokenizer``, ``name`` or ``type``.
        what: A sentence.
        weight: Above zero it speaks for the family, below against it; 100 decides.
    """

    kind: str
    what: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerUp:
    """A family that was not taken, and why."""

    family: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a model is, with the evidence.

    Attributes:
        kind: What the file holds: a model that chats, one that only continues text (``base``), one that
            embeds, a projector for images, or an adapter.
        profile: The family, or ``None`` where none is known.
        confidence: What the family stands on. Only ``template`` is certain.
        reason: One sentence that says what was found, or why nothing was.
        evidence: What was seen, the weightiest first.
        runners_up: Families that were near, the nearest first.
        features: What the chat template in the file knows, read as Ollama reads it.
        system: The default system text. Where there is a chat template it comes from there.
        switches: The family's switches that the chat template shows.
        bos: The text of BOS where a TEMPLATE must print it, else empty.
        tokens: The texts of other tokens that the TEMPLATE prints, where the file tells them.
    """

    kind: Kind
    profile: Profile | None
    confidence: Confidence
    reason: str
    evidence: tuple[Evidence, ...] = ()
    runners_up: tuple[RunnerUp, ...] = ()
    features: Features = Features()
    system: DefaultSystem | None = None
    switches: frozenset[str] = frozenset()
    bos: str = ""
    tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def parameters(self) -> tuple[ParameterDefault, ...]:
        """The family's sampling defaults; none where the architecture is another than the family's.

        A prompt may be shared by models of other makers; what suits their sampling is theirs to say.
        """
        alien = any(seen.kind == "architecture" and seen.weight < 0 for seen in self.evidence)
        return self.profile.parameters if self.profile and not alien else ()

    def go_template(self) -> str | None:
        """Render the Go template for this model; ``None`` where no family is known.

        Raises:
            InvalidProfile: The family's file cannot be rendered.
        """
        if self.profile is None:
            return None
        system = self.system.text if self.system else None
        return self.profile.go_template(
            system=system, bos=self.bos, switches=self.switches, tokens=self.tokens
        )


def detect(metadata: Mapping[str, Any], *, profiles: Iterable[Profile]) -> Detection:
    """Tell what a GGUF holds and of which family it is.

    Args:
        metadata: The metadata of the GGUF; arrays may be lazy.
        profiles: The families to choose from (``load_profiles()``).

    Raises:
        InvalidProfile: The Go template of a family cannot be rendered.
    """
    kind, why = _kind(metadata)
    if kind not in {"chat", "base"}:
        seen = Evidence(kind="type", what=why, weight=_WEIGHTS["template"])
        return Detection(kind=kind, profile=None, confidence="none", reason=why, evidence=(seen,))
    families = tuple(profiles)
    text = metadata.get(_TEMPLATE_KEY)
    if isinstance(text, str) and text.strip():
        return _by_template(metadata, text=text, profiles=families)
    return _by_name(metadata, profiles=families)


def _kind(metadata: Mapping[str, Any]) -> tuple[Kind, str]:
    architecture = metadata.get("general.architecture")
    what = metadata.get("general.type")
    if architecture == "clip" or what == "mmproj":
        return "projector", "It is a projector: it turns images into tokens of another model."
    if what == "adapter":
        return "adapter", "It is a LoRA adapter: it changes another model."
    if f"{architecture}.pooling_type" in metadata:
        return "embedding", f"It has {architecture}.pooling_type: it embeds texts and does not chat."
    if architecture in _EMBEDDING_ARCHITECTURES:
        return "embedding", f"Models of architecture {architecture} embed texts and do not chat."
    return ("chat" if metadata.get(_TEMPLATE_KEY) else "base"), ""


def _by_template(metadata: Mapping[str, Any], *, text: str, profiles: tuple[Profile, ...]) -> Detection:
    features = Features(tools=shows_tools(text), thinking=shows_thinking(text))
    template = read_chat_template(text)
    if template is None:
        return Detection(
            kind="chat",
            profile=None,
            confidence="none",
            reason="The chat template in the file is no Jinja, or longer than a megabyte.",
            features=features,
        )
    near: list[tuple[bool, int, RunnerUp]] = []
    fitting: list[tuple[int, bool, Profile]] = []
    for profile in profiles:
        marks = profile.evidence.contains
        seen = sum(mark in template.marks for mark in marks)
        objection = _objection(template, profile=profile)
        if objection is None:
            rank = sum(seen.weight for seen in _circumstances(metadata, profile=profile))
            fitting.append((rank, not profile.is_generic, profile))
        elif seen >= _RESEMBLES * len(marks):
            near.append((not profile.is_generic, seen, RunnerUp(family=profile.family, reason=objection)))
    if not fitting:
        near.sort(key=lambda one: one[:2], reverse=True)
        return _unknown(metadata, features=features, runners_up=tuple(one for *_, one in near[:_RUNNERS_UP]))
    fitting.sort(key=lambda one: one[:2], reverse=True)
    profile, *others = (one for *_, one in fitting)
    return _certain(
        metadata,
        template=template,
        profile=profile,
        features=features,
        runners_up=tuple(RunnerUp(family=one.family, reason="it fits as well") for one in others),
    )


def _certain(
    metadata: Mapping[str, Any],
    *,
    template: ChatTemplate,
    profile: Profile,
    features: Features,
    runners_up: tuple[RunnerUp, ...],
) -> Detection:
    reason = f"The chat template is that of {profile.title}."
    return Detection(
        kind="chat",
        profile=profile,
        confidence="template",
        reason=reason,
        evidence=(
            Evidence(kind="template", what=reason, weight=_WEIGHTS["template"]),
            *_circumstances(metadata, profile=profile),
        ),
        runners_up=runners_up,
        features=features,
        system=_system_of(template, profile=profile),
        switches=profile.read_switches(template),
        bos=token_text(metadata, "bos") if template.has_bos and not adds_bos(metadata) else "",
        tokens=MappingProxyType(dict(_tokens(metadata, profile=profile))),
    )


def _tokens(metadata: Mapping[str, Any], *, profile: Profile) -> Iterator[tuple[str, str]]:
    for variable, name in _TOKEN_VARIABLES.items():
        if variable in profile.variables and (text := token_text(metadata, name)):
            yield variable, text


def _unknown(
    metadata: Mapping[str, Any], *, features: Features, runners_up: tuple[RunnerUp, ...]
) -> Detection:
    reason = "The chat template in the file is of no family that is known here"
    if runners_up:
        reason += f"; it resembles {runners_up[0].family}, but {runners_up[0].reason}"
    architecture = str(metadata.get("general.architecture", ""))[:_CAP_NAME]
    seen = Evidence(kind="architecture", what=f"The architecture is {architecture}.", weight=0)
    return Detection(
        kind="chat",
        profile=None,
        confidence="none",
        reason=f"{reason}.",
        evidence=(seen,) if architecture else (),
        runners_up=runners_up,
        features=features,
    )


def _objection(template: ChatTemplate, *, profile: Profile) -> str | None:
    """Say why a chat template is not the family's; ``None`` when nothing speaks against it."""
    evidence = profile.evidence
    for mark in evidence.contains:
        if mark not in template.marks:
            return f"it lacks {_quote(mark)}"
    for mark in evidence.lacks:
        if mark in template.marks:
            return f"it holds {_quote(mark)}"
    if surplus := template.transforms - evidence.transforms - evidence.optional_transforms:
        return f"it puts messages through {', '.join(sorted(surplus))}"
    if missing := evidence.transforms - template.transforms:
        return f"it does not put messages through {', '.join(sorted(missing))}"
    if template.is_loose and not evidence.is_loose:
        return "it prints white space between its tags"
    if (line := _unexplained(template, profile=profile)) is not None:
        return f"it prints {_quote(line)}"
    return None


def _unexplained(template: ChatTemplate, *, profile: Profile) -> str | None:
    """Give the first line that the chat template can print and the family's Go template cannot."""
    holder, system = _find_system(template, profile=profile)
    go_template = profile.go_template(system=system, switches=profile.read_switches(template))
    known = "\n".join((printable_text(go_template), system or ""))
    unreached = profile.evidence.unreached
    lines = _lines(text for text in template.printed if text != holder)
    for line in lines:
        if not (line in known or _ROLE.sub("", line) in known or line.startswith(unreached)):
            return line
    return None


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Give the lines that say something: not white space, not a single word such as a role or a key.

    Tags that stand side by side are lines of their own, since ours may stand in different branches.
    """
    for text in texts:
        for line in _LINE_ENDS.split(text):
            stripped = line.strip()
            if stripped and not _SAYS_NOTHING.fullmatch(stripped):
                yield stripped


def _find_system(template: ChatTemplate, *, profile: Profile) -> tuple[str | None, str | None]:
    """Find the default system text in the chat template: the text that holds it, and itself."""
    pattern = profile.system_pattern
    for printed in template.printed:
        if pattern and (match := pattern.search(printed)):
            return printed, match[1]
    if profile.system and profile.system.text in template.printed:
        return profile.system.text, profile.system.text
    return None, None


def _system_of(template: ChatTemplate, *, profile: Profile) -> DefaultSystem | None:
    _, text = _find_system(template, profile=profile)
    if text is None or (profile.system and text == profile.system.text):
        return profile.system if text is not None else None
    return DefaultSystem(text=text, source="the chat template in the GGUF")


def _circumstances(metadata: Mapping[str, Any], *, profile: Profile) -> Iterator[Evidence]:
    """Give what speaks for a family or against it beside the chat template."""
    evidence = profile.evidence
    architecture = metadata.get("general.architecture")
    if isinstance(architecture, str) and evidence.architectures:
        agrees = architecture in evidence.architectures
        what = f"The architecture is {architecture[:_CAP_NAME]}" + ("." if agrees else ", not the family's.")
        yield _evidence("architecture", what, agrees=agrees)
    pre = metadata.get("tokenizer.ggml.pre")
    if isinstance(pre, str) and evidence.tokenizers:
        agrees = pre in evidence.tokenizers
        what = f"The tokenizer is {pre[:_CAP_NAME]}" + ("." if agrees else ", not the family's.")
        yield _evidence("tokenizer", what, agrees=agrees)
    if (name := _named_like(metadata, profile=profile)) is not None:
        yield _evidence("name", f"It is called “{name}”.", agrees=True)


def _evidence(kind: str, what: str, *, agrees: bool) -> Evidence:
    return Evidence(kind=kind, what=what, weight=_WEIGHTS[kind] if agrees else -_WEIGHTS[kind])


def _names(metadata: Mapping[str, Any]) -> Iterator[str]:
    for key in ("general.name", "general.basename", "general.finetune"):
        name = metadata.get(key)
        if isinstance(name, str) and name:
            yield name[:_CAP_NAME]


def _named_like(metadata: Mapping[str, Any], *, profile: Profile) -> str | None:
    pattern = profile.evidence.name
    return next((name for name in _names(metadata) if pattern and pattern.search(name)), None)


def _by_name(metadata: Mapping[str, Any], *, profiles: tuple[Profile, ...]) -> Detection:
    """Guess by name, then by architecture: only where the name says that the model chats."""
    architecture = metadata.get("general.architecture")
    fitting = [one for one in profiles if architecture in one.evidence.architectures or one.is_generic]
    named = [one for one in fitting if _named_like(metadata, profile=one) is not None]
    if len(named) == 1:
        return _guess(metadata, profile=named[0], confidence="name")
    kin = [one for one in fitting if not one.is_generic]
    if not named and len(kin) == 1 and any(_INSTRUCT.search(name) for name in _names(metadata)):
        return _guess(metadata, profile=kin[0], confidence="architecture")
    runners_up = tuple(RunnerUp(family=one.family, reason="the name fits as well") for one in named)
    reason = "There is no chat template in the file"
    reason += ", and its name fits several families." if named else ", and nothing suggests how it chats."
    return Detection(kind="base", profile=None, confidence="none", reason=reason, runners_up=runners_up)


def _guess(metadata: Mapping[str, Any], *, profile: Profile, confidence: Confidence) -> Detection:
    circumstances = tuple(_circumstances(metadata, profile=profile))
    return Detection(
        kind="chat",
        profile=profile,
        confidence=confidence,
        reason=f"There is no chat template in the file; the {confidence} suggests {profile.title}.",
        evidence=circumstances,
        features=profile.claims,
        system=profile.system,
    )


def _quote(text: str) -> str:
    short = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
    return f"“{short}”".replace("\n", "\\n")
