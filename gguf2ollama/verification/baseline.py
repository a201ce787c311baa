"""Find out how a plain ``ollama create`` of the same GGUF would be prompted."""

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
from gguf2ollama.verification.probe_server import Settings, probe_on_server
from gguf2ollama.verification.prompt_check import RenderedBy, compare_on_server, find_renderer

__all__ = ["NotCompared", "OllamaDefault", "ollama_default"]

_TEMPLATE_KEY = "tokenizer.chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaDefault:
    """The result of a plain ``ollama create`` of the same GGUF.

    Attributes:
        rendered_by: What renders its chats.
        parity: How its prompts compare with the reference prompts.
        capabilities: The capabilities that the server reports.
    """

    rendered_by: RenderedBy
    parity: Parity
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompared:
    """Why there is no comparison with ``ollama create``: a phrase."""

    reason: str


def ollama_default(
    client: Client,
    name: ModelName,
    metadata: Mapping[str, Any],
    *,
    authors: Authors,
    template: AuthorsTemplate,
    claims: Claims,
    progress: Progress = ignore,
) -> OllamaDefault | NotCompared:
    """Create a tiny probe of a model with a plain ``create``, and compare its prompts.

    Args:
        client: The server.
        name: The model.
        metadata: The metadata of its GGUF.
        authors: Its chat template and tokens.
        template: The compiled chat template.
        claims: The features that it uses; no other conversations are compared.
        progress: Called with the number of prompts compared.

    Raises:
        ServerProblem: The server can no longer be reached.
    """
    family = str(metadata.get("general.architecture", ""))
    if family in GIVEN_RENDERERS:
        return NotCompared(f"Ollama has a built-in renderer for {family}, which a probe model does not get")
    if ORIGINAL_KEY in metadata:
        metadata = {**metadata, _TEMPLATE_KEY: authors.chat_template}
    try:
        with probe_on_server(
            client, name, metadata, settings=Settings(family=family), via="upload"
        ) as temporary:
            info = client.show(temporary)
            rendered_by = find_renderer(info, metadata)
            parity = compare_on_server(
                client,
                temporary,
                info,
                authors=authors,
                template=template,
                claims=claims,
                rendered_by=rendered_by,
                expected_system="",
                task="comparing with ollama create",
                progress=progress,
            )
    except Gguf2OllamaError as error:
        client.version()  # a server that is gone says nothing about this model
        return NotCompared(f"the server cannot create or run a probe model: {error.message}")
    return OllamaDefault(rendered_by=rendered_by, parity=parity, capabilities=info.capabilities)
