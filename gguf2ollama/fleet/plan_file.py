"""Plan files: what `plan -o` saves for `apply`, with a fingerprint; they have no credentials.

{"gguf2ollama_plan": 1, "fingerprint": "…", "prune": false, "host": null, "file": "…", "folder": "…",
"form": null, "text": "models: …", "plan": {…}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput
from gguf2ollama.fleet.changes import FleetPlan, as_values
from gguf2ollama.fleet.entries import Fleet
from gguf2ollama.fleet.file import parse_fleet
from gguf2ollama.fleet.foreign import Form, parse_foreign
from gguf2ollama.fs.atomic import atomic_file

__all__ = ["SavedPlan", "is_plan_file", "parse_plan_file", "write_plan_file"]

_KEY = "gguf2ollama_plan"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that was saved.

    Attributes:
        fleet: The file of models, as it was then.
        fingerprint: What identifies the plan.
        prune: Whether models that are not in the file are deleted.
        host: The only host, as it was given.
    """

    fleet: Fleet
    fingerprint: str
    prune: bool | None
    host: str | None


def is_plan_file(text: str) -> bool:
    """Return whether a text is a plan file, and not a file of models."""
    return text.lstrip().startswith("{") and f'"{_KEY}"' in text[:200]


def write_plan_file(
    path: str | os.PathLike[str],
    found: FleetPlan,
    *,
    prune: bool | None,
    host: str | None,
    form: Form | None,
) -> None:
    """Write a plan file.

    Args:
        path: The file.
        found: The plan.
        prune: As it was given.
        host: As it was given.
        form: The form of the list that the fleet was read from; ``None`` for a file of models.

    Raises:
        UsageProblem: The file cannot be written.
    """
    values = {
        _KEY: _FORMAT,
        "fingerprint": found.fingerprint,
        "prune": prune,
        "host": host,
        "file": found.fleet.file,
        "folder": str(found.fleet.folder.absolute()),
        "form": form,
        "text": found.fleet.text,
        "plan": as_values(found),
    }
    with atomic_file(Path(path), kind="plan file") as stream:
        stream.write(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n".encode())


def parse_plan_file(text: str, *, file: str, environ: Mapping[str, str] = os.environ) -> SavedPlan:
    """Parse a plan file.

    Raises:
        InvalidInput: It is not one.
    """
    try:
        values: Any = json.loads(text)
        source, folder, form = str(values["file"]), Path(str(values["folder"])), values["form"]
        content, fingerprint = str(values["text"]), str(values["fingerprint"])
        prune, host = values["prune"], values["host"]
        is_valid = values[_KEY] == _FORMAT and isinstance(prune, bool | None)
        is_valid = is_valid and isinstance(host, str | None) and form in {None, *get_args(Form)}
    except (ValueError, TypeError, KeyError, RecursionError):
        is_valid = False
    if not is_valid:
        raise InvalidInput(f"{file} is not a plan file", hint="write one with `gguf2ollama plan -o`")
    if form is not None:
        fleet = parse_foreign(content, form=form, file=source)
    else:
        fleet = parse_fleet(content, file=source, folder=folder, environ=environ)
    return SavedPlan(fleet=fleet, fingerprint=fingerprint, prune=prune, host=host)
