"""Choose what renders a model's chats on an Ollama: candidates are tried offline, and the best is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gguf2ollama import gotmpl, ollama_template
from gguf2ollama.chat import answer_parsers, synthesis
from gguf2ollama.chat.candidate import Candidate, NothingRenders, Origin, Question, TemplateChoice
from gguf2ollama.chat.companion import companion
from gguf2ollama.chat.comparison import Case, Parity, Verdict, compare, unknown
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import NativeTemplate, Prediction, Unpredictable, read_native
from gguf2ollama.chat.model_output import answers_of
from gguf2ollama.chat.ollama_input import Path, canonical
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.output_checks import are_calls_read, continues_answers, first_that_reads
from gguf2ollama.chat.patches import (
    Change,
    Patch,
    Shown,
    changes,
    is_mended_late,
    keep_out_detection,
    late_changes,
)
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.reference_prompt import as_asked, as_meant, claims_of, without_gap
from gguf2ollama.chat.special_cases import filter_think_tags, thinks_by_family, uses_harmony
from gguf2ollama.chat.stop_check import stops_that_cut
from gguf2ollama.chat.test_conversations import battery
from gguf2ollama.errors import Gguf2OllamaError, InvalidModelfile
from gguf2ollama.families import served_token_text
from gguf2ollama.jinja.facts import shows_tools

if TYPE_CHECKING:
    from gguf2ollama.gotmpl.state import Budget

__all__ = ["choose_template"]

# of two that do equally well the first is taken: what changes least goes first, and where the server puts
# templates of its own before a native one, what it cannot displace
_ORDER: tuple[Origin, ...] = ("user", "native", "profile", "synthesised", "patched")
_ORDER_WHERE_DISPLACED: tuple[Origin, ...] = ("user", "profile", "synthesised", "patched", "native")
# where the chat template shows tools: a TEMPLATE prints their properties and the arguments of calls sorted
_ORDER_WITH_TOOLS: tuple[Origin, ...] = ("user", "native", "profile", "patched", "synthesised")
_STILL = datetime(2026, 1, 1, tzinfo=UTC)  # a companion must not differ from day to day


def choose_template(question: Question, *, renderer: Renderer) -> TemplateChoice | NothingRenders:
    """Try what can render the chats of a model, and keep what does it as the authors meant.

    Raises:
        InvalidInput: The authors' chat template is none, or takes more of the machine than it may.
    """
    trial = _Trial(question, renderer)
    found = trial.found
    for candidate in trial.candidates():
        found.append(candidate)
        if trial.is_settled_by(candidate):
            break
    if not any(score.compared for one in found for score in one.parity.scores.values()):
        return NothingRenders(remarks=tuple(trial.remarks), refusal=trial.refusal)
    order = (
        _ORDER_WHERE_DISPLACED
        if question.create_replaces_template and not question.has_companions
        else _ORDER
    )
    found.sort(key=lambda one: (*trial.cost(one), order.index(one.origin)))
    chosen, *others = found
    return TemplateChoice(
        chosen=chosen,
        others=tuple(others),
        reason=f"{chosen.why}: {chosen.parity}",
        claims=trial.claims,
        cutting=trial.cutting_stops(),
        remarks=tuple(trial.remarks),
        gets_renderer=question.gets_renderer,
        turns_thinking_on="thinking" in chosen.capabilities and not trial.thinks_by_default(),
    )


class _Trial:
    """The candidates for one question, each made and tried when it is its turn."""

    def __init__(self, question: Question, renderer: Renderer) -> None:
        self.found: list[Candidate] = []
        self.remarks: list[str] = []
        self._question = question
        self._renderer = renderer
        self._now = datetime.now().astimezone()
        self._template = question.authors.load(renderer, now=self._now.replace(tzinfo=None))
        self._answers = answers_of(self._template)
        self.claims = claims_of(self._template)
        self._on_system = self._template.treats_system() if question.expected_system else "shows"
        self._conversations = [one for one in battery() if self.claims.includes(one)]
        self._meant: dict[tuple[bool, Path], dict[str, Outcome]] = {}
        self._best: Candidate | None = None  # of the native way, as changed until now
        self._made = Patch(text=question.authors.chat_template, why=())
        self._is_late = False
        self._natives: dict[str, NativeTemplate] = {}

    def candidates(self) -> Iterator[Candidate]:
        """Return the candidates, the cheapest to try first."""
        asked = self._question
        if asked.user is not None:
            yield self._with_go("user", "the given TEMPLATE", asked.user)
            return
        native = None
        if asked.is_native:
            native = self._with_native("native", "the chat template in the GGUF", None)
            if native is not None:
                native = self._with_companion(native)
                yield native
        if asked.gets_renderer:  # of Ollama's own, which goes before whatever there is
            return
        if asked.may_template and asked.profile is not None:
            yield from self._by_template("profile", "the family's TEMPLATE", asked.profile)
        if asked.is_native and asked.may_patch:
            yield from self._patched(native)
        if asked.may_template and self._is_worth_learning():
            yield from self._synthesised()
        if asked.is_native and asked.may_patch:
            yield from self._patched_late()

    @property
    def prefers_native(self) -> bool:
        """Whether the chat template in the GGUF goes before a TEMPLATE that prompts no better.

        So it is where it shows tools: natively their properties and the arguments of calls reach the model in
        the client's order, while Go sorts them.
        """
        asked = self._question
        stays = not asked.create_replaces_template or asked.has_companions
        return asked.is_native and stays and shows_tools(self._carried)

    def is_settled_by(self, candidate: Candidate) -> bool:
        """Whether no other candidate can be better than this one."""
        if self.may_be_displaced(candidate):
            return False
        if not self.prefers_native:
            return candidate.is_exact
        plain, used, *_ = candidate.faults
        return not (plain or used or self._loses_tools(candidate))

    @property
    def refusal(self) -> str:
        """Why the server does not load the model as it is; ``""`` where it does or that is not known."""
        return (self._question.is_native and self._native(self._carried).refusal) or ""

    def may_be_displaced(self, candidate: Candidate) -> bool:
        """Whether the server may put a template of its own before what the candidate brings."""
        asked = self._question
        is_kept = candidate.companion is not None or asked.gets_renderer
        return asked.create_replaces_template and candidate.origin == "native" and not is_kept

    def thinks_by_default(self) -> bool:
        """Return whether the authors prompt alike where thinking is asked for and where nothing is said."""
        asked = Conversation(name="default", messages=(Message(role="user", content="Hello"),))
        unset, on = self._template.render(
            [Request(conversation=one) for one in (asked, replace(asked, think=True))]
        )
        return unset == on

    def cutting_stops(self) -> tuple[str, ...]:
        """Return the stop strings that would cut an answer before its end."""
        return stops_that_cut(self._question.stops, answers=self._answers)

    def cost(self, candidate: Candidate) -> tuple[int, ...]:
        """Return what speaks against a candidate, the weightiest first.

        What users meet goes before what changes least: a header of its own costs a copy of the weights where
        files cannot share bytes. Contents that hardly any chat has are not worth that.
        """
        plain, used, *others = candidate.faults
        return (
            self.prefers_native and self._loses_tools(candidate),
            plain + self.may_be_displaced(candidate),
            used,
            _ORDER_WITH_TOOLS.index(candidate.origin)
            if self.prefers_native
            else candidate.chat_template is not None,
            *others,
        )

    def _loses_tools(self, candidate: Candidate) -> bool:
        """Whether a model that can use tools could not use them with a candidate."""
        score = candidate.parity.scores["tools"]
        fails = 2 * (score.exact + score.json_equal) < score.compared
        return self.claims.tools and (candidate.misses_calls or fails)

    def _is_worth_learning(self) -> bool:
        """Return whether a TEMPLATE made from the chat template could be better than all that was found.

        Where no TEMPLATE lets the server read the model's calls of tools, and no parser does, one is taken
        only in the place of what prompts worse without any.
        """
        if not self.claims.tools or are_calls_read(self._answers, tag=""):
            return True
        if any(self._parser(thinks=thinks) for thinks in (True, False)):
            return True
        for one in self.found:
            plain, used, *_ = one.faults
            if plain + self.may_be_displaced(one) == 0 and used < one.parity.scores["tools"].compared:
                why = "Ollama would not parse the model's tool calls with it"
                self.remarks.append(f"no TEMPLATE was generated from the chat template: {why}")
                return False
        return True

    def _patched(self, native: Candidate | None) -> Iterator[Candidate]:
        """Change the chat template in the header where that mends something."""
        self._best = native
        self._improve(changes())
        best = self._best
        if best is not None and best is not native and all(map(is_mended_late, best.parity.faults)):
            self._is_late = True  # the header is another anyway
            self._improve(late_changes())
        yield from self._kept()

    def _patched_late(self) -> Iterator[Candidate]:
        """Mend what a TEMPLATE does better where none did, and that could make the header's way the best."""
        best = self._best
        if best is None or self._is_late or not self._may_win_late(best):
            return
        self._improve(late_changes())
        if self._best is not best:
            yield from self._kept()

    def _may_win_late(self, candidate: Candidate) -> bool:
        """Return whether a candidate would be the best, did the late changes mend all that they are for."""
        cases = tuple(
            replace(one, verdict=Verdict.exact) if is_mended_late(one) else one
            for one in candidate.parity.cases
        )
        mended = self.cost(replace(candidate, parity=Parity(cases)))
        return all(mended < self.cost(one) for one in self.found)

    def _improve(self, tried: Iterable[Change]) -> None:
        """Make changes, one upon the other, and keep those that mend something."""
        for change in tried:
            if self._best is not None and self._best.is_exact:
                break
            if not self._may_mend(change) or (patch := change.make(self._made.text)) is None:
                continue
            patch = Patch(text=patch.text, why=(*self._made.why, *patch.why))
            found = self._try_patch(patch, beating=self._best)
            if found is not None and (self._best is None or found.faults < self._best.faults):
                self._best, self._made = found, patch

    def _may_mend(self, change: Change) -> bool:
        best, text = self._best, self._made.text
        if best is None or text != (best.chat_template or self._carried):
            return True
        shown = Shown(faults=best.parity.faults, moves_system=self._native(text).moves_system)
        return change.may_mend(shown)

    def _kept(self) -> Iterator[Candidate]:
        """Return the best of the changed templates, made such that the server does not displace it."""
        best = self._best
        if best is not None and best.origin == "patched":
            best = self._with_companion(best)
        if best is not None and self._question.create_replaces_template and best.companion is None:
            kept = keep_out_detection(self._made.text)
            note = best.generate_note
            best = self._try_patch(Patch(text=kept.text, why=(*self._made.why, *kept.why)))
            best = None if best is None else replace(best, generate_note=note)
        if best is not None and best.origin == "patched":
            yield best

    def _try_patch(self, patch: Patch, *, beating: Candidate | None = None) -> Candidate | None:
        reasons = "; ".join(patch.why)
        why = f"the chat template in the GGUF, patched because {reasons}"
        return self._with_native("patched", why, patch.text, beating=beating)

    def _with_native(
        self, origin: Origin, why: str, chat_template: str | None, *, beating: Candidate | None = None
    ) -> Candidate | None:
        """Try the native way; ``None`` where the server would not start with the template.

        Or where it mends nothing that another candidate does not do: that is tried first, being little.
        """
        text = self._carried if chat_template is None else chat_template
        native = self._native(text)
        if native.refusal is not None:
            if origin == "native":  # that a change does not mend it goes without saying
                self.remarks.append(f"{why}: {native.refusal}")
            return None
        can = native.capabilities

        def compared(asked: Sequence[Conversation]) -> dict[str, Case]:
            got = [native.render(one) for one in self._as_taken(can, system=self._question.system, of=asked)]
            parity = self._compare(got, thinks="thinking" in can, path="native", of=asked)
            return {one.conversation.name: one for one in parity.cases}

        cases: dict[str, Case] = {}
        if beating is not None:
            faults = beating.parity.faults
            cases = compared([case.conversation for case in faults])
            if all(_is_no_better(cases[old.conversation.name], than=old) for old in faults):
                return None
        cases |= compared([one for one in self._conversations if one.name not in cases])
        return Candidate(
            origin=origin,
            why=why,
            chat_template=chat_template,
            capabilities=can,
            parity=Parity(tuple(cases[one.name] for one in self._conversations)),
        )

    def _with_companion(self, candidate: Candidate) -> Candidate:
        """Add the TEMPLATE that goes with a chat template and is passed over for it, if there is one."""
        asked = self._question
        if not asked.has_companions or asked.gets_renderer:
            return candidate
        text = self._carried if candidate.chat_template is None else candidate.chat_template
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
    def _carried(self) -> str:
        """The chat template in the header as it is."""
        return self._question.carried or self._question.authors.chat_template

    def _native(self, text: str) -> NativeTemplate:
        if text not in self._natives:
            self._natives[text] = self._read_native(text, now=self._now)
        return self._natives[text]

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

    def _by_template(self, origin: Origin, what: str, go_template: str) -> Iterator[Candidate]:
        """Try a TEMPLATE: alone where it is honoured and the server reads the model's calls then.

        Else with a parser, where there is one that reads them.
        """
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - only where a TEMPLATE is tried

        reading = ollama_template.read(parse(go_template))
        is_honoured = self._is_honoured(go_template, what)
        parser = None
        if not is_honoured or self._misses_calls(go_template, reading):
            parser = self._parser(thinks="thinking" in reading.capabilities)
        if parser is None and is_honoured:
            yield self._with_go(origin, what, go_template)
        elif parser is not None:
            why = f"{what}, with Ollama's answer parser {parser.name}"
            if not continues_answers(parser):
                self.remarks.append(f"{why}: with thinking on, it parses a continued answer as reasoning")
            yield self._with_go(origin, why, go_template, parser=parser)

    def _misses_calls(self, go_template: str, reading: ollama_template.Reading) -> bool:
        """Return whether the server would not read the model's calls with a TEMPLATE alone."""
        if not self.claims.tools or self._uses_harmony(go_template):
            return False
        return not are_calls_read(self._answers, tag=reading.tool_tag, closing=reading.thinking[1])

    def _parser(self, *, thinks: bool) -> answer_parsers.AnswerParser | None:
        """Return the parser that reads the model's answers, where a TEMPLATE may have one."""
        asked = self._question
        if not self.claims.tools or asked.gets_renderer:
            return None
        return first_that_reads(answer_parsers.known_parsers(asked.version), self._answers, thinks=thinks)

    def _with_go(
        self, origin: Origin, why: str, go_template: str, *, parser: answer_parsers.AnswerParser | None = None
    ) -> Candidate:
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
        if misses_calls:
            self.remarks.append(f"{why}: Ollama would not parse the model's tool calls")
        return Candidate(
            origin=origin,
            why=why,
            go_template=fitted.text,
            capabilities=capabilities,
            misses_calls=misses_calls,
            day=fitted.day,
            parser=parser,
            parity=self._compare(
                [
                    self._go_prompt(parsed, one, capabilities=capabilities, budget=budget)
                    for one in self._as_taken(capabilities, system=self._question.system)
                ],
                thinks="thinking" in capabilities,
                path="go",
            ),
        )

    def _uses_harmony(self, go_template: str) -> bool:
        asked = self._question
        return uses_harmony(asked.architecture, go_template, version=asked.version)

    def _go_prompt(
        self,
        template: gotmpl.Template,
        conversation: Conversation,
        *,
        capabilities: frozenset[str],
        budget: Budget,
    ) -> Prediction:
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
            self.remarks.append(f"{what}: {verdict.reason}")
        return verdict.has_precedence

    def _synthesised(self) -> Iterator[Candidate]:
        what = "a TEMPLATE generated from the chat template"
        found = synthesis.synthesise(self._renderer, self._question.authors)
        if not isinstance(found, synthesis.Synthesis):
            self.remarks.append(f"no TEMPLATE could be generated from the chat template: {found.reason}")
            return
        self.remarks += [f"{what}: {one.reason}" for one in found.lacking]
        try:
            yield from self._by_template("synthesised", what, found.go_template)
        except InvalidModelfile as error:  # ours to mend, and no reason to do without the other candidates
            self.remarks.append(f"{what}: {error.message}")

    def _as_taken(
        self,
        capabilities: frozenset[str],
        *,
        system: str,
        of: Sequence[Conversation] | None = None,
    ) -> list[Conversation]:
        """Return the conversations as a server takes them before it renders any."""
        thinks = "thinking" in capabilities
        asked = self._conversations if of is None else of
        return [as_asked(one, thinks=thinks, system=system) for one in asked]

    def _compare(
        self,
        got: Sequence[Prediction],
        *,
        thinks: bool,
        path: Path,
        of: Sequence[Conversation] | None = None,
    ) -> Parity:
        asked = self._conversations if of is None else of
        wanted = self._wanted(asked, thinks=thinks, path=path)
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

    def _wanted(self, asked: Sequence[Conversation], *, thinks: bool, path: Path) -> list[Outcome]:
        """Return what the authors mean by what the server hands on, rendered once for each way to do so."""
        known = self._meant.setdefault((thinks, path), {})
        new = [one for one in asked if one.name not in known]
        if new:
            taken = [
                as_meant(
                    conversation,
                    thinks=thinks,
                    system=self._question.expected_system,
                    template_does=self._on_system,
                )
                for conversation in new
            ]
            handed_on = [canonical(one, path=path, version=self._question.version) for one in taken]
            meant = self._question.authors.meant(self._template, handed_on)
            known.update(zip((one.name for one in new), meant, strict=True))
        return [known[one.name] for one in asked]


def _is_no_better(case: Case, *, than: Case) -> bool:
    return case.verdict not in {Verdict.exact, Verdict.json_equal} or case.verdict is than.verdict
