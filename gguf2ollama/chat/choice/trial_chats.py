"""The chats of a trial: what the authors mean by each, with which prompts are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from gguf2ollama.chat.answers.model_output import answers_of
from gguf2ollama.chat.answers.output_checks import stops_that_cut
from gguf2ollama.chat.battery.content_switches import find_switches
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.choice.candidate import Question
from gguf2ollama.chat.comparison import Case, Parity, compare, unknown
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import Prediction, Unpredictable
from gguf2ollama.chat.outcome import Outcome, Refused
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.reference_prompt import as_asked, as_meant, claims_of, without_gap

__all__ = ["TrialChats"]


class TrialChats:
    """The test conversations for one model, and its answers.

    Attributes:
        template: The authors' template.
        claims: What it supports.
        answers: What the model writes.
        conversations: Those that are compared.
    """

    def __init__(self, question: Question, renderer: Renderer, *, now: datetime) -> None:
        self._question = question
        self.template = question.authors.load(renderer, now=now.replace(tzinfo=None))
        self.answers = answers_of(self.template)
        self.claims = claims_of(self.template)
        self._on_system = self.template.treats_system() if question.expected_system else "shows"
        self.conversations = [
            *(conversation for conversation in battery() if self.claims.includes(conversation)),
            *find_switches(self.template),
        ]
        self._meant: dict[bool, dict[str, Outcome]] = {}

    @cached_property
    def unreached(self) -> int:
        """The branches of the authors' template that no test conversation reaches."""
        self._wanted(self.conversations, thinks=False)
        return len(self.template.default.coverage().unreached)

    def thinks_by_default(self) -> bool:
        """Return whether the authors prompt alike where thinking is asked for and where nothing is said."""
        asked = Conversation(name="default", messages=(Message(role="user", content="Hello"),))
        unset, on = self.template.render(
            [Request(conversation=one) for one in (asked, replace(asked, think=True))]
        )
        return unset == on

    def cutting_stops(self) -> tuple[str, ...]:
        """Return the stop strings that would cut an answer before its end."""
        return stops_that_cut(self._question.stops, answers=self.answers)

    def doubts_tools(self) -> bool:
        """Return whether nobody can mean what the authors' template prints of tools."""
        with_tools = [conversation for conversation in self.conversations if conversation.tools]
        wanted = self._wanted(with_tools, thinks=False)
        return any(isinstance(want, Refused) and want.cause == "doubtful" for want in wanted)

    def as_taken(
        self,
        capabilities: frozenset[str],
        *,
        system: str,
        of: Sequence[Conversation] | None = None,
    ) -> list[Conversation]:
        """Return the conversations as a server takes them before it renders any."""
        thinks = "thinking" in capabilities
        asked = self.conversations if of is None else of
        return [as_asked(one, thinks=thinks, system=system) for one in asked]

    def compare(
        self,
        got: Sequence[Prediction],
        *,
        thinks: bool,
        of: Sequence[Conversation] | None = None,
    ) -> Parity:
        """Compare what a way makes of conversations, all by default, with what the authors mean by them."""
        asked = self.conversations if of is None else of
        wanted = self._wanted(asked, thinks=thinks)
        return Parity(
            tuple(
                self._case(conversation, want=want, got=made)
                for conversation, want, made in zip(asked, wanted, got, strict=True)
            )
        )

    def _case(self, conversation: Conversation, *, want: Outcome, got: Prediction) -> Case:
        if isinstance(got, Unpredictable):
            return unknown(conversation, want=want, why=got.reason)
        if self._on_system != "shows":
            system = self._question.expected_system
            want = without_gap(want, conversation, system=system)
            got = without_gap(got, conversation, system=system)
        return compare(conversation, want=want, got=got)

    def _wanted(self, asked: Sequence[Conversation], *, thinks: bool) -> list[Outcome]:
        """Return what the authors mean by what a client sends, rendered once.

        Args:
            asked: The conversations.
            thinks: Whether the server takes the model for one that thinks unless a request says no.
        """
        known = self._meant.setdefault(thinks, {})
        new = [conversation for conversation in asked if conversation.name not in known]
        if new:
            expected = [
                as_meant(
                    conversation,
                    thinks=thinks,
                    system=self._question.expected_system,
                    template_does=self._on_system,
                )
                for conversation in new
            ]
            meant = self._question.authors.meant(self.template, expected)
            known.update(zip((conversation.name for conversation in new), meant, strict=True))
        return [known[conversation.name] for conversation in asked]
