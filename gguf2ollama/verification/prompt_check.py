"""Compare the prompts that a server renders for a model with the reference prompts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.battery.content_switches import find_switches
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.comparison import Case, Parity, Verdict, compare, without_bos
from gguf2ollama.chat.conversation import Conversation, Feature, Message
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, Claims, as_meant, without_gap
from gguf2ollama.errors import Gguf2OllamaError, RunnerStopped, ServerRefused, UsageProblem
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo, ServerFeatures, ServerVersion
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.templates.selected_template import TemplateSelection

__all__ = [
    "Mismatches",
    "RenderedBy",
    "check_prompts",
    "compare_at_same_time",
    "compare_on_server",
    "find_renderer",
    "shows_prompts",
]

RenderedBy: TypeAlias = Literal["native", "TEMPLATE", "RENDERER"]

_NAMED = 3  # conversations that a message names
_USUAL: frozenset[Feature] = frozenset({"plain", "tools", "thinking", "switch"})
_ATTEMPTS = 3  # if a prompt prints the time
_SETTLED = {Verdict.exact, Verdict.refused}
_TEMPLATE_KEY = "tokenizer.chat_template"
_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


def shows_prompts(version: ServerVersion) -> bool:
    """Return whether a server can show the prompt that it renders for a chat."""
    return ServerFeatures.of(version).shows_prompts


def find_renderer(info: ModelInfo, metadata: Mapping[str, Any]) -> RenderedBy:
    """Return what renders the chats of a model; a server reports its Jinja text as its template if that does.

    Args:
        info: What the server reports about it.
        metadata: The metadata of its GGUF.
    """
    if info.renderer:
        return "RENDERER"
    if not info.template or info.template == metadata.get(_TEMPLATE_KEY):
        return "native" if info.template else "TEMPLATE"
    from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - for few models

    try:
        parse(info.template)
    except Gguf2OllamaError:
        return "native"  # a server rejects a TEMPLATE that does not parse
    return "TEMPLATE"


@dataclass(frozen=True, slots=True)
class Mismatches:
    """Conversations whose prompts on a server differ from those of the model's chat template.

    Those that were predicted to differ are left out. There are none for a server that does not show prompts
    (before 0.11.5).
    """

    cases: tuple[Case, ...] = ()

    @property
    def usual(self) -> Mismatches:
        """Those of everyday use: plain chats, tools, thinking; in more than how JSON is written."""
        return Mismatches(tuple(filter(_is_usual, self.cases)))

    @property
    def rare(self) -> Mismatches:
        """All others: JSON that is written differently, rare contents, reasoning history, prefill."""
        return Mismatches(tuple(case for case in self.cases if not _is_usual(case)))

    def without(self, names: Collection[str]) -> Mismatches:
        """Return those whose conversations have other names."""
        return Mismatches(tuple(case for case in self.cases if case.conversation.name not in names))

    def __bool__(self) -> bool:
        return bool(self.cases)

    def __str__(self) -> str:
        grouped: dict[str, list[str]] = {}
        for case in self.cases:
            grouped.setdefault(case.conversation.feature, []).append(case.conversation.name)
        return "; ".join(
            f"{len(names)} {feature} conversations ({', '.join(names[:_NAMED])}"
            f"{', …' if len(names) > _NAMED else ''})"
            for feature, names in grouped.items()
        )


def _is_usual(case: Case) -> bool:
    return case.conversation.feature in _USUAL and case.verdict is not Verdict.json_equal


def check_prompts(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    selection: TemplateSelection,
    recipe: Recipe,
    renderer: Renderer | None = None,
    progress: Progress = ignore,
) -> Mismatches:
    """Return the conversations whose prompts differ from the reference, and were not predicted to.

    If a built-in renderer of Ollama replaces what was planned, nothing was predicted.
    """
    if not shows_prompts(ServerVersion.parse(selection.version)):
        return Mismatches()
    with Renderer() if renderer is None else contextlib.nullcontext(renderer) as running:
        parity = compare_on_server(
            client,
            name,
            info,
            authors=selection.authors,
            template=selection.authors.load(running),
            claims=selection.choice.claims,
            rendered_by=_planned_renderer(info, recipe),
            expected_system=selection.expected_system,
            progress=progress,
        )
    if info.renderer and not recipe.modelfile.renderer:
        return Mismatches(parity.faults)
    predicted = {case.conversation.name for case in selection.choice.chosen.parity.faults}
    return Mismatches(parity.faults).without(predicted)


def _planned_renderer(info: ModelInfo, recipe: Recipe) -> RenderedBy:
    if info.renderer and not recipe.modelfile.renderer:
        return "RENDERER"
    return "native" if recipe.template.value is None else "TEMPLATE"


def compare_on_server(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    authors: Authors,
    template: AuthorsTemplate,
    claims: Claims,
    rendered_by: RenderedBy,
    expected_system: str,
    task: str = "comparing prompts",
    progress: Progress = ignore,
) -> Parity:
    """Compare the prompts that a server renders with the reference prompts, over all test conversations.

    The model is loaded for it, if it is not. Ollama keeps one runner for all models of the same weights,
    started with the settings of the first, whose template may then render: unload the model first, which
    ends that runner whatever its name.

    Args:
        client: The server.
        name: The model.
        info: What the server reports about it.
        authors: Its chat template and tokens.
        template: The compiled chat template.
        claims: The features that it uses; no other conversations are compared.
        rendered_by: What renders on the server.
        expected_system: The system message that prompts must have if a conversation has none.
        task: Its name in progress updates.
        progress: Called with the number of prompts compared.
    """
    conversations = [
        *(conversation for conversation in battery() if claims.includes(conversation)),
        *find_switches(template),
    ]
    thinks = "thinking" in info.capabilities
    before = [Message(role=_ROLES[role], content=text) for role, text in info.messages if role in _ROLES]
    template_does = template.treats_system() if expected_system else "shows"
    requested = [
        as_meant(
            conversation,
            thinks=thinks,
            system=expected_system,
            template_does=template_does,
            before=before,
        )
        for conversation in conversations
    ]
    wanted = authors.meant(template, requested)
    # built-in renderers print the BOS, cut later (`completionPrompt` in llm/llama_server.go of 0.34.4)
    bos = authors.bos if rendered_by == "RENDERER" and authors.adds_bos else ""
    moved = "" if template_does == "shows" else expected_system
    cases = []
    for number, (conversation, request, want) in enumerate(
        zip(conversations, requested, wanted, strict=True)
    ):
        progress(Update(task=task, done=number, total=len(conversations), unit="items"))
        cases.append(
            compare_at_same_time(
                conversation,
                want=without_gap(want, conversation, system=moved) if moved else want,
                ask=partial(_prompt, client, name, conversation, bos=bos, moved=moved),
                render_reference=partial(
                    _reference, authors, template, request, of=conversation, moved=moved
                ),
            )
        )
    progress(Update(task=task, done=len(conversations), total=len(conversations), unit="items"))
    return Parity(tuple(cases))


def compare_at_same_time(
    conversation: Conversation,
    *,
    want: Outcome,
    ask: Callable[[], Outcome],
    render_reference: Callable[[], Outcome],
) -> Case:
    """Compare a server's prompt with the reference at the same time, since chat templates may print the time.

    Args:
        conversation: The conversation.
        want: The reference prompt, rendered a while ago.
        ask: Asks the server for its prompt.
        render_reference: Renders the reference prompt now.
    """
    got = ask()
    case = compare(conversation, want=want, got=got)
    for _ in range(_ATTEMPTS):
        if case.verdict in _SETTLED or (reference := render_reference()) == case.want:
            break
        case = compare(conversation, want=reference, got=got)
        if case.verdict not in _SETTLED:
            got = ask()
            case = compare(conversation, want=reference, got=got)
    return case


def _reference(
    authors: Authors, template: AuthorsTemplate, request: Conversation, *, of: Conversation, moved: str
) -> Outcome:
    (prompt,) = authors.meant(template, [request])
    return without_gap(prompt, of, system=moved) if moved else prompt


def _prompt(client: Client, name: ModelName, conversation: Conversation, *, bos: str, moved: str) -> Outcome:
    body = conversation.for_ollama()
    try:
        rendered = client.render(name, body["messages"], tools=body.get("tools", ()), think=body.get("think"))
        prompt = without_bos(Rendered(rendered), bos=bos)
        return without_gap(prompt, conversation, system=moved) if moved else prompt
    except RunnerStopped:  # of every attempt, which says nothing of this conversation
        raise
    except (ServerRefused, UsageProblem) as error:
        return Refused(error.message)
