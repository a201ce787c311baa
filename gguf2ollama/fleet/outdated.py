"""Compare what was built from a repository with what that has now: one request, and its files if need be."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fleet.apply import Applied, ModelResult, apply
from gguf2ollama.fleet.entries import Fleet, HostEntry
from gguf2ollama.fleet.export import ExportedModel, export, exported_yaml, hub_source
from gguf2ollama.fleet.file import parse_fleet
from gguf2ollama.names import HubSource, ModelName, ServerAddress
from gguf2ollama.planning.stored.record import BuildRecord, joined_digest

if TYPE_CHECKING:
    from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile

__all__ = ["CheckedModel", "outdated", "update"]

Freshness: TypeAlias = Literal["current", "outdated", "pinned", "unknown"]
_COMMIT = lazy_pattern(r"[0-9a-f]{40}")
_SHARD = lazy_pattern(r"(.*-)[0-9]{5}(-of-[0-9]{5}\.gguf)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel:
    """A model of a host, compared with its repository.

    Attributes:
        name: Its name.
        state: ``pinned`` is built from a commit that was named; ``unknown``, not from a repository, or that
            could not be asked.
        source: What it was built from; empty if it does not say.
        commit, newest: The commit it was built from, and the newest; empty if not known.
        reason: Why it is in that state, a phrase.
    """

    name: ModelName
    state: Freshness
    source: str = ""
    commit: str = ""
    newest: str = ""
    reason: str = ""


def outdated(
    host: str | None = None,
    *,
    ca_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    notify: Callable[[str], None] = ignore,
) -> tuple[CheckedModel, ...]:
    """Compare the models of a host with the repositories that they were built from.

    Args:
        host: Its address; ``OLLAMA_HOST`` when not given.
        ca_file: Certificates (PEM) to trust for it, in place of the system's.
        environ: The environment.
        notify: Called with a line about each step.

    Raises:
        ServerProblem: The host cannot be reached, or refuses.
    """
    models = export(host, ca_file=ca_file, environ=environ, notify=notify)
    return tuple(checked for _, checked in _checked(models))


def update(
    names: Sequence[str] = (),
    *,
    host: str | None = None,
    ca_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
    report: Callable[[ModelResult], None] = ignore,
) -> Applied:
    """Make the models of a host again whose repositories have other files now; no other is touched.

    Args:
        names: The models; all that are outdated when not given.
        host: As for :func:`outdated`, and so are ``ca_file`` and ``environ``.
        ca_file: Certificates.
        environ: The environment.
        progress: Called with the bytes downloaded and hashed.
        notify: Called with a line about each step.
        report: Called when the state of a model changes, from several threads.

    Raises:
        UsageProblem: The host has no such model, or it cannot be made again by its record.
    """
    wanted = [ModelName.parse(name) for name in names]
    models = export(host, ca_file=ca_file, pin=False, environ=environ, notify=notify)
    for name in wanted:
        if not any(name.is_same(model.name) for model in models):
            raise UsageProblem(
                f"the host has no model {name.short}", hint="`gguf2ollama list` shows the names"
            )
    chosen = [
        model
        for model, checked in _checked(models)
        if checked.state == "outdated" and (not wanted or any(name.is_same(model.name) for name in wanted))
    ]
    address = ServerAddress.from_environment(environ) if host is None else ServerAddress.parse(host)
    for model in chosen:
        if model.notes:
            raise UsageProblem(
                f"{model.name.short} cannot be made again by its record: {model.notes[0]}",
                hint="build it with its options, or write it into a file of models",
            )
    parsed = parse_fleet(exported_yaml(chosen, host=address.base_url), file="update", environ={})
    fleet = Fleet(
        file="update",
        folder=Path(),
        text=parsed.text,
        models=parsed.models,
        hosts=(HostEntry(name="ollama", address=address),),  # with the credentials of the environment
    )
    return apply(fleet, ca_file=ca_file, environ=environ, progress=progress, notify=notify, report=report)


def _checked(models: Sequence[ExportedModel]) -> list[tuple[ExportedModel, CheckedModel]]:
    asked: dict[tuple[str, str, str | None], _Listing] = {}
    return [(model, _check(model, asked)) for model in models]


def _check(model: ExportedModel, asked: dict[tuple[str, str, str | None], _Listing]) -> CheckedModel:
    record = model.record
    if record is None:
        return CheckedModel(name=model.name, state="unknown", reason="not made by gguf2ollama")
    found = CheckedModel(name=model.name, state="unknown", source=record.source, commit=record.commit)
    source = hub_source(record)
    if source is None:
        return dataclasses.replace(found, reason="not built from a repository")
    if source.revision is not None and _COMMIT.fullmatch(source.revision):
        return dataclasses.replace(found, state="pinned", reason="built from a commit that was named")
    key = source.site, source.repo_id, source.revision
    try:
        if key not in asked:
            asked[key] = _Listing(source)
        return _compared(found, record, asked[key])
    except Gguf2OllamaError as error:
        return dataclasses.replace(found, reason=error.message)


def _compared(found: CheckedModel, record: BuildRecord, listing: _Listing) -> CheckedModel:
    found = dataclasses.replace(found, newest=listing.commit, state="current")
    if listing.commit == record.commit:
        return found
    if record.digest in listing.digests(record.file, record.count):
        return dataclasses.replace(found, reason="a new commit, with the same files")
    reason = "the repository has other files" if listing.has(record.file) else f"{record.file} is gone"
    return dataclasses.replace(found, state="outdated", reason=reason)


class _Listing:
    """The newest commit of a repository, and its files once they are asked for.

    Args:
        source: The repository, and the branch.
    """

    def __init__(self, source: HubSource) -> None:
        from gguf2ollama.sources.sites.opening import open_site  # noqa: PLC0415 - for repositories alone
        from gguf2ollama.sources.sites.settings import settings_for  # noqa: PLC0415

        self._source = source
        self._files: tuple[RepositoryFile, ...] | None = None
        self._settings = settings_for(source)
        with open_site(self._settings) as site:
            if site is None:
                raise UsageProblem("HF_HUB_OFFLINE is set", hint="unset it")
            wanted = source.revision or self._settings.default_revision
            self.commit = site.info(source.repo_id, revision=wanted).commit

    def has(self, path: str) -> bool:
        return any(file.path == path for file in self._listed())

    def digests(self, path: str, count: int) -> set[str]:
        """Return what identifies each set of so many files that begins with one: its shards, and one more."""
        files = self._listed()
        pattern = _SHARD.fullmatch(path)
        shards = [
            file
            for file in sorted(files, key=lambda file: file.path)
            if file.path == path
            or (pattern and (found := _SHARD.fullmatch(file.path)) and found.groups() == pattern.groups())
        ]
        others = [file for file in files if file not in shards and file.path.endswith(".gguf")]
        more = count - len(shards)
        if not shards or more < 0 or more > 2:  # noqa: PLR2004 - a projector and a draft
            return set()
        sets = ((*shards, *beside) for beside in itertools.permutations(others, more))
        return {joined_digest(file.sha256 or "" for file in group) for group in sets}

    def _listed(self) -> tuple[RepositoryFile, ...]:
        if self._files is None:
            from gguf2ollama.sources.sites.opening import open_site  # noqa: PLC0415

            with open_site(self._settings) as site:
                listed = site.files(self._source.repo_id, commit=self.commit) if site is not None else ()
            self._files = tuple(listed)
        return self._files
