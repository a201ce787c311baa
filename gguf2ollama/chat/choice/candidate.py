"""What has to be known to choose what renders a model's chats, the ways there are, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Parity
from gguf2ollama.chat.conversation import Feature
from gguf2ollama.chat.outcome import Misread
from gguf2ollama.chat.reference_prompt import Authors, Claims
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS

if TYPE_CHECKING:
    from gguf2ollama.chat.answers.ollama_parsers import AnswerParser
    from gguf2ollama.families.fill_in import FillIn

__all__ = ["Candidate", "IgnoredThinking", "NothingRenders", "Origin", "Question", "TemplateChoice"]

Origin: TypeAlias = Literal["user", "native", "patched", "profile", "synthesised"]
IgnoredThinking: TypeAlias = Literal["off", "levels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What has to be known to choose.

    Attributes:
        authors: What the authors meant.
        carried: The chat template in the header where it is not the authors' own, else ``""``.
        version: The version of the Ollama that will render.
        is_native: Whether it can render with the chat template in a GGUF.
        create_replaces_template: Whether it may put its own template first, as ``create`` does.
        may_patch: Whether the header of the GGUF may be changed.
        patch_copies: Whether a changed header makes the server's store copy the weights, which it would share
            with the file otherwise.
        is_exact: Whether such a copy is made even for chats that hardly anybody has.
        may_template: Whether a TEMPLATE may render; some servers are set up to pass over all.
        has_companions: Whether a TEMPLATE may go with the chat template that is passed over for it.
        profile: The Go TEMPLATE of the family that was detected; ``None`` without one.
        user: The Go TEMPLATE that the user gave; no other is tried then.
        system: The system message that the model will have, ``""`` for none.
        expected_system: The one that its prompts must have; that of the user, and not what is written for
            the family, which has to be what the authors' template says by itself.
        architecture: ``general.architecture`` of the model.
        model_name: The model part of the name that it will have; ``""`` where that is not known.
        adds_eos: Whether its tokenizer puts EOS behind a prompt.
        stops: The stop strings that the model may get.
        metadata: The metadata of the GGUF, with its tokens.
        fill_in: How the model fills in the middle; a TEMPLATE does that, too.
        prefers_insert: Whether that goes before how chats are rendered.
    """

    authors: Authors
    carried: str = ""
    version: str
    is_native: bool = True
    create_replaces_template: bool = False
    may_patch: bool = True
    patch_copies: bool = True
    is_exact: bool = False
    may_template: bool = True
    has_companions: bool = False
    profile: str | None = None
    user: str | None = None
    system: str = ""
    expected_system: str = ""
    architecture: str = ""
    model_name: str = ""
    adds_eos: bool = False
    stops: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fill_in: FillIn | None = None
    prefers_insert: bool = False

    @property
    def gets_renderer(self) -> bool:
        """Whether ``create`` gives the model a renderer of Ollama's own, whatever else it has."""
        return self.create_replaces_template and self.architecture in GIVEN_RENDERERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to render, and how well it does.

    Attributes:
        origin: Where it comes from.
        why: What it is and what speaks for it, a phrase.
        go_template: The TEMPLATE layer; ``None`` for none.
        chat_template: What the header carries instead of the chat template that it has; ``None`` for that.
        companion: The TEMPLATE that goes with it and is passed over; ``None`` for none.
        has_thinking_tags: Whether that declares the tags around thoughts.
        generate_note: Why thoughts will show in ``/api/generate``, a sentence; ``""`` where they will not.
        capabilities: Of ``tools`` and ``thinking`` what the server will take the model to be able to do.
        parity: How its prompts compare with the authors'.
        misses_calls: Whether the server would not read the model's calls of tools.
        day: The day that the TEMPLATE always prints; ``None`` where Ollama provides the date.
        parser: What reads the model's answers: a built-in parser, together with ``go_template``; ``None``
            where the server finds calls and thoughts by what renders.
        inserts: Whether it fills in the middle, which a TEMPLATE alone can.
    """

    origin: Origin
    why: str
    go_template: str | None = None
    chat_template: str | None = None
    companion: str | None = None
    has_thinking_tags: bool = False
    generate_note: str = ""
    capabilities: frozenset[str] = frozenset()
    parity: Parity
    misses_calls: bool = False
    day: date | None = None
    parser: AnswerParser | None = None
    inserts: bool = False

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        parser = [self.parser.name] if self.parser else []
        return ", ".join([self.origin, *parser, *(["thinking tags"] if self.has_thinking_tags else [])])

    @property
    def is_native(self) -> bool:
        """Whether a chat template in the header renders, as it is or changed."""
        return self.origin in {"native", "patched"}

    def different(self, *features: Feature) -> int:
        """Return how many conversations of some features do not come out; JSON may be written differently.

        Where the server would not read the model's calls, prompts with tools are of no use.
        """
        scores = self.parity.scores
        missed = scores["tools"].compared - scores["tools"].different if self.misses_calls else 0
        return sum(scores[feature].different for feature in features) + ("tools" in features and missed)

    @property
    def loses_tools(self) -> bool:
        """Whether the model could not use tools with it, of those chats with tools that were compared."""
        compared = self.parity.scores["tools"].compared
        return 2 * self.different("tools") > compared

    @property
    def is_exact(self) -> bool:
        """Whether every conversation comes out, byte for byte."""
        return not (self.parity.faults or self.misses_calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChoice:
    """What was chosen, and why.

    Attributes:
        chosen: The best candidate.
        others: Those that were tried and not taken, the best first.
        reason: A sentence.
        claims: What the authors' template makes something of; no other conversation was compared.
        cutting: The stop strings that would cut an answer before its end.
        remarks: Why something was not tried or not found, one phrase each.
        gets_renderer: Whether the server will render with a renderer of its own instead, so that nothing is
            predicted.
        turns_thinking_on: Whether the server has the model think where a client does not say, though it would
            not by its own chat template.
        ignored_thinking: What a client may say of thinking without effect on the prompt.
        hides_tools: Whether the server takes tools for the model, and no prompt names them.
        misread: What of answers the server does not take for what it is, where it reads single calls.
    """

    chosen: Candidate
    others: tuple[Candidate, ...]
    reason: str
    claims: Claims
    cutting: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    gets_renderer: bool = False
    turns_thinking_on: bool = False
    ignored_thinking: tuple[IgnoredThinking, ...] = ()
    hides_tools: bool = False
    misread: tuple[Misread, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingRenders:
    """That no way was found to render any chat that the authors' chat template takes, if it takes one.

    Attributes:
        remarks: Why something was not tried or not found, one phrase each.
        refusal: Why a server does not even load a model that carries the chat template; ``""`` where it does,
            or where that cannot be predicted.
    """

    remarks: tuple[str, ...]
    refusal: str = ""
