"""From any chat template to a Go TEMPLATE, by probing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Feature, Role, Think
from gguf2ollama.chat.reference import Branch, ReferenceTemplate, Renderer
from gguf2ollama.chat.reference.request import thinking_variables
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.chat.synthesis.call_forms import find_forms
from gguf2ollama.chat.synthesis.content_rules import (
    SCOPES,
    learn_empty,
    learn_inline,
    learn_trimming,
    with_system,
)
from gguf2ollama.chat.synthesis.dates import find_dates, unknown_parts
from gguf2ollama.chat.synthesis.emitter import emit
from gguf2ollama.chat.synthesis.facts import think_value
from gguf2ollama.chat.synthesis.go_prelude import facts_of_rules
from gguf2ollama.chat.synthesis.holdout import differing, held_out_chats, held_out_texts
from gguf2ollama.chat.synthesis.learning import Observed, Unlearnable, learn_rules
from gguf2ollama.chat.synthesis.plan import Plan, base, blank, empty, padded
from gguf2ollama.chat.synthesis.probes import Forms
from gguf2ollama.chat.synthesis.rules import Rules, Slot
from gguf2ollama.chat.synthesis.session import Session
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl.parse import parse

__all__ = ["Lack", "NotSynthesised", "Synthesis", "synthesise"]

_DAY = datetime(2031, 9, 17, 13, 5, 44)  # noqa: DTZ001  # a day whose year, month, day and names tell apart


_PROBED_TOOLS = [one["function"]["name"] for one in MARKED]
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_THINKS: tuple[Think, ...] = (None, False, True, "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a Go TEMPLATE does not do as the chat template does, and why: one sentence."""

    feature: Feature
    reason: str


_REFUSED_SYSTEM = Lack(
    feature="plain",
    reason="the chat template rejects system messages: the system prompt is prepended to the first user"
    " message",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A Go TEMPLATE that was learnt from a chat template.

    Attributes:
        go_template: The TEMPLATE.
        rules: What was learnt.
        features: What it does as the chat template does, as far as probing can tell.
        lacking: What it doesn't.
        unreached: The branches of the chat template that no probe reached, so that nothing is known of them;
            ``None`` where that was not asked for.
    """

    go_template: str
    rules: Rules
    features: frozenset[Feature]
    lacking: tuple[Lack, ...]
    unreached: tuple[Branch, ...] | None = None


@dataclass(frozen=True, slots=True)
class NotSynthesised:
    """Why a chat template could not be learnt: one sentence."""

    reason: str


def synthesise(
    renderer: Renderer, authors: Authors, *, with_tools: bool = True, covers: bool = False
) -> Synthesis | NotSynthesised:
    """Learn a Go TEMPLATE that prints what a model's chat template prints.

    Args:
        renderer: Renders the chat template.
        authors: The chat template, and what belongs to it.
        with_tools: Whether to learn how it prints tools and their calls.
        covers: Whether to find out which branches no probe reached, which takes about as long again.

    Raises:
        InvalidInput: The chat template is no template, or takes more of the machine than it may.
    """
    template = renderer.load(
        authors.chat_template,
        bos=authors.bos or None,
        eos=authors.eos or None,
        tokens=authors.tokens,
        now=_DAY,
    )
    bos = authors.bos if authors.adds_bos else ""
    found = _Synthesiser(template, bos=bos, with_tools=with_tools).run()
    if covers and isinstance(found, Synthesis):
        return replace(found, unreached=template.coverage().unreached)
    return found


def _names_thinking(text: str) -> bool:
    """Whether Ollama takes a chat template for one of a model that thinks.

    Source: ``TemplateSupportsThinking`` in ``thinking/template.go`` of Ollama 0.34.4; a template that
        splits at ``</think>`` without naming ``<think>`` is taken for one as well.
    """
    return "</think>" in text


class _Synthesiser:
    def __init__(self, template: ReferenceTemplate, *, bos: str, with_tools: bool) -> None:
        self.template = template
        self.with_tools = with_tools
        self.session = Session(template, bos=bos)

    def run(self) -> Synthesis | NotSynthesised:
        """Learn as many features as can be learnt together."""
        reasons: dict[Feature, str] = {}
        why = ""
        wanted = list(self._wanted())
        for features in wanted:
            try:
                rules, lacks = self.learn(features)
                go_template = self._written(rules)
            except Unlearnable as problem:
                why = str(problem)
                reasons.setdefault(features[-1], why)
                continue
            missing = [one for one in wanted[0] if one not in features]
            lacking = [Lack(feature=one, reason=reasons.get(one, why)) for one in missing]
            return Synthesis(
                go_template=go_template,
                rules=rules,
                features=frozenset(features),
                lacking=(*lacking, *lacks),
            )
        return NotSynthesised(reasons["plain"])

    def _written(self, rules: Rules) -> str:
        """Write the TEMPLATE of some rules.

        Raises:
            Unlearnable: It is none that Ollama or we can read, such as one that is too long.
        """
        # without a place for thinking, Ollama takes the model for one that has no switch for it
        has_switch = "think" in facts_of_rules(rules)
        continues = has_switch or _names_thinking(self.template.text)
        go_template = emit(rules, continues_thinking=continues)
        try:
            parse(go_template)
        except InvalidModelfile as problem:
            raise Unlearnable(f"no TEMPLATE can express it: {problem.message}") from problem
        return go_template

    def _wanted(self) -> Iterator[Sequence[Feature]]:
        """Return what to try, the most first; what comes last in it is likeliest to fail."""
        prints_tools = "tools" in self.template.variables or "tool_calls" in self.template.keys
        if self.with_tools and prints_tools:
            yield "plain", "thinking", "tools"
            yield "plain", "tools"
        yield "plain", "thinking"
        yield ("plain",)

    def learn(self, features: Sequence[Feature]) -> tuple[Rules, list[Lack]]:
        """Learn rules for some features, and what they do not hold for.

        Raises:
            Unlearnable: There are none.
        """
        thinks = self._thinks(features)
        thought = "thinking" in features
        if "tools" not in features:
            return self._learn(Plan(thinks=thinks, thought=thought))
        plan = Plan(thinks=thinks, thought=thought, forms=find_forms(self.session))
        try:
            return self._learn(plan)
        except Unlearnable as problem:
            rules, lacks = self._learn(replace(plan, is_parallel=False))
            return rules, [Lack(feature="tools", reason=f"parallel tool calls: {problem}"), *lacks]

    def _learn(self, plan: Plan) -> tuple[Rules, list[Lack]]:
        observed = self.session.observe(list(base(plan)))
        if not any(one.generates for one in observed):
            raise Unlearnable("the template rejects every conversation")
        rules = self._dated(learn_rules(observed, forms=plan.forms))
        rules = learn_trimming(rules, self.session.observe(list(padded(plan))))
        rules, lacks = self._with_empty(rules, observed, plan.forms)
        if plan.thought:
            rules, inline = self._with_inline(rules, plan)
            lacks += inline
        lacks += self._check(rules, plan)
        if not any(one.probe.shape.startswith("su") for one in observed):
            return with_system(rules), [*lacks, _REFUSED_SYSTEM]
        return rules, lacks

    def _with_inline(self, rules: Rules, plan: Plan) -> tuple[Rules, list[Lack]]:
        """Learn what becomes of thinking within answers' texts: in all ways, or the usual one."""
        lacks: list[Lack] = []
        for scope in SCOPES:
            try:
                return learn_inline(rules, self.session, thinks=plan.thinks, scope=scope), lacks
            except Unlearnable as problem:  # three times at most
                lacks = [Lack(feature="thinking", reason=str(problem))]
        return rules, lacks

    def _check(self, rules: Rules, plan: Plan) -> list[Lack]:
        """Hold rules to what they were not learnt from; give what they do not hold for.

        Raises:
            Unlearnable: They do not hold for ordinary chats.
        """
        if any(name in text for text in rules.texts() for name in _PROBED_TOOLS):
            raise Unlearnable("tools are printed in some conversations only")
        if wrong := differing(rules, self.session, list(held_out_chats(plan))):
            raise Unlearnable(f"longer conversations do not follow the rules found ({wrong[0].name})")
        texts = list(held_out_texts())
        wrong = differing(rules, self.session, texts)
        if len(wrong) > len(texts) / 2:
            raise Unlearnable("the output depends on the content of texts")
        names = dict.fromkeys(one.name for one in wrong)
        return [
            Lack(feature="plain", reason=f"the output depends on the content of texts ({name})")
            for name in names
        ]

    def _with_empty(
        self, rules: Rules, observed: Sequence[Observed], forms: Forms | None
    ) -> tuple[Rules, list[Lack]]:
        """Learn what becomes of empty messages, role by role, and what cannot be learnt of it."""
        lacks: list[Lack] = []
        for role in _ROLES:
            try:
                rules = self._emptied(rules, role, observed, forms)
            except Unlearnable as problem:  # one role's trouble is not the others'
                lacks.append(Lack(feature="plain", reason=str(problem)))
        return rules, lacks

    def _emptied(self, rules: Rules, role: Role, observed: Sequence[Observed], forms: Forms | None) -> Rules:
        """Learn what becomes of empty messages of a role, and of those with nothing but white space.

        Raises:
            Unlearnable: It follows no rule.
        """
        empties = self.session.observe(list(empty(role)))
        chats = [one.probe.conversation for one in empties]
        learnt = rules
        with suppress(Unlearnable):
            learnt = learn_empty(rules, role, empties)
        if differing(learnt, self.session, chats):
            learnt = self._silent(rules, role, [*observed, *empties], forms)
        if differing(learnt, self.session, chats):
            raise Unlearnable(f"the output for an empty {role} text follows no known rule")
        rules = learnt
        asked = list(blank(role))
        for candidate in (rules, replace(rules, blank=rules.blank | {role})):
            if not differing(candidate, self.session, asked):
                return candidate
        return rules

    def _dated(self, rules: Rules) -> Rules:
        """Find the day's date in what is printed."""
        found = find_dates(self.template.text, day=_DAY)
        texts = list(rules.texts())
        dates = {text: form for text, form in found.items() if any(text in one for one in texts)}
        for form in dates.values():
            if unknown := unknown_parts(form):
                raise Unlearnable(f"the date format uses {unknown[0]}, which Ollama cannot provide")
        levelled = bool({"low", "high"} & set(map(think_value, self._thinks(["thinking"]))))
        return replace(rules, dates=dates, levelled=levelled)

    def _silent(self, rules: Rules, role: Role, observed: Sequence[Observed], forms: Forms | None) -> Rules:
        """Learn rules in which empty messages of a role print nothing; others may see that they are empty."""
        silent = learn_rules(observed, forms=forms, silent=rules.silent | {role})
        trims = {
            (role, slot.kind): (slot.left, slot.right)
            for role, block in rules.blocks.items()
            for slot in block.slots
        }

        def trimmed(host: str, slot: Slot) -> Slot:
            left, right = trims[host, slot.kind]
            return replace(slot, left=left, right=right)

        blocks = silent.with_slots(trimmed).blocks
        return replace(rules, blocks=blocks, ending=silent.ending, silent=rules.silent | {role})

    def _thinks(self, features: Iterable[Feature]) -> tuple[Think, ...]:
        """Return the ways to ask for thinking that the template is told apart."""
        if "thinking" not in features:
            return (None,)
        known = self.template.variables
        if thinking_variables("high", known=known) != thinking_variables(think=True, known=known):
            return _THINKS
        return _THINKS[:3] if thinking_variables(think=True, known=known) else _THINKS[:1]
