"""Find out how a server would prompt a model of which it is given nothing but the GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Parity
from gguf2ollama.chat.reference_prompt import ORIGINAL_KEY, Authors, AuthorsTemplate, Claims
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.events import Progress, ignore
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS
from gguf2ollama.verification.probe_server import Settings, stand_in_on_server
from gguf2ollama.verification.prompt_check import Way, compare_on_server, way_of

__all__ = ["ByItself", "LeftOut", "ollama_by_itself"]

_TEMPLATE_KEY = "tokenizer.chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByItself:
    """What a plain ``ollama create`` of the same GGUF comes to.

    Attributes:
        way: What renders its chats.
        parity: How its prompts compare with those the authors meant.
        capabilities: What the server takes the model to be able to do.
    """

    way: Way
    parity: Parity
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why it cannot be told: a phrase."""

    reason: str


def ollama_by_itself(
    client: Client,
    name: ModelName,
    metadata: Mapping[str, Any],
    *,
    authors: Authors,
    template: AuthorsTemplate,
    claims: Claims,
    version: str,
    progress: Progress = ignore,
) -> ByItself | LeftOut:
    """Let a server make a tiny stand-in of a model by itself, and compare its prompts.

    Args:
        client: The server.
        name: The model.
        metadata: The metadata of its GGUF.
        authors: What its authors meant.
        template: Their chat template.
        claims: What that makes something of; nothing else is asked.
        version: The version of the server.
        progress: Told the prompts compared.

    Raises:
        ServerProblem: The server cannot be reached any more.
    """
    family = str(metadata.get("general.architecture", ""))
    if family in GIVEN_RENDERERS:
        return LeftOut(f"it has a renderer of its own for {family}, which no stand-in of another kind gets")
    if ORIGINAL_KEY in metadata:
        metadata = {**metadata, _TEMPLATE_KEY: authors.chat_template}
    try:
        with stand_in_on_server(
            client, name, metadata, settings=Settings(family=family), via="upload"
        ) as temporary:
            info = client.show(temporary)
            way = way_of(info, metadata)
            parity = compare_on_server(
                client,
                temporary,
                info,
                authors=authors,
                template=template,
                claims=claims,
                way=way,
                version=version,
                meant_system="",
                task="comparing with Ollama by itself",
                progress=progress,
            )
    except Gguf2OllamaError as error:
        client.version()  # that it is gone is no matter of this model
        return LeftOut(f"the server does not make or run such a model: {error.message}")
    return ByItself(way=way, parity=parity, capabilities=info.capabilities)
