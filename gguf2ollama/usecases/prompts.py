"""Compare the prompts that a server makes for a model with those its authors meant."""

from __future__ import annotations

from gguf2ollama.chat.authors import Authors, AuthorsTemplate, Claims, as_asked
from gguf2ollama.chat.battery import battery
from gguf2ollama.chat.canonical import Path, canonical
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.parity import Parity, Verdict, compare
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.errors import ServerRefused, UsageProblem
from gguf2ollama.ollama import Client, ModelInfo, ServerVersion
from gguf2ollama.progress import Progress, Update, ignore
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.try_templates import Tried

__all__ = ["compare_on_server", "surprising_prompts"]

_TASK = "comparing prompts"
_NAMED = 3  # conversations that a message names
_RENDERS_SINCE = ServerVersion.parse("0.11.5")


def surprising_prompts(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    tried: Tried,
    recipe: Recipe,
    progress: Progress = ignore,
) -> tuple[str, ...]:
    """Give a phrase for each feature whose prompts are not what they were to be.

    That is every plain conversation that does not come out as meant, and any other that was foretold to and
    does not. Nothing is said of a server that cannot show its prompts (before 0.11.5).
    """
    if ServerVersion.parse(tried.version) < _RENDERS_SINCE:
        return ()
    with Renderer() as renderer:
        parity = compare_on_server(
            client,
            name,
            info,
            authors=tried.authors,
            template=tried.authors.load(renderer),
            claims=tried.choice.claims,
            path="native" if recipe.template.value is None else "go",
            version=tried.version,
            meant_system=recipe.system.value if recipe.system.source == "--system" else "",
            progress=progress,
        )
    foretold = {case.conversation.name for case in tried.choice.chosen.parity.faults}
    surprises: dict[str, list[str]] = {}
    for case in parity.faults:
        feature, title = case.conversation.feature, case.conversation.name
        if (feature == "plain" and case.verdict is not Verdict.json_equal) or title not in foretold:
            surprises.setdefault(feature, []).append(title)
    return tuple(
        f"{len(names)} {feature} conversations ({', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)})"
        for feature, names in surprises.items()
    )


def compare_on_server(
    client: Client,
    name: ModelName,
    info: ModelInfo,
    *,
    authors: Authors,
    template: AuthorsTemplate,
    claims: Claims,
    path: Path,
    version: str,
    meant_system: str,
    progress: Progress = ignore,
) -> Parity:
    """Compare the prompts that a server makes with those that were meant, over the whole battery.

    The model is loaded for it, if it is not. Ollama keeps runners by their weights: where another model of
    the same weights is in memory, prompts may be those of its template, so unload that one before.

    Args:
        client: The server.
        name: The model.
        info: What the server tells of it.
        authors: What its authors meant.
        template: Their chat template.
        claims: What that makes something of; nothing else is asked.
        path: What renders on the server: the chat template in the GGUF, or a TEMPLATE.
        version: The version of the server.
        meant_system: The system message that prompts shall have where a conversation has none.
        progress: Told the prompts compared.
    """
    conversations = [one for one in battery() if claims.includes(one.feature)]
    thinks = "thinking" in info.capabilities
    asked = [
        canonical(as_asked(one, thinks=thinks, system=meant_system), path=path, version=version)
        for one in conversations
    ]
    wanted = authors.meant(template, asked)
    cases = []
    for number, (conversation, want) in enumerate(zip(conversations, wanted, strict=True)):
        progress(Update(task=_TASK, done=number, total=len(conversations)))
        cases.append(compare(conversation, want=want, got=_prompt(client, name, conversation)))
    progress(Update(task=_TASK, done=len(conversations), total=len(conversations)))
    return Parity(tuple(cases))


def _prompt(client: Client, name: ModelName, conversation: Conversation) -> Outcome:
    body = conversation.for_ollama()
    try:
        return Rendered(
            client.render(name, body["messages"], tools=body.get("tools", ()), think=body.get("think"))
        )
    except (ServerRefused, UsageProblem) as error:
        return Refused(error.message)
