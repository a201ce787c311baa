"""Lock files: what a build was made from, so that a later build makes the same model or fails.

A lock file is JSON, to be kept with what uses the model::

    {"format": 1, "site": "hf", "repository": "owner/repo", "revision": "main", "commit": "…",
     "context": 8192, "files": [{"path": "…", "bytes": 1, "sha256": "…"}],
     "template_sha256": "…", "recipe_sha256": "…", "ollama": "0.34.4"}
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput, UsageProblem, VerificationFailed
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import open_file
from gguf2ollama.names import HubSource, SiteKey, parse_source
from gguf2ollama.oci import Digest
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.pooling import Pooling
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.parse import parse_user_source, public_source

__all__ = ["Lock", "LockedFile", "read_lock", "write_lock"]

_FORMAT = 1
_CAP_BYTES = 1 << 20
_CAP_NUMBER = 1 << 60  # of bytes, and of tokens
_COMMIT = lazy_pattern(r"[0-9a-f]{7,64}")
_NOT_LOCKABLE = "a lock file needs a repository on Hugging Face or ModelScope, which has commits"
_HINT = "write a new lock file with --lock, or undo the change"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A file of the repository: its path, its size in bytes, its sha256 as 64 hexadecimal digits."""

    path: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a build was made from.

    Attributes:
        site: The site of the repository, as in front of ``://``.
        repository: ``owner/repo``.
        revision: The branch or tag that was requested.
        commit: The commit that it pointed to.
        files: The model's files, then projectors.
        context: ``num_ctx``, which would otherwise depend on the machine's memory; ``None`` leaves it to the
            server.
        template_sha256: Digest of the TEMPLATE, or without one of the chat template in the GGUF.
        recipe_sha256: Digest of TEMPLATE, SYSTEM, parameters and licences together.
        ollama: The version of Ollama that it was built for.
    """

    site: SiteKey
    repository: str
    revision: str
    commit: str
    files: tuple[LockedFile, ...]
    context: int | None
    template_sha256: str
    recipe_sha256: str
    ollama: str

    @classmethod
    def of(cls, plan: BuildPlan) -> Lock:
        """Return the lock of a build.

        Raises:
            UsageProblem: It is not built from a repository.
        """
        origin, recipe = plan.inspection.files.origin, plan.inspection.recipe
        source = None if origin is None or not origin.commit else parse_source(origin.source)
        if origin is None or not isinstance(source, HubSource):
            raise UsageProblem(
                _NOT_LOCKABLE,
                hint="leave out --lock",
            )
        context = recipe.parameters.get("num_ctx")
        return cls(
            site=source.site,
            repository=source.repo_id,
            revision=source.revision or "",
            commit=origin.commit,
            files=_locked(plan.inspection.files),
            context=None if context is None else int(context.value),
            template_sha256=Digest.of((recipe.template.value or recipe.chat_template).encode()).hex,
            recipe_sha256=_recipe_digest(recipe, pooling=plan.inspection.pooling),
            ollama=plan.destination.version.text,
        )

    @property
    def source(self) -> str:
        """The SOURCE with which ``build`` finds exactly these files."""
        owner, _, repo = self.repository.partition("/")
        return str(
            HubSource(owner=owner, repo=repo, path=self.files[0].path, revision=self.commit, site=self.site)
        )

    def require_source(self, source: str | os.PathLike[str]) -> None:
        """Check that a source names the repository of the lock file.

        Raises:
            UsageProblem: It names another source.
        """
        parsed = parse_user_source(source)
        if not isinstance(parsed, HubSource) or (parsed.site, parsed.repo_id.lower()) != (
            self.site,
            self.repository.lower(),
        ):
            raise UsageProblem(
                f"the lock file is for {self.site}://{self.repository}, not {public_source(source)}",
                hint="give that repository as SOURCE, or leave out --locked",
            )

    def require_files(self, files: ModelFiles) -> None:
        """Check that files match the lock file.

        Raises:
            VerificationFailed: They do not.
        """
        found = {file.path: file for file in _locked(files)}
        for file in self.files:
            if found.pop(file.path, None) != file:
                raise VerificationFailed(
                    f"{file.path} in {self.repository} differs from the lock file", hint=_HINT
                )
        if found:
            raise VerificationFailed(
                f"{next(iter(found))} in {self.repository} is not in the lock file", hint=_HINT
            )

    def applied_to(self, options: BuildOptions) -> BuildOptions:
        """Return the options with the recorded context, unless another was given."""
        if options.context != "auto":
            return options
        return dataclasses.replace(options, context="server" if self.context is None else self.context)

    def require_plan(self, plan: BuildPlan) -> None:
        """Check that a plan makes what the lock file records.

        Raises:
            VerificationFailed: It does not.
        """
        current = Lock.of(plan)
        for what, recorded, planned in (
            ("the version of Ollama", self.ollama, current.ollama),
            ("the template", self.template_sha256, current.template_sha256),
            (
                "template, system prompt, parameters or licences",
                self.recipe_sha256,
                current.recipe_sha256,
            ),
        ):
            if recorded != planned:
                raise VerificationFailed(
                    f"{plan.name.short} would differ from the lock file: {what} was {recorded[:12]},"
                    f" now {planned[:12]}",
                    hint=_HINT,
                )


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """Read a lock file.

    Raises:
        InvalidInput: It is not a lock file.
        NotFound: There is no such file.
    """
    with open_file(Path(path)) as stream:
        content = stream.read(_CAP_BYTES + 1)
    try:
        return _parse(json.loads(content) if len(content) <= _CAP_BYTES else None)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidInput(
            f"{path} is not a lock file", hint="write one with `gguf2ollama build --lock`"
        ) from error


def write_lock(path: str | os.PathLike[str], plan: BuildPlan) -> None:
    """Write the lock file of a build.

    Raises:
        UsageProblem: It was not built from a repository, or the file cannot be written.
    """
    content = json.dumps({"format": _FORMAT} | asdict(Lock.of(plan)), indent=2, ensure_ascii=False)
    with atomic_file(Path(path), kind="lock file") as stream:
        stream.write(f"{content}\n".encode())


def _parse(value: Any) -> Lock:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict) or value.pop("format") != _FORMAT or not value["files"]:
        raise ValueError
    value.setdefault("site", "hf")
    files = tuple(LockedFile(**_checked(file, _FILE)) for file in value.pop("files"))
    lock = Lock(files=files, **_checked(value, _LOCK))
    is_fixed = _COMMIT.fullmatch(lock.commit) or all(file.sha256 for file in files)  # a branch may move
    if not isinstance(parse_source(lock.source), HubSource) or not is_fixed:
        raise ValueError
    if not all(0 <= number < _CAP_NUMBER for number in (lock.context or 1, *(file.bytes for file in files))):
        raise ValueError
    return lock


_FILE: Mapping[str, Any] = {"path": str, "bytes": int, "sha256": str | None}
_LOCK: Mapping[str, Any] = {
    **dict.fromkeys(
        ("site", "repository", "revision", "commit", "template_sha256", "recipe_sha256", "ollama"), str
    ),
    "context": int | None,
}


def _checked(values: dict[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    if set(values) != set(types) or any(isinstance(value, bool) for value in values.values()):
        raise ValueError
    if not all(isinstance(values[key], kind) for key, kind in types.items()):
        raise ValueError
    return values


def _locked(files: ModelFiles) -> tuple[LockedFile, ...]:
    reported = files.origin.files if files.origin else ()
    return tuple(LockedFile(path=file.path, bytes=file.size, sha256=file.sha256) for file in reported)


def _recipe_digest(recipe: Recipe, *, pooling: Pooling | None) -> str:
    modelfile = recipe.modelfile
    values: dict[str, Any] = {
        "template": modelfile.template,
        "system": modelfile.system,
        "parameters": modelfile.parameters_json(),
        "licenses": list(modelfile.licenses),
    }
    if pooling is not None and pooling.choice.value is not None:
        values["pooling"] = pooling.choice.value
    if modelfile.messages:
        values["messages"] = [[message.role, message.content] for message in modelfile.messages]
    return Digest.of(json.dumps(values, sort_keys=True).encode()).hex
