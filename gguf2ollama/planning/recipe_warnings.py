"""What may surprise the user of a recipe, one sentence each: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gguf2ollama.families import Detection
from gguf2ollama.modelfiles import Modelfile
from gguf2ollama.planning.settings import ModelSettings, TemplateOrigin
from gguf2ollama.planning.stored.plan_cache import NO_CACHE, PlanCache
from gguf2ollama.planning.stored.value_json import Forms
from gguf2ollama.planning.target import Target

if TYPE_CHECKING:
    from gguf2ollama.chat.choice.candidate import TemplateChoice
    from gguf2ollama.chat.outcome import Misread

__all__ = ["MISREAD", "MISSED_CALLS", "UNSEEN_TOOLS", "lint_warnings", "recipe_warnings"]

UNSEEN_TOOLS = (
    "Ollama lists tools among the capabilities, since the chat template names them, but the template never"
    " prints the tools that a client offers, so the model does not see them"
)
HIDDEN_TOOLS = (
    "Ollama lists tools among the capabilities, since the TEMPLATE names .Tools, but it never prints the"
    " names of the tools that a client offers, so the model does not see them"
)
MISSED_CALLS = (
    "Ollama will not parse tool calls that are written as the chat template writes them: answers with calls"
    " fail, or keep them as text"
)
MISREAD: dict[Misread, str] = {
    "contents": (
        "Ollama will not parse plain answers that are written as the chat template writes them: they fail or"
        " lose text"
    ),
    "thoughts": (
        "Ollama will not parse reasoning that is written as the chat template writes it: it stays in the"
        " answer, or the answer fails"
    ),
    "braces": (
        "with tools, Ollama takes a { in an answer for the beginning of a tool call: answers with code or"
        " JSON fail"
    ),
    "several calls": (
        "Ollama will not parse several tool calls in one answer that are written as the chat template writes"
        " them: such answers fail, or keep one call"
    ),
}
_SHOWN = 60  # characters of a text
_NO_INSERT = (
    "the model fills in the middle, but Ollama refuses suffix in /api/generate here: that needs a TEMPLATE"
)
_NAMED = 3  # conversations that a warning names
_ALL_NAMED = {"switch", "irregular"}  # each is about something of its own
_WITHOUT_PARAMETER = (
    "sequence",
    "xtc_probability",
    "xtc_threshold",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
)


def recipe_warnings(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    origin: TemplateOrigin,
    target: Target,
    settings: ModelSettings,
    choice: TemplateChoice | None,
    renderer: str | None,
) -> Iterator[str]:
    """Return the warnings about templates and sampling values.

    Args:
        metadata: The metadata of the GGUF.
        detection: Its family.
        origin: Whose template renders a chat.
        target: The Ollama that will run the model.
        settings: What the user requests and the publishers recommend.
        choice: The template that was chosen by comparing prompts; ``None`` where none were compared.
        renderer: The built-in renderer that ``create`` gives the model; ``None`` for none.
    """
    yield from _template_warnings(
        detection=detection, origin=origin, target=target, settings=settings, choice=choice, renderer=renderer
    )
    yield from settings.published.problems
    if settings.template_problem:
        yield settings.template_problem
    if settings.default_system:
        yield (
            f'the chat template has a system prompt of its own, which --system "" cannot keep out of prompts:'
            f" {settings.default_system[:_SHOWN]!r}"
        )
    yield from _fill_in_warnings(settings, choice)
    if unused := [key for key in _WITHOUT_PARAMETER if f"general.sampling.{key}" in metadata]:
        yield f"the GGUF recommends {', '.join(unused)} for sampling, which Ollama has no PARAMETER for"
    if (current := settings.published.chat_template) is not None and settings.chat_template is None:
        embedded = metadata.get("tokenizer.chat_template")
        if isinstance(embedded, str) and not _is_same_text(embedded, current.value):
            yield (
                f"the chat template in the GGUF differs from the current one ({current.source}); use"
                " --chat-template upstream to switch"
            )


def _fill_in_warnings(settings: ModelSettings, choice: TemplateChoice | None) -> Iterator[str]:
    """Return what filling in the middle and chats exclude."""
    fill_in, chosen = settings.fill_in, choice.chosen if choice is not None else None
    if fill_in is None or choice is None or chosen is None or choice.gets_renderer:
        return
    if settings.prefers_insert and choice.claims.tools and not chosen.is_native:
        if "tools" not in chosen.capabilities or chosen.misses_calls:
            yield "with --fim the model cannot use tools: the TEMPLATE that renders its chats then has none"
        return
    if chosen.inserts or not fill_in.is_certain or chosen.origin == "user":
        return
    if "tools" in chosen.capabilities:
        yield f"{_NO_INSERT} in place of the chat template, which renders tools more exactly; --fim adds it"
    else:
        yield f"{_NO_INSERT}, and none renders its chats as well as the chat template; --fim adds it"


def lint_warnings(
    modelfile: Modelfile, *, chat_template: str, is_template_given: bool, cache: PlanCache = NO_CACHE
) -> tuple[str, ...]:
    """Return the linter's warnings, but for those about what only a Modelfile lacks.

    Args:
        modelfile: The Modelfile of the recipe.
        chat_template: The chat template in the GGUF.
        is_template_given: Whether its TEMPLATE is the user's.
        cache: What was found out before; the linter parses and runs templates.
    """

    def warnings() -> tuple[str, ...]:
        from gguf2ollama.modelfiles import Weights, lint  # noqa: PLC0415 - seldom called

        weights = Weights(chat_template=chat_template)
        return tuple(
            f"{finding.message}: {finding.hint}" if finding.hint else finding.message
            for finding in lint(modelfile, weights=weights, tries_template=is_template_given)
            if finding.level != "note" and finding.code not in {"not-carried", "replaced-template"}
        )

    inputs = ("lint", modelfile, chat_template, is_template_given)
    return cache.recall(inputs, warnings, form=lambda: Forms().of(tuple[str, ...]))


def _is_same_text(one: str, other: str) -> bool:
    """Return whether two texts differ at most in line endings and surrounding white space."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _template_warnings(
    *,
    detection: Detection,
    origin: TemplateOrigin,
    target: Target,
    settings: ModelSettings,
    choice: TemplateChoice | None,
    renderer: str | None,
) -> Iterator[str]:
    """Return the warnings about how chats are rendered."""
    if choice is not None:
        yield from _choice_warnings(choice, origin=origin, target=target)
    elif origin == "native":
        note = settings.chat_template_note
        yield f"{detection.reason}; the chat template in the GGUF{note} renders its chats"
    elif origin == "none" and detection.kind == "chat":
        which = f"Ollama {target.version}" if target.version else "this Ollama"
        yield (
            f"{detection.reason}; {which} cannot use the chat template in a GGUF, so its chats are not"
            " rendered as its authors intend: pass --template FILE, or use Ollama 0.30 or newer"
        )
    elif origin == "none" and detection.kind == "base" and renderer is not None:
        yield f"the file has no chat template; Ollama's built-in renderer {renderer} renders its chats"
    elif origin == "none" and detection.kind == "base":
        yield (
            f"this looks like a base model ({detection.reason}); pass --template FILE to make it a chat model"
        )
    elif origin == "profile" and detection.confidence != "template":
        yield f"{detection.reason}; if this guess is wrong, pass --template FILE"


def _choice_warnings(choice: TemplateChoice, *, origin: TemplateOrigin, target: Target) -> Iterator[str]:
    """Return the warnings about the template that was chosen by comparing prompts."""
    if choice.gets_renderer:
        yield (
            "Ollama gives uploads of this architecture a built-in renderer, which replaces the chat template"
            " in the GGUF (--via link or pull keeps it)"
        )
        return
    yield from _shortfalls(choice)
    if _drops_system(choice):
        yield "system messages of clients do not reach the model: its chat template does not print them"
    if choice.hides_tools:
        yield UNSEEN_TOOLS if choice.chosen.is_native else HIDDEN_TOOLS
    if choice.turns_thinking_on:
        off = "" if "off" in choice.ignored_thinking else '; "think": false turns it off'
        yield (
            "Ollama turns reasoning on unless a client says otherwise, which the model's own chat template"
            f" does not{off}"
        )
    if "off" in choice.ignored_thinking:
        yield '"think": false does not change the prompt: the model reasons all the same, if it does'
    if "levels" in choice.ignored_thinking:
        yield '"think": "low", "medium" and "high" do not reach the chat template: each turns reasoning on'
    yield from (MISREAD[kind] for kind in choice.misread)
    if choice.chosen.generate_note:
        yield choice.chosen.generate_note
    if origin == "native" and target.create_replaces_template and choice.chosen.companion is None:
        yield (
            "Ollama may use a template of its own instead of the chat template in the GGUF when it creates"
            " the model; `gguf2ollama build` detects that"
        )


def _drops_system(choice: TemplateChoice) -> bool:
    """Whether a chat is rendered alike with a system message and without."""
    from gguf2ollama.chat.outcome import Rendered  # noqa: PLC0415 - loaded where there is a choice

    prompts = {case.conversation.name: case.got for case in choice.chosen.parity.cases}
    alone = prompts.get("one turn")
    return isinstance(alone, Rendered) and alone == prompts.get("system, one turn")


def _shortfalls(choice: TemplateChoice) -> Iterator[str]:
    """Return which conversations the best candidate renders differently from the model's chat template.

    JSON that is only written differently is no reason to warn: the scores show it.
    """
    from gguf2ollama.chat.outcome import Refused  # noqa: PLC0415 - loaded where there is a choice

    parity = choice.chosen.parity
    for feature, score in parity.scores.items():
        if not score.different:
            continue
        names = [case.conversation.name for case in parity.differing if case.conversation.feature == feature]
        count = len(names) if feature in _ALL_NAMED else _NAMED
        shown = ", ".join(names[:count]) + (", …" if len(names) > count else "")
        yield (
            f"{score.different} of {score.compared} {feature} conversations render differently"
            f" from the model's chat template: {shown}"
        )
    unknown = {case.note: None for case in parity.faults if case.got is None}
    if unknown and not choice.chosen.is_native:
        yield f"some conversations cannot be compared: {next(iter(unknown))}"
    for case in parity.cases:
        if isinstance(case.want, Refused) and case.want.cause == "doubtful":
            yield f"some prompts cannot be compared: {case.want.reason}"
            break
    failing = {case.got.reason: None for case in parity.faults if isinstance(case.got, Refused)}
    if failing:
        yield f"Ollama would fail to render some conversations: {next(iter(failing))}"
    if (day := choice.chosen.day) is not None:
        yield (
            "this template prints today's date, which Ollama < 0.11.4 cannot provide; it is fixed to"
            f" {day.isoformat()} until you rebuild"
        )
    if choice.chosen.misses_calls:
        yield MISSED_CALLS
