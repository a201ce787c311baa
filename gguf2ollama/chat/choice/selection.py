"""Choose what renders a model's chats on an Ollama: candidates are tried offline, and the best is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from gguf2ollama.chat.answers.output_checks import are_calls_read
from gguf2ollama.chat.changes.patches import Change, Patch, Shown, changes, keep_out_detection
from gguf2ollama.chat.choice.candidate import Candidate, NothingRenders, Question, TemplateChoice
from gguf2ollama.chat.choice.capability_checks import hides_tools, ignored_thinking
from gguf2ollama.chat.choice.costs import Cost, cost_of
from gguf2ollama.chat.choice.native_way import NativeWay
from gguf2ollama.chat.choice.template_way import TemplateWay
from gguf2ollama.chat.choice.trial_chats import TrialChats
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp import Prediction
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.jinja.facts import shows_tools

__all__ = ["choose_template"]

_COST = Cost._fields


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
        return NothingRenders(remarks=tuple(trial.remarks), refusal=trial.native.refusal)
    chosen, *others = sorted(found, key=trial.cost)
    render, is_unknown = partial(trial.prompt_of, chosen), question.gets_renderer
    return TemplateChoice(
        chosen=chosen,
        others=tuple(others),
        reason=f"{chosen.why}: {chosen.parity}",
        claims=trial.chats.claims,
        cutting=trial.chats.cutting_stops(),
        remarks=tuple(trial.remarks),
        gets_renderer=question.gets_renderer,
        turns_thinking_on="thinking" in chosen.capabilities and not trial.chats.thinks_by_default(),
        ignored_thinking=() if is_unknown else ignored_thinking(chosen, render, authors=trial.chats.template),
        hides_tools=not is_unknown and hides_tools(chosen, render),
        misread=() if is_unknown else trial.native.misread(chosen),
    )


class _Trial:
    """The candidates for one question, each made and tried when it is its turn."""

    def __init__(self, question: Question, renderer: Renderer) -> None:
        now = datetime.now().astimezone()
        self.found: list[Candidate] = []
        self.remarks: list[str] = []
        self.chats = TrialChats(question, renderer, now=now)
        self.native = NativeWay(question, self.chats, now=now, remarks=self.remarks)
        self.go = TemplateWay(
            question,
            self.chats,
            carried=self.native.carried,
            renderer=renderer,
            now=now,
            remarks=self.remarks,
        )
        self._question = question
        self._best: Candidate | None = None  # of the native way, as changed until now
        self._made = Patch(text=question.authors.chat_template, why=())

    def candidates(self) -> Iterator[Candidate]:
        """Return the candidates, the cheapest to try first."""
        asked = self._question
        if asked.user is not None:
            yield self.go.with_template("user", "the given TEMPLATE", asked.user)
            return
        native = None
        if asked.is_native:
            native = self.native.attempt("native", "the chat template in the GGUF", None)
            if native is not None:
                native = self.native.with_companion(native)
                yield native
        if asked.gets_renderer:  # of Ollama's own, which goes before whatever there is
            return
        if asked.may_template and asked.profile is not None:
            yield from self.go.attempt("profile", "the family's TEMPLATE", asked.profile)
        if asked.is_native and asked.may_patch:
            yield from self._patched(native)
        if asked.may_template and self._is_worth_learning():
            yield from self.go.synthesised()

    def is_settled_by(self, candidate: Candidate) -> bool:
        """Whether no other candidate can be better than this one."""
        if self._wants_insert and not candidate.inserts:
            return False
        cost = self.cost(candidate)
        if any(cost[: _COST.index("copied") + 1]):
            return False
        if candidate.is_native and not (cost.changed or self._question.is_exact):
            # a TEMPLATE gets properties and arguments sorted, and may have no branch that is not seen
            if self.chats.claims.tools and shows_tools(self.native.carried):
                return True
            if not cost.irregular and self.chats.unreached:
                return True
        return not any(cost[:-1])

    @property
    def _wants_insert(self) -> bool:
        """Whether a TEMPLATE that fills in the middle may go before the chat template."""
        has_tools = self.chats.claims.tools and shows_tools(self.native.carried)
        return self.go.fill_in is not None and (self._question.prefers_insert or not has_tools)

    def may_be_displaced(self, candidate: Candidate) -> bool:
        """Whether the server may put a template of its own before what the candidate brings."""
        asked = self._question
        is_kept = candidate.companion is not None or asked.gets_renderer
        return asked.create_replaces_template and candidate.origin == "native" and not is_kept

    def prompt_of(self, candidate: Candidate, conversation: Conversation) -> Prediction:
        """Return what the server makes of a conversation with a candidate."""
        (taken,) = self.chats.as_taken(
            candidate.capabilities, system=self._question.system, of=[conversation]
        )
        if candidate.go_template is None:
            text = self.native.carried if candidate.chat_template is None else candidate.chat_template
            return self.native.template(text).render(taken)
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - only where a TEMPLATE was taken
        from gguf2ollama.gotmpl.state import Budget  # noqa: PLC0415 - as above

        parsed = parse(candidate.go_template)
        return self.go.prompt(parsed, taken, capabilities=candidate.capabilities, budget=Budget())

    def cost(self, candidate: Candidate) -> Cost:
        """Return what speaks against a candidate."""
        return cost_of(
            candidate,
            self._question,
            claims=self.chats.claims,
            may_be_replaced=self.may_be_displaced(candidate),
            fails="contents" in self.native.misread(candidate),
            spoils_format=self._has_tags(candidate) and self.native.spoils_format,
            is_to_insert=self._wants_insert,
            unreached=0 if candidate.is_native or not self._question.is_native else self.chats.unreached,
        )

    def _has_tags(self, candidate: Candidate) -> bool:
        """Whether a TEMPLATE in the place of the chat template has the server look for thoughts by tags."""
        is_template = candidate.go_template is not None and self._question.is_native
        return is_template and candidate.parser is None and "thinking" in candidate.capabilities

    def _is_worth_learning(self) -> bool:
        """Return whether a TEMPLATE made from the chat template could be better than all that was found.

        Where no TEMPLATE lets the server read the model's calls of tools, and no parser does, one is taken
        only in the place of what prompts worse without any.
        """
        asks_insert = self._question.prefers_insert and not any(one.inserts for one in self.found)
        if asks_insert or not self.chats.claims.tools or are_calls_read(self.chats.answers, tag=""):
            return True
        if any(self.go.parser(thinks=thinks) for thinks in (True, False)):
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
        if best is None or text != (best.chat_template or self.native.carried):
            return True
        shown = Shown(
            faults=best.parity.faults,
            moves_system=self.native.template(text).moves_system,
            misses_calls=best.misses_calls,
            reads_answers=self.native.template(text).reads_answers,
        )
        return change.may_mend(shown)

    def _kept(self) -> Iterator[Candidate]:
        """Return the best of the changed templates, made such that the server does not displace it."""
        best = self._best
        if best is not None and best.origin == "patched":
            best = self.native.with_companion(best)
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
        return self.native.attempt("patched", why, patch.text, beating=beating)
