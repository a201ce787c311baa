"""The verbs for models on a server, with the names that the ``ollama`` program gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from gguf2ollama.api.listing import list_once
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.ollama import Client, LocalModel, ModelInfo, RunningModel, Status

__all__ = ["cp", "list_models", "ps", "pull", "push", "rm", "run", "show", "stop"]


def list_models(*, host: str | None = None, ca_file: Path | None = None) -> tuple[LocalModel, ...]:
    """Return the models on a server, each once.

    Args:
        host: The server's address; ``OLLAMA_HOST`` when not given. The same for all verbs here.
        ca_file: Certificates (PEM) to trust for that server, in place of the system's. The same for all.

    Raises:
        ServerProblem: The server cannot be reached, or refuses. The same for all verbs here.
    """
    with _client(host, ca_file) as client:
        return list_once(client.list()).models


def show(model: str, *, host: str | None = None, ca_file: Path | None = None) -> ModelInfo:
    """Return all about one model: its template, parameters, system prompt, capabilities.

    Raises:
        NotFound: The server has no such model. The same for all verbs here that name one.
    """
    with _client(host, ca_file) as client:
        return client.show(ModelName.parse(model))


def ps(*, host: str | None = None, ca_file: Path | None = None) -> tuple[RunningModel, ...]:
    """Return the models in a server's memory."""
    with _client(host, ca_file) as client:
        return client.ps()


def run(
    model: str,
    prompt: str,
    *,
    system: str | None = None,
    think: bool | None = None,
    host: str | None = None,
    ca_file: Path | None = None,
) -> str:
    """Ask a model one question, and return its answer without its reasoning.

    Args:
        model: The model; it is loaded if it is not yet.
        prompt: The question.
        system: A system prompt instead of the model's own.
        think: Whether to reason first; the server decides when not given.
        host: As for :func:`list_models`.
        ca_file: As for :func:`list_models`.
    """
    messages = [{"role": "user", "content": prompt}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    with (
        _client(host, ca_file) as client,
        client.chat(ModelName.parse(model), messages, think=think) as chunks,
    ):
        return "".join(chunk.content for chunk in chunks)


def stop(model: str, *, host: str | None = None, ca_file: Path | None = None) -> None:
    """Unload a model from a server's memory; no error if it is not loaded."""
    with _client(host, ca_file) as client:
        client.unload(ModelName.parse(model))


def rm(models: str | Sequence[str], *, host: str | None = None, ca_file: Path | None = None) -> None:
    """Remove models, with the weights that no other model uses."""
    names = [ModelName.parse(model) for model in ([models] if isinstance(models, str) else models)]
    with _client(host, ca_file) as client:
        for name in names:
            client.delete(name)


def cp(source: str, target: str, *, host: str | None = None, ca_file: Path | None = None) -> None:
    """Copy a model to a second name without copying weights; an existing model of that name is replaced."""
    with _client(host, ca_file) as client:
        client.copy(ModelName.parse(source), to=ModelName.parse(target))


def pull(
    model: str,
    *,
    insecure: bool = False,
    progress: Progress = ignore,
    host: str | None = None,
    ca_file: Path | None = None,
) -> None:
    """Have the server pull a model from a registry.

    Args:
        model: The model, with its registry if that is not Ollama's.
        insecure: Whether plain HTTP to the registry is allowed.
        progress: Called with the bytes of each blob.
        host: As for :func:`list_models`.
        ca_file: As for :func:`list_models`.
    """
    with _client(host, ca_file) as client:
        _follow(client.pull(ModelName.parse(model), insecure=insecure), verb="pulling", progress=progress)


def push(
    model: str,
    *,
    insecure: bool = False,
    progress: Progress = ignore,
    host: str | None = None,
    ca_file: Path | None = None,
) -> None:
    """Have the server push a model to the registry in its name; see :func:`pull`."""
    with _client(host, ca_file) as client:
        _follow(client.push(ModelName.parse(model), insecure=insecure), verb="pushing", progress=progress)


def _follow(statuses: Iterable[Status], *, verb: str, progress: Progress) -> None:
    for status in statuses:
        if status.digest and status.total:
            task = f"{verb} {status.digest}"
            progress(Update(task=task, done=status.completed, total=status.total))


def _client(host: str | None, ca_file: Path | None) -> Client:
    address = ServerAddress.from_environment(os.environ) if host is None else ServerAddress.parse(host)
    return Client(address, ca_file=ca_file)
