"""Record what a build was made of, and make the same again or nothing.

A lock file is JSON, to be kept beside what uses the model::

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
from gguf2ollama.errors import InvalidInput, UsageProblem, VerificationFailed
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.names import HubSource, SiteKey, parse_source
from gguf2ollama.oci import Digest
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.sources.model import ModelFiles
from gguf2ollama.sources.parse import parse_user_source, public_source

__all__ = ["Lock", "LockedFile", "read_lock", "write_lock"]

_FORMAT = 1
_CAP_BYTES = 1 << 20
_NOT_LOCKABLE = "a lock file is for what comes from the Hub or ModelScope, where a commit names it"
_HINT = "build with --lock to write a new lock file, or undo what has changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A file of the repository: its path, its length in bytes, its digest as 64 hexadecimal digits."""

    path: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a build was made of.

    Attributes:
        site: Where the repository is, as it is called in front of ``://``.
        repository: ``owner/repo``.
        revision: The branch or the tag that was asked for.
        commit: The commit that it named.
        files: The model's files, then projectors.
        context: ``num_ctx``, which would else depend on the memory that is free; ``None`` for none.
        template_sha256: Digest of what renders chats: the TEMPLATE, or else the chat template in the GGUF.
        recipe_sha256: Digest of TEMPLATE, SYSTEM, parameters and licences together.
        ollama: The version of Ollama that it was made for.
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
        """Record what a build is made of.

        Raises:
            UsageProblem: It is not made of a repository.
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
            recipe_sha256=_recipe_digest(recipe),
            ollama=plan.destination.version.text,
        )

    @property
    def source(self) -> str:
        """What names the model, so that ``build`` finds these very files."""
        owner, _, repo = self.repository.partition("/")
        return str(
            HubSource(owner=owner, repo=repo, path=self.files[0].path, revision=self.commit, site=self.site)
        )

    def require_source(self, source: str | os.PathLike[str]) -> None:
        """Check that a source names the repository of the lock file.

        Raises:
            UsageProblem: It names something else.
        """
        parsed = parse_user_source(source)
        if not isinstance(parsed, HubSource) or (parsed.site, parsed.repo_id.lower()) != (
            self.site,
            self.repository.lower(),
        ):
            raise UsageProblem(
                f"the lock file is of {self.site}://{self.repository}, and SOURCE is {public_source(source)}",
                hint="give one of them",
            )

    def require_files(self, files: ModelFiles) -> None:
        """Check that files are those of the lock file.

        Raises:
            VerificationFailed: They are not.
        """
        found = {file.path: file for file in _locked(files)}
        for file in self.files:
            if found.pop(file.path, None) != file:
                raise VerificationFailed(
                    f"{file.path} of {self.repository} is not the one in the lock file", hint=_HINT
                )
        if found:
            raise VerificationFailed(f"{next(iter(found))} is not in the lock file", hint=_HINT)

    def applied_to(self, options: BuildOptions) -> BuildOptions:
        """Return the options that lead to what the file records: its context, unless another was given."""
        if self.context is None or options.context != "auto":
            return options
        return dataclasses.replace(options, context=self.context)

    def require_plan(self, plan: BuildPlan) -> None:
        """Check that what would be made is what was made then.

        Raises:
            VerificationFailed: It is not.
        """
        now = Lock.of(plan)
        for what, then, today in (
            ("the version of Ollama", self.ollama, now.ollama),
            ("what renders its chats", self.template_sha256, now.template_sha256),
            ("its template, system text, parameters or licences", self.recipe_sha256, now.recipe_sha256),
        ):
            if then != today:
                raise VerificationFailed(
                    f"{plan.name.short} would not be what the lock file says: {what} differs,"
                    f" {then[:12]} then and {today[:12]} now",
                    hint=_HINT,
                )


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """Read a lock file.

    Raises:
        InvalidInput: It is none.
        NotFound: There is no such file.
    """
    with disk_errors(Path(path)), Path(path).open("rb") as stream:
        content = stream.read(_CAP_BYTES + 1)
    try:
        told = json.loads(content) if len(content) <= _CAP_BYTES else None
        return _parse(told)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidInput(
            f"{path} is not a lock file", hint="write one with `gguf2ollama build --lock`"
        ) from error


def write_lock(path: str | os.PathLike[str], plan: BuildPlan) -> None:
    """Record what a build was made of.

    Raises:
        UsageProblem: It was not made of a repository, or the file cannot be written.
    """
    content = json.dumps({"format": _FORMAT} | asdict(Lock.of(plan)), indent=2, ensure_ascii=False)
    with atomic_file(Path(path), kind="lock file") as stream:
        stream.write(f"{content}\n".encode())


def _parse(told: Any) -> Lock:  # noqa: ANN401 - any JSON value
    if not isinstance(told, dict) or told.pop("format") != _FORMAT or not told["files"]:
        raise ValueError
    told.setdefault("site", "hf")
    files = tuple(LockedFile(**_checked(one, _FILE)) for one in told.pop("files"))
    lock = Lock(files=files, **_checked(told, _LOCK))
    if not isinstance(parse_source(lock.source), HubSource):
        raise ValueError  # noqa: TRY004 - what is no lock file is no lock file
    return lock


_FILE: Mapping[str, Any] = {"path": str, "bytes": int, "sha256": str | None}
_LOCK: Mapping[str, Any] = {
    **dict.fromkeys(
        ("site", "repository", "revision", "commit", "template_sha256", "recipe_sha256", "ollama"), str
    ),
    "context": int | None,
}


def _checked(told: dict[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    if set(told) != set(types) or not all(isinstance(told[key], kind) for key, kind in types.items()):
        raise ValueError
    return told


def _locked(files: ModelFiles) -> tuple[LockedFile, ...]:
    told = files.origin.files if files.origin else ()
    return tuple(LockedFile(path=one.path, bytes=one.size, sha256=one.sha256) for one in told)


def _recipe_digest(recipe: Recipe) -> str:
    modelfile = recipe.modelfile
    told = {
        "template": modelfile.template,
        "system": modelfile.system,
        "parameters": modelfile.parameters_json(),
        "licenses": list(modelfile.licenses),
    }
    return Digest.of(json.dumps(told, sort_keys=True).encode()).hex
