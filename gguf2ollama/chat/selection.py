"""Choose what renders a model's chats on an Ollama: candidates are tried offline, and the best is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from gguf2ollama import gotmpl, ollama_template
from gguf2ollama.chat import synthesis
from gguf2ollama.chat.candidate import (
    Candidate,
    NothingRenders,
    Origin,
    Question,
    TemplateChoice,
)
from gguf2ollama.chat.capability_checks import hides_tools, ignored_thinking
from gguf2ollama.chat.companion import REASONING_SHOWS, companion, spoils_format
from gguf2ollama.chat.comparison import Case, Parity, Verdict, compare, unknown
from gguf2ollama.chat.content_switches import find_switches
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.costs import Cost, cost_of
from gguf2ollama.chat.llamacpp import NativeTemplate, Prediction, Unpredictable, read_native
from gguf2ollama.chat.model_output import answers_of
from gguf2ollama.chat.outcome import Misread, Outcome, Refused, Rendered
from gguf2ollama.chat.output_checks import (
    are_calls_read,
    continues_answers,
    first_that_reads,
    misread_natively,
    misses_calls_natively,
    stops_that_cut,
)
from gguf2ollama.chat.patches import Change, Patch, Shown, changes, keep_out_detection
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.reference_prompt import as_asked, as_meant, claims_of, without_gap
from gguf2ollama.chat.special_cases import filter_think_tags, thinks_by_family, uses_harmony
from gguf2ollama.chat.test_conversations import battery
from gguf2ollama.errors import Gguf2OllamaError, InvalidModelfile
from gguf2ollama.families import served_token_text
from gguf2ollama.jinja.facts import shows_thinking, shows_tools

if TYPE_CHECKING:
    from gguf2ollama.chat.ollama_parsers import AnswerParser
    from gguf2ollama.families.fill_in import FillIn
    from gguf2ollama.gotmpl.state import Budget

__all__ = ["choose_template"]

_COST = Cost._fields
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
    chosen, *others = sorted(found, key=trial.cost)
    render, is_unknown = partial(trial.prompt_of, chosen), question.gets_renderer
    return TemplateChoice(
        chosen=chosen,
        others=tuple(others),
        reason=f"{chosen.why}: {chosen.parity}",
        claims=trial.claims,
        cutting=trial.cutting_stops(),
        remarks=tuple(trial.remarks),
        gets_renderer=question.gets_renderer,
        turns_thinking_on="thinking" in chosen.capabilities and not trial.thinks_by_default(),
        ignored_thinking=() if is_unknown else ignored_thinking(chosen, render, authors=trial.template),
        hides_tools=not is_unknown and hides_tools(chosen, render),
        misread=() if is_unknown else trial.misread(chosen),
    )


class _Trial:
    """The candidates for one question, each made and tried when it is its turn."""

    def __init__(self, question: Question, renderer: Renderer) -> None:
        self.found: list[Candidate] = []
        self.remarks: list[str] = []
        self._question = question
        self._renderer = renderer
        self._now = datetime.now().astimezone()
        self.template = question.authors.load(renderer, now=self._now.replace(tzinfo=None))
        self._answers = answers_of(self.template)
        self.claims = claims_of(self.template)
        self._on_system = self.template.treats_system() if question.expected_system else "shows"
        self._conversations = [
            *(conversation for conversation in battery() if self.claims.includes(conversation)),
            *find_switches(self.template),
        ]
        self._meant: dict[bool, dict[str, Outcome]] = {}
        self._best: Candidate | None = None  # of the native way, as changed until now
        self._made = Patch(text=question.authors.chat_template, why=())
        self._natives: dict[str, NativeTemplate] = {}
        self._native_misses_calls: dict[str, bool] = {}

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

    def is_settled_by(self, candidate: Candidate) -> bool:
        """Whether no other candidate can be better than this one."""
        if self._wants_insert and not candidate.inserts:
            return False
        cost = self.cost(candidate)
        if any(cost[: _COST.index("copied") + 1]):
            return False
        if candidate.is_native and not (cost.changed or self._question.is_exact):
            # a TEMPLATE gets properties and arguments sorted, and may have no branch that is not seen
            if self.claims.tools and shows_tools(self._carried):
                return True
            if not cost.irregular and self._unreached:
                return True
        return not any(cost[:-1])

    @cached_property
    def _unreached(self) -> int:
        """The branches of the authors' template that no test conversation reaches."""
        self._wanted(self._conversations, thinks=False)
        return len(self.template.default.coverage().unreached)

    @property
    def _fill_in(self) -> FillIn | None:
        """How a TEMPLATE fills in the middle; ``None`` if it is not to."""
        found = self._question.fill_in
        is_meant = found is not None and (found.is_certain or self._question.prefers_insert)
        return found if is_meant else None

    @property
    def _wants_insert(self) -> bool:
        """Whether a TEMPLATE that fills in the middle may go before the chat template."""
        has_tools = self.claims.tools and shows_tools(self._carried)
        return self._fill_in is not None and (self._question.prefers_insert or not has_tools)

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
        unset, on = self.template.render(
            [Request(conversation=one) for one in (asked, replace(asked, think=True))]
        )
        return unset == on

    def prompt_of(self, candidate: Candidate, conversation: Conversation) -> Prediction:
        """Return what the server makes of a conversation with a candidate."""
        (taken,) = self._as_taken(candidate.capabilities, system=self._question.system, of=[conversation])
        if candidate.go_template is None:
            text = self._carried if candidate.chat_template is None else candidate.chat_template
            return self._native(text).render(taken)
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - only where a TEMPLATE was taken
        from gguf2ollama.gotmpl.state import Budget  # noqa: PLC0415 - as above

        parsed = parse(candidate.go_template)
        return self._go_prompt(parsed, taken, capabilities=candidate.capabilities, budget=Budget())

    def misread(self, candidate: Candidate) -> tuple[Misread, ...]:
        """Return what of answers the server takes for something else, where the chat template renders."""
        if not candidate.is_native:
            return ()
        text = self._carried if candidate.chat_template is None else candidate.chat_template
        return misread_natively(
            self._native(text),
            self._answers,
            thinks="thinking" in candidate.capabilities,
            version=self._question.version,
        )

    def cutting_stops(self) -> tuple[str, ...]:
        """Return the stop strings that would cut an answer before its end."""
        return stops_that_cut(self._question.stops, answers=self._answers)

    def cost(self, candidate: Candidate) -> Cost:
        """Return what speaks against a candidate."""
        return cost_of(
            candidate,
            self._question,
            claims=self.claims,
            may_be_replaced=self.may_be_displaced(candidate),
            spoils_format=self._has_tags(candidate) and self._spoils_format,
            is_to_insert=self._wants_insert,
            unreached=0 if candidate.is_native or not self._question.is_native else self._unreached,
        )

    def _has_tags(self, candidate: Candidate) -> bool:
        """Whether a TEMPLATE in the place of the chat template has the server look for thoughts by tags."""
        is_template = candidate.go_template is not None and self._question.is_native
        return is_template and candidate.parser is None and "thinking" in candidate.capabilities

    @cached_property
    def _spoils_format(self) -> bool:
        """Whether think tags make ``/api/generate`` miss a requested format."""
        asked = self._question
        return spoils_format(
            asked.metadata,
            version=asked.version,
            render=self._read_native(self._carried, now=_STILL).render,
            system=asked.system,
        )

    def _is_worth_learning(self) -> bool:
        """Return whether a TEMPLATE made from the chat template could be better than all that was found.

        Where no TEMPLATE lets the server read the model's calls of tools, and no parser does, one is taken
        only in the place of what prompts worse without any.
        """
        asks_insert = self._question.prefers_insert and not any(one.inserts for one in self.found)
        if asks_insert or not self.claims.tools or are_calls_read(self._answers, tag=""):
            return True
        if any(self._parser(thinks=thinks) for thinks in (True, False)):
            return True
        for candidate in self.found:
            scores = candidate.parity.scores
            different = sum(scores[feature].different for feature in ("tools", "thinking", "switch"))
            if self.cost(candidate).plain == 0 and different < scores["tools"].compared:
                why = "Ollama would not parse the model's tool calls with it"
                self.remarks.append(f"no TEMPLATE was generated from the chat template: {why}")
                return False
        return True

    def _patched(self, native: Candidate | None) -> Iterator[Candidate]:
        """Change the chat template in the header where that mends something, one change upon the other."""
        self._best = native
        for change in changes(tool_use=self._question.authors.tool_use):
            if self._best is not None and not any(self.cost(self._best)[: self._paid_until(self._best)]):
                break
            if not self._may_mend(change) or (patch := change.make(self._made.text)) is None:
                continue
            patch = Patch(text=patch.text, why=(*self._made.why, *patch.why))
            found = self._try_patch(patch, beating=self._best)
            if found is not None and self._is_better(found, than=self._best):
                self._best, self._made = found, patch
        yield from self._kept()

    def _is_better(self, patched: Candidate, *, than: Candidate | None) -> bool:
        if than is None:
            return True
        length = self._paid_until(than)
        costs = (
            self.cost(candidate)._replace(copied=False, changed=False, order=0)
            for candidate in (patched, than)
        )
        better, worse = (cost[:length] for cost in costs)
        return better < worse

    def _paid_until(self, candidate: Candidate) -> int:
        """Return how many lines of the costs a change of the header may mend; of one that is changed, all."""
        asked = self._question
        if candidate.origin != "native" or asked.is_exact:
            return len(_COST) - 1
        return _COST.index("copied" if asked.patch_copies else "changed")

    def _may_mend(self, change: Change) -> bool:
        best, text = self._best, self._made.text
        if best is None or text != (best.chat_template or self._carried):
            return True
        shown = Shown(
            faults=best.parity.faults,
            moves_system=self._native(text).moves_system,
            misses_calls=best.misses_calls,
        )
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
            parity = self._compare(got, thinks="thinking" in can, of=asked)
            return {one.conversation.name: one for one in parity.cases}

        cases: dict[str, Case] = {}
        if beating is not None and not beating.misses_calls:
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
            misses_calls="tools" in can and self._misses_calls_natively(native, text),
            parity=Parity(tuple(cases[one.name] for one in self._conversations)),
        )

    def _misses_calls_natively(self, native: NativeTemplate, text: str) -> bool:
        """Return whether the server would not read the model's calls with a chat template.

        Where it reads them, no change for the prompts alters how they are written.
        """
        found = self._native_misses_calls
        if not self.claims.tools or next(iter(found.values()), None) is False:
            return False
        if text not in found:
            found[text] = misses_calls_natively(
                native.answer_readers(),
                self._answers,
                thinks="thinking" in native.capabilities,
                version=self._question.version,
            )
            if found[text] and len(found) == 1:
                self.remarks.append(
                    "the chat template in the GGUF: Ollama would not parse the model's tool calls"
                )
        return found[text]

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

        if self._fill_in is not None:
            from gguf2ollama.families.fill_in import with_fill_in  # noqa: PLC0415 - for code models

            go_template = with_fill_in(go_template, self._fill_in) or go_template
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

    def _parser(self, *, thinks: bool) -> AnswerParser | None:
        """Return the parser that reads the model's answers, where a TEMPLATE may have one."""
        from gguf2ollama.chat.ollama_parsers import known_parsers  # noqa: PLC0415 - as below

        asked = self._question
        if not self.claims.tools or asked.gets_renderer:
            return None
        return first_that_reads(known_parsers(asked.version), self._answers, thinks=thinks)

    def _with_go(
        self, origin: Origin, why: str, go_template: str, *, parser: AnswerParser | None = None
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
        hides_tags = "thinking" not in capabilities and shows_thinking(self._question.authors.chat_template)
        if misses_calls:
            self.remarks.append(f"{why}: Ollama would not parse the model's tool calls")
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
            parity=self._compare(
                [
                    self._go_prompt(parsed, one, capabilities=capabilities, budget=budget)
                    for one in self._as_taken(capabilities, system=self._question.system)
                ],
                thinks="thinking" in capabilities,
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
        found = synthesis.synthesise(
            self._renderer, self._question.authors, with_tools=not self._doubts_tools()
        )
        if not isinstance(found, synthesis.Synthesis):
            self.remarks.append(f"no TEMPLATE could be generated from the chat template: {found.reason}")
            return
        self.remarks += [f"{what}: {one.reason}" for one in found.lacking]
        try:
            yield from self._by_template("synthesised", what, found.go_template)
        except InvalidModelfile as error:  # ours to mend, and no reason to do without the other candidates
            self.remarks.append(f"{what}: {error.message}")

    def _doubts_tools(self) -> bool:
        """Return whether nobody can mean what the authors' template prints of tools."""
        with_tools = [conversation for conversation in self._conversations if conversation.tools]
        wanted = self._wanted(with_tools, thinks=False)
        return any(isinstance(want, Refused) and want.cause == "doubtful" for want in wanted)

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
        of: Sequence[Conversation] | None = None,
    ) -> Parity:
        asked = self._conversations if of is None else of
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


def _is_no_better(case: Case, *, than: Case) -> bool:
    return case.verdict not in {Verdict.exact, Verdict.json_equal} or case.verdict is than.verdict
