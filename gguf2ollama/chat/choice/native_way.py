"""The native way: the server renders with the chat template in the header, as it is or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from gguf2ollama.chat.answers.output_checks import misread_natively, misses_calls_natively
from gguf2ollama.chat.choice.candidate import Candidate, Origin, Question
from gguf2ollama.chat.choice.trial_chats import TrialChats
from gguf2ollama.chat.companion import companion, spoils_format
from gguf2ollama.chat.comparison import Case, Parity, Verdict
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp import NativeTemplate, read_native
from gguf2ollama.chat.outcome import Misread
from gguf2ollama.families import served_token_text

__all__ = ["NativeWay"]

_STILL = datetime(2026, 1, 1, tzinfo=UTC)  # a companion must not differ from day to day


class NativeWay:
    """Tries the chat template in the header of a model, and changed ones in its place."""

    def __init__(self, question: Question, chats: TrialChats, *, now: datetime, remarks: list[str]) -> None:
        self._question = question
        self._chats = chats
        self._now = now
        self._remarks = remarks
        self._templates: dict[str, NativeTemplate] = {}
        self._known_misses: dict[str, bool] = {}
        self._known_misread: dict[str, tuple[Misread, ...]] = {}

    @property
    def refusal(self) -> str:
        """Why the server does not load the model as it is; ``""`` where it does or that is not known."""
        return (self._question.is_native and self.template(self.carried).refusal) or ""

    @cached_property
    def spoils_format(self) -> bool:
        """Whether think tags make ``/api/generate`` miss a requested format."""
        asked = self._question
        return spoils_format(
            asked.metadata,
            version=asked.version,
            render=self._read_native(self.carried, now=_STILL).render,
            system=asked.system,
        )

    def attempt(
        self, origin: Origin, why: str, chat_template: str | None, *, beating: Candidate | None = None
    ) -> Candidate | None:
        """Try the native way; ``None`` where the server would not start with the template.

        Or where it mends nothing that another candidate does not do: that is tried first, being little.
        """
        text = self.carried if chat_template is None else chat_template
        native = self.template(text)
        if native.refusal is not None:
            if origin == "native":  # that a change does not mend it goes without saying
                self._remarks.append(f"{why}: {native.refusal}")
            return None
        can = native.capabilities

        def compared(asked: Sequence[Conversation]) -> dict[str, Case]:
            got = [
                native.render(one)
                for one in self._chats.as_taken(can, system=self._question.system, of=asked)
            ]
            parity = self._chats.compare(got, thinks="thinking" in can, of=asked)
            return {one.conversation.name: one for one in parity.cases}

        cases: dict[str, Case] = {}
        if beating is not None and not beating.misses_calls:
            faults = beating.parity.faults
            cases = compared([case.conversation for case in faults])
            if all(_is_no_better(cases[old.conversation.name], than=old) for old in faults):
                return None
        cases |= compared([one for one in self._chats.conversations if one.name not in cases])
        return Candidate(
            origin=origin,
            why=why,
            chat_template=chat_template,
            capabilities=can,
            misses_calls="tools" in can and self._misses_calls(native, text),
            parity=Parity(tuple(cases[one.name] for one in self._chats.conversations)),
        )

    def _misses_calls(self, native: NativeTemplate, text: str) -> bool:
        """Return whether the server would not read the model's calls with a chat template.

        Where it reads them, no change for the prompts alters how they are written.
        """
        found = self._known_misses
        if not self._chats.claims.tools or next(iter(found.values()), None) is False:
            return False
        if text not in found:
            found[text] = not native.reads_answers or misses_calls_natively(
                native.answer_readers(),
                self._chats.answers,
                thinks="thinking" in native.capabilities,
                version=self._question.version,
            )
            if found[text] and len(found) == 1:
                self._remarks.append(
                    "the chat template in the GGUF: Ollama would not parse the model's tool calls"
                )
        return found[text]

    def misread(self, candidate: Candidate) -> tuple[Misread, ...]:
        """Return what of answers the server takes for something else, where the chat template renders."""
        if not candidate.is_native:
            return ()
        text = self.carried if candidate.chat_template is None else candidate.chat_template
        if text not in self._known_misread:
            self._known_misread[text] = misread_natively(
                self.template(text),
                self._chats.answers,
                thinks="thinking" in candidate.capabilities,
                version=self._question.version,
            )
        return self._known_misread[text]

    def with_companion(self, candidate: Candidate) -> Candidate:
        """Add the TEMPLATE that goes with a chat template and is passed over for it, if there is one."""
        asked = self._question
        if not asked.has_companions or asked.gets_renderer:
            return candidate
        text = self.carried if candidate.chat_template is None else candidate.chat_template
        beside = companion(
            text,
            metadata=asked.metadata,
            version=asked.version,
            render=self._read_native(text, now=_STILL).render,
            system=asked.system,
        )
        # one without tags only keeps `create` from adding another
        is_of_use = beside.has_tags or (asked.create_replaces_template and bool(beside.text))
        return replace(
            candidate,
            companion=beside.text if is_of_use else None,
            has_thinking_tags=beside.has_tags,
            generate_note=beside.note,
        )

    @property
    def carried(self) -> str:
        """The chat template in the header as it is."""
        return self._question.carried or self._question.authors.chat_template

    def template(self, text: str) -> NativeTemplate:
        """Return how the server treats a chat template."""
        if text not in self._templates:
            self._templates[text] = self._read_native(text, now=self._now)
        return self._templates[text]

    def _read_native(self, text: str, *, now: datetime) -> NativeTemplate:
        authors = self._question.authors
        return read_native(
            text,
            version=self._question.version,
            now=now,
            bos=served_token_text(self._question.metadata, "bos") or authors.bos,
            eos=served_token_text(self._question.metadata, "eos") or authors.eos,
            adds_bos=authors.adds_bos,
            adds_eos=self._question.adds_eos,
            tool_use=authors.tool_use,
            family=self._question.architecture,
            model_name=self._question.model_name,
        )


def _is_no_better(case: Case, *, than: Case) -> bool:
    return case.verdict not in {Verdict.exact, Verdict.json_equal} or case.verdict is than.verdict
