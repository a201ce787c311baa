"""Write a file of models from what a host has: the records in its models, and what it shows of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama._text import one_line
from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.fleet.diff import own_licenses
from gguf2ollama.fleet.entries import HostEntry
from gguf2ollama.fleet.host import connect, observe
from gguf2ollama.names import HubSource, ModelName, ServerAddress, parse_source
from gguf2ollama.ollama import LocalModel, ModelInfo
from gguf2ollama.planning.stored.record import BuildRecord

__all__ = ["ExportedModel", "export", "exported_yaml", "hub_source"]

_HUB = ("hf.co/", "huggingface.co/")
_UNKNOWN = {"projectors": "mmproj", "draft": "draft"}  # of these a record has no paths


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """A model of a host, as a file of models has it.

    Attributes:
        name: Its name.
        values: Its keys and values.
        notes: What a person should know, a line each.
        record: What it was made of; ``None`` if it does not say.
    """

    name: ModelName
    values: Mapping[str, Any]
    notes: tuple[str, ...]
    record: BuildRecord | None


def export(
    host: str | None = None,
    *,
    ca_file: Path | None = None,
    pin: bool = True,
    environ: Mapping[str, str] = os.environ,
    notify: Callable[[str], None] = ignore,
) -> tuple[ExportedModel, ...]:
    """Return the models of a host as a file of models has them.

    Args:
        host: Its address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for it, in place of the system's.
        pin: Whether sources have the commit that the model was made of, not the branch.
        environ: The environment.
        notify: Called with a line for each model that could not be shown.

    Raises:
        ServerProblem: The host cannot be reached, or refuses.
    """
    address = ServerAddress.from_environment(environ) if host is None else ServerAddress.parse(host)
    entry = HostEntry(name="ollama", address=address)
    with connect(entry, folder=Path(), environ=environ, ca_file=ca_file) as client:
        listed = observe(entry, client, names=())
        if listed.error is not None:
            raise listed.error
        names = [ModelName.parse(model.name) for model in listed.models.values()]
        shown = observe(entry, client, names=names)
        if shown.error is not None:
            raise shown.error
    found = []
    for key, model in shown.models.items():
        info = shown.shown.get(key)
        if info is None:
            notify(f"{model.name} cannot be shown, and is left out")
        else:
            found.append(_exported(model, info, pin=pin))
    return tuple(found)


def hub_source(record: BuildRecord) -> HubSource | None:
    """Return the repository that a model was made of; ``None`` if it was something else."""
    try:
        source = parse_source(record.source) if "://" in record.source else None
    except UsageProblem:
        return None
    return source if isinstance(source, HubSource) and record.commit else None


def _exported(model: LocalModel, info: ModelInfo, *, pin: bool) -> ExportedModel:
    name, record = ModelName.parse(model.name), BuildRecord.find(info.license)
    if record is None:
        if model.name.startswith(_HUB):
            return ExportedModel(name=name, values={"source": model.name}, notes=(), record=None)
        note = "not made by gguf2ollama: pulled under its name where it is missing"
        return ExportedModel(name=name, values={"pull": name.short}, notes=(note,), record=None)
    notes: list[str] = []
    values = {"source": _source(record, pin=pin)}
    if "://" not in record.source:
        notes.append(f"a file of the machine that built it, sha256 {record.digest}; correct the path")
    values |= _options(record, info)
    notes += [f"{key} was given; add its path" for name, key in _UNKNOWN.items() if name in record.given]
    return ExportedModel(name=name, values=values, notes=tuple(notes), record=record)


def _source(record: BuildRecord, *, pin: bool) -> str:
    hub = hub_source(record)
    if hub is not None and pin:
        pinned = HubSource(
            owner=hub.owner, repo=hub.repo, path=hub.path, revision=record.commit, site=hub.site
        )
        return str(pinned)
    return record.source if "://" in record.source else f"./{record.source}"


def _options(record: BuildRecord, info: ModelInfo) -> dict[str, Any]:
    """Return the options that were given, with the values that the host shows."""
    given, values = set(record.given), {}
    if "context" in given:
        values["context"] = info.parameters.get("num_ctx", "server")
    parameters = {name: info.parameters[name] for name in record.given if name in info.parameters}
    if parameters:
        values["parameters"] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()
        }
    if "system" in given:
        values["system"] = info.system
    for name in ("template", "chat_template"):
        if name in given:
            values[name] = info.template
    if "licenses" in given:
        values["license"] = own_licenses(info.license)
    if "messages" in given:
        values["messages"] = [{"role": role, "content": content} for role, content in info.messages]
    values |= {name: True for name in ("fim", "exact") if name in given}
    if "no_projector" in given:
        values["mmproj"] = False
    if "no_draft" in given:
        values["draft"] = False
    return values


def exported_yaml(models: Sequence[ExportedModel], *, host: str) -> str:
    """Return a file of models for a host, with a comment above each model that needs one."""
    return "".join(_lines(models, host=host))


def _lines(models: Sequence[ExportedModel], *, host: str) -> Iterator[str]:
    import yaml  # noqa: PLC0415 - with export alone

    yield "models:\n" if models else "models: {}\n"
    for model in models:
        for note in model.notes:
            yield f"  # {one_line(note)}\n"
        text = yaml.safe_dump(
            {model.name.short: dict(model.values)}, sort_keys=False, allow_unicode=True, width=110
        )
        yield "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())
    yield yaml.safe_dump({"hosts": {"ollama": {"url": host}}}, sort_keys=False)
