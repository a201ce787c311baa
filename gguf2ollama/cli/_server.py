"""Open the client for the server that a call names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName, ServerAddress

if TYPE_CHECKING:
    from gguf2ollama.ollama import Client

__all__ = ["connect", "model_name"]


def connect(host: str | None) -> Client:
    """Return a client for ``--host``, else for ``OLLAMA_HOST``, else for the usual port of this machine."""
    from gguf2ollama.ollama import Client  # noqa: PLC0415 - most of the help needs no network

    return Client(ServerAddress.parse(host) if host else ServerAddress.from_environment(os.environ))


def model_name(text: str) -> str:
    """Check the name of a model, and give it as the server takes it.

    Raises:
        UsageProblem: It is no name.
    """
    if not text.strip():
        raise UsageProblem("the name of the model is empty", hint="`gguf2ollama list` shows names")
    return str(ModelName.parse(text))
