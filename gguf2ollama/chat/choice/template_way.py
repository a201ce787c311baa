"""The way of a TEMPLATE: of the user, of the family or generated, alone or with one of Ollama's parsers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from gguf2ollama import gotmpl, ollama_template
from gguf2ollama.chat import synthesis
from gguf2ollama.chat.answers.output_checks import are_calls_read, continues_answers, first_that_reads
from gguf2ollama.chat.choice.candidate import Candidate, Origin, Question
from gguf2ollama.chat.choice.trial_chats import TrialChats
from gguf2ollama.chat.companion import REASONING_SHOWS
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp import Prediction, Unpredictable
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.special_cases import filter_think_tags, thinks_by_family, uses_harmony
from gguf2ollama.errors import Gguf2OllamaError, InvalidModelfile
from gguf2ollama.jinja.facts import shows_thinking

if TYPE_CHECKING:
    from gguf2ollama.chat.answers.ollama_parsers import AnswerParser
    from gguf2ollama.families.fill_in import FillIn
    from gguf2ollama.gotmpl.state import Budget

__all__ = ["TemplateWay"]


class TemplateWay:
    """Tries Go templates in the place of a chat template, where the server honours them."""

    def __init__(
        self,
        question: Question,
        chats: TrialChats,
        *,
        carried: str,
        renderer: Renderer,
        now: datetime,
        remarks: list[str],
    ) -> None:
        self._question = question
        self._chats = chats
        self._carried = carried
        self._renderer = renderer
        self._now = now
        self._remarks = remarks

    @property
    def fill_in(self) -> FillIn | None:
        """How a TEMPLATE fills in the middle; ``None`` if it is not to."""
        found = self._question.fill_in
        is_meant = found is not None and (found.is_certain or self._question.prefers_insert)
        return found if is_meant else None

    def attempt(self, origin: Origin, what: str, go_template: str) -> Iterator[Candidate]:
        """Try a TEMPLATE: alone where it is honoured and the server reads the model's calls then.

        Else with a parser, where there is one that reads them.
        """
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - only where a TEMPLATE is tried

        if self.fill_in is not None:
            from gguf2ollama.families.fill_in import with_fill_in  # noqa: PLC0415 - for code models

            go_template = with_fill_in(go_template, self.fill_in) or go_template
        reading = ollama_template.read(parse(go_template))
        is_honoured = self._is_honoured(go_template, what)
        parser = None
        if not is_honoured or self._misses_calls(go_template, reading):
            parser = self.parser(thinks="thinking" in reading.capabilities)
        if parser is None and is_honoured:
            yield self.with_template(origin, what, go_template)
        elif parser is not None:
            why = f"{what}, with Ollama's answer parser {parser.name}"
            if not continues_answers(parser):
                self._remarks.append(f"{why}: with thinking on, it parses a continued answer as reasoning")
            yield self.with_template(origin, why, go_template, parser=parser)

    def _misses_calls(self, go_template: str, reading: ollama_template.Reading) -> bool:
        """Return whether the server would not read the model's calls with a TEMPLATE alone."""
        if not self._chats.claims.tools or self._uses_harmony(go_template):
            return False
        return not are_calls_read(self._chats.answers, tag=reading.tool_tag, closing=reading.thinking[1])

    def parser(self, *, thinks: bool) -> AnswerParser | None:
        """Return the parser that reads the model's answers, where a TEMPLATE may have one."""
        from gguf2ollama.chat.answers.ollama_parsers import known_parsers  # noqa: PLC0415 - as below

        asked = self._question
        if not self._chats.claims.tools or asked.gets_renderer:
            return None
        return first_that_reads(known_parsers(asked.version), self._chats.answers, thinks=thinks)

    def with_template(
        self, origin: Origin, why: str, go_template: str, *, parser: AnswerParser | None = None
    ) -> Candidate:
        """Try a TEMPLATE as it is, but for what the server's version lacks."""
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - only where a TEMPLATE is tried
        from gguf2ollama.gotmpl.state import Budget  # noqa: PLC0415

        fitted = ollama_template.Adapted(text=go_template) if origin == "user" else self._fitted(go_template)
        if fitted.fields:
            lacking = ", ".join(fitted.fields)
            why = f"{why}, without {lacking} (not supported by Ollama {self._question.version})"
        parsed = parse(fitted.text)
        reading = ollama_template.read(parsed)
        capabilities = reading.capabilities & {"tools", "thinking"}
        if thinks_by_family(self._question.architecture, version=self._question.version):
            capabilities |= {"thinking"}
        misses_calls = parser is None and self._misses_calls(fitted.text, reading)
        if parser is not None:
            capabilities |= {"tools", "thinking"} if parser.thinks else {"tools"}
        budget = Budget()
        hides_tags = "thinking" not in capabilities and shows_thinking(self._question.authors.chat_template)
        if misses_calls:
            self._remarks.append(f"{why}: Ollama would not parse the model's tool calls")
        return Candidate(
            origin=origin,
            why=why,
            go_template=fitted.text,
            capabilities=capabilities,
            generate_note=f"{REASONING_SHOWS}: {why} has no think tags" if hides_tags else "",
            misses_calls=misses_calls,
            day=fitted.day,
            parser=parser,
            inserts="insert" in reading.capabilities
            and (origin != "user" or self._is_honoured(fitted.text, why)),
            parity=self._chats.compare(
                [
                    self.prompt(parsed, one, capabilities=capabilities, budget=budget)
                    for one in self._chats.as_taken(capabilities, system=self._question.system)
                ],
                thinks="thinking" in capabilities,
            ),
        )

    def _uses_harmony(self, go_template: str) -> bool:
        asked = self._question
        return uses_harmony(asked.architecture, go_template, version=asked.version)

    def prompt(
        self,
        template: gotmpl.Template,
        conversation: Conversation,
        *,
        capabilities: frozenset[str],
        budget: Budget,
    ) -> Prediction:
        """Predict what the server makes of a conversation that it has taken."""
        from gguf2ollama.gotmpl.errors import InvalidTemplate  # noqa: PLC0415 - as above

        asked = self._question
        told = filter_think_tags(
            conversation, family=asked.architecture, model_name=asked.model_name, version=asked.version
        ).for_ollama()
        try:
            return Rendered(
                ollama_template.render(
                    template,
                    told,
                    version=asked.version,
                    now=self._now,
                    capabilities=capabilities,
                    budget=budget,
                )
            )
        except InvalidTemplate as error:
            return Unpredictable(error.reason) if error.is_limit else Refused(error.message)
        except Gguf2OllamaError as error:
            return Refused(error.message)

    def _fitted(self, go_template: str) -> ollama_template.Adapted:
        return ollama_template.adapt(go_template, version=self._question.version, today=self._now.date())

    def _is_honoured(self, go_template: str, what: str) -> bool:
        """Return whether the server renders with a TEMPLATE where the GGUF has a chat template, too."""
        if not self._question.is_native or self._uses_harmony(go_template):
            return True
        verdict = ollama_template.takes_precedence(go_template, self._carried, version=self._question.version)
        if not verdict.has_precedence:
            self._remarks.append(f"{what}: {verdict.reason}")
        return verdict.has_precedence

    def synthesised(self) -> Iterator[Candidate]:
        """Try a TEMPLATE that is learnt from the chat template."""
        what = "a TEMPLATE generated from the chat template"
        found = synthesis.synthesise(
            self._renderer, self._question.authors, with_tools=not self._chats.doubts_tools()
        )
        if not isinstance(found, synthesis.Synthesis):
            self._remarks.append(f"no TEMPLATE could be generated from the chat template: {found.reason}")
            return
        self._remarks += [f"{what}: {one.reason}" for one in found.lacking]
        try:
            yield from self.attempt("synthesised", what, found.go_template)
        except InvalidModelfile as error:  # ours to mend, and no reason to do without the other candidates
            self._remarks.append(f"{what}: {error.message}")
