"""Open the client for the server that a call names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import CA_FILE
from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName, ServerAddress

if TYPE_CHECKING:
    from gguf2ollama.ollama import Client

__all__ = ["ca_file", "connect", "model_name"]


def connect(host: str | None) -> Client:
    """Return a client for ``--host``, else for ``OLLAMA_HOST``, else for Ollama's default address."""
    from gguf2ollama.ollama import Client  # noqa: PLC0415 - most of the help needs no network

    address = ServerAddress.parse(host) if host else ServerAddress.from_environment(os.environ)
    return Client(address, ca_file=ca_file())


def ca_file() -> Path | None:
    """Return what ``--ca`` names."""
    context = click.get_current_context(silent=True)
    found = None if context is None else context.meta.get(CA_FILE)
    return None if found is None else Path(found)


def model_name(text: str) -> str:
    """Check the name of a model, and return it as the server writes it.

    Raises:
        UsageProblem: It is not a valid name.
    """
    if not text.strip():
        raise UsageProblem("the model name is empty", hint="`gguf2ollama list` shows the names")
    return str(ModelName.parse(text))
