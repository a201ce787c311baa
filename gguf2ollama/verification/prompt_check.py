"""Compare the prompts that a server makes for a model with those its authors meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Case, Parity, Verdict, compare, without_bos
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, Claims, as_asked
from gguf2ollama.chat.test_conversations import battery
from gguf2ollama.errors import Gguf2OllamaError, ServerRefused, UsageProblem
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo, ServerFeatures, ServerVersion
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.template_selection import Tried

__all__ = [
    "Mismatches",
    "Way",
    "compare_on_server",
    "compare_timely",
    "mismatches",
    "shows_prompts",
    "way_of",
]

Way: TypeAlias = Literal["native", "TEMPLATE", "RENDERER"]

_NAMED = 3  # conversations that a message names
_USUAL = frozenset({"plain", "tools", "thinking"})
_ASKED_AGAIN = 3  # times, where a prompt tells the time
_SETTLED = {Verdict.exact, Verdict.refused}
_TEMPLATE_KEY = "tokenizer.chat_template"
_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


def shows_prompts(version: ServerVersion) -> bool:
    """Return whether a server can show the prompt that a chat becomes."""
    return ServerFeatures.of(version).shows_prompts


def way_of(info: ModelInfo, metadata: Mapping[str, Any]) -> Way:
    """Return what renders the chats of a model: of its Jinja text, a server tells the text as its template.

    Args:
        info: What the server tells of it.
        metadata: The metadata of its GGUF.
    """
    if info.renderer:
        return "RENDERER"
    if not info.template or info.template == metadata.get(_TEMPLATE_KEY):
        return "native" if info.template else "TEMPLATE"
    try:
        parse(info.template)
    except Gguf2OllamaError:
        return "native"  # no server keeps a TEMPLATE that does not parse
    return "TEMPLATE"


@dataclass(frozen=True, slots=True)
class Mismatches:
    """Conversations whose prompts on a server are not what the authors' chat template makes.

    Those that were predicted to differ are not among them, and none is of a server that shows no prompts
    (before 0.11.5).
    """

    cases: tuple[Case, ...] = ()

    @property
    def usual(self) -> Mismatches:
        """Those that users meet: plain chats, tools, thinking."""
        return Mismatches(tuple(one for one in self.cases if one.conversation.feature in _USUAL))

    @property
    def rare(self) -> Mismatches:
        """All others: contents that hardly any chat has, reasoning history, assistant prefill."""
        return Mismatches(tuple(one for one in self.cases if one.conversation.feature not in _USUAL))

    def without(self, names: Collection[str]) -> Mismatches:
        """Return those whose conversations have other names."""
        return Mismatches(tuple(one for one in self.cases if one.conversation.name not in names))

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


def mismatches(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    tried: Tried,
    recipe: Recipe,
    progress: Progress = ignore,
) -> Mismatches:
    """Return the conversations whose prompts differ from the authors', and were not predicted to.

    Where a renderer of Ollama's own takes the place of what was planned, nothing was predicted.
    """
    if not shows_prompts(ServerVersion.parse(tried.version)):
        return Mismatches()
    with Renderer() as renderer:
        parity = compare_on_server(
            client,
            name,
            info,
            authors=tried.authors,
            template=tried.authors.load(renderer),
            claims=tried.choice.claims,
            way=_way_planned(info, recipe),
            version=tried.version,
            meant_system=tried.meant_system,
            progress=progress,
        )
    if info.renderer and not recipe.modelfile.renderer:
        return Mismatches(parity.faults)
    predicted = {case.conversation.name for case in tried.choice.chosen.parity.faults}
    return Mismatches(parity.faults).without(predicted)


def _way_planned(info: ModelInfo, recipe: Recipe) -> Way:
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
    way: Way,
    version: str,
    meant_system: str,
    task: str = "comparing prompts",
    progress: Progress = ignore,
) -> Parity:
    """Compare the prompts that a server makes with those that were meant, over the whole battery.

    The model is loaded for it, if it is not. Ollama keeps one runner for all models of the same weights,
    started with the settings of the first, whose template may then render: unload the model before, which
    ends that runner whatever its name.

    Args:
        client: The server.
        name: The model.
        info: What the server tells of it.
        authors: What its authors meant.
        template: Their chat template.
        claims: What that makes something of; nothing else is asked.
        way: What renders on the server.
        version: The version of the server.
        meant_system: The system message that prompts shall have where a conversation has none.
        task: What progress calls it.
        progress: Told the prompts compared.
    """
    conversations = [one for one in battery() if claims.includes(one)]
    thinks = "thinking" in info.capabilities
    before = [Message(role=_ROLES[role], content=text) for role, text in info.messages if role in _ROLES]
    asked = [
        canonical(
            as_asked(one, thinks=thinks, system=meant_system, before=before),
            path="go" if way == "TEMPLATE" else "native",  # renderers, too, get messages and tools in order
            version=version,
        )
        for one in conversations
    ]
    wanted = authors.meant(template, asked)
    # built-in renderers print the BOS that is then cut (`completionPrompt` in llm/llama_server.go of 0.34.4)
    bos = authors.bos if way == "RENDERER" and authors.adds_bos else ""
    cases = []
    for number, (conversation, told, want) in enumerate(zip(conversations, asked, wanted, strict=True)):
        progress(Update(task=task, done=number, total=len(conversations), unit="items"))
        cases.append(
            compare_timely(
                conversation,
                want=want,
                ask=partial(_prompt, client, name, conversation, bos=bos),
                mean=partial(_meant, authors, template, told),
            )
        )
    progress(Update(task=task, done=len(conversations), total=len(conversations), unit="items"))
    return Parity(tuple(cases))


def compare_timely(
    conversation: Conversation, *, want: Outcome, ask: Callable[[], Outcome], mean: Callable[[], Outcome]
) -> Case:
    """Compare a server's prompt with what is meant at the time, which a chat template may tell.

    Args:
        conversation: The conversation.
        want: What was meant a while ago.
        ask: Asks the server for its prompt.
        mean: Gives what is meant now.
    """
    got = ask()
    case = compare(conversation, want=want, got=got)
    for _ in range(_ASKED_AGAIN):
        if case.verdict in _SETTLED or (meant := mean()) == case.want:
            break
        case = compare(conversation, want=meant, got=got)
        if case.verdict not in _SETTLED:
            got = ask()
            case = compare(conversation, want=meant, got=got)
    return case


def _meant(authors: Authors, template: AuthorsTemplate, told: Conversation) -> Outcome:
    (meant,) = authors.meant(template, [told])
    return meant


def _prompt(client: Client, name: ModelName, conversation: Conversation, *, bos: str) -> Outcome:
    body = conversation.for_ollama()
    try:
        rendered = client.render(name, body["messages"], tools=body.get("tools", ()), think=body.get("think"))
        return without_bos(Rendered(rendered), bos=bos)
    except (ServerRefused, UsageProblem) as error:
        return Refused(error.message)
