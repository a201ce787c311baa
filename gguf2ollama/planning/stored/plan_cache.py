"""Cache what is costly to find out for a plan: a model's family, what renders its chats, what lint says."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from gguf2ollama._resources import templates_root
from gguf2ollama.environment import cache_folder
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.fs.atomic import atomic_file, clear_abandoned
from gguf2ollama.planning.stored.value_json import Form

__all__ = ["NOT_STORED", "NO_CACHE", "PlanCache"]

_CAP_BYTES = 8 << 20  # of a file
_CAP_FILES = 128
_RENDERERS = ("jinja2", "markupsafe", "yaml")  # what else the code is that chooses
NOT_STORED = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, re.error)
"""What writing or reading raises for a value that has no such form."""

_T = TypeVar("_T")


class PlanCache:
    """What was found out for plans, by all that it depends on: a repeated build renders no chat.

    The key is made of the inputs, the local day (templates may print it), the version of Python, and names,
    sizes and times of all files of this program and of the packages that render: no change of these needs to
    be thought of. What is read has to have its digest and the declared types, else it counts as missing. A
    cache that cannot be read or written is ignored.

    Args:
        folder: Where its files are; ``None`` for a cache that keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @classmethod
    def of_user(cls) -> PlanCache:
        """Return the one in the user's cache folder; one that keeps nothing if there is no such folder."""
        folder = cache_folder()
        return cls(None if folder is None else folder / "plans")

    def recall(self, inputs: tuple[object, ...], make: Callable[[], _T], *, form: Callable[[], Form]) -> _T:
        """Return what was made of inputs before; make it, and store it, where that is not known.

        Args:
            inputs: What it is, and all that it depends on, each with a ``repr`` that says all of it.
            make: Makes it. What this raises is not stored.
            form: Returns its form.
        """
        if self._folder is None or (key := _key(inputs)) is None:
            return make()
        path = self._folder / f"{key}.json"
        with contextlib.suppress(OSError, *NOT_STORED):
            return cast("_T", _read(path, form()))
        made = make()
        if _key(inputs) == key:  # it is still the same day
            with contextlib.suppress(OSError, Gguf2OllamaError, *NOT_STORED):
                _write(path, made, form())
        return made


NO_CACHE = PlanCache()


def _key(inputs: tuple[object, ...]) -> str | None:
    """Return the name of the file for inputs; ``None`` if it is not known which code chooses."""
    code = _code_version()
    day = datetime.now().astimezone().date()
    return None if code is None else hashlib.sha256(repr((code, day, inputs)).encode()).hexdigest()


@cache
def _code_version() -> str | None:
    """Return what no two versions of the code that chooses share; ``None`` where it has no files."""
    folders = [Path(__file__).parents[2], templates_root()]
    for name in _RENDERERS:
        found = importlib.util.find_spec(name)
        folders += map(Path, (found.submodule_search_locations or ()) if found else ())
    digest = hashlib.sha256(repr((sys.version, sys.platform, len(folders))).encode())
    for folder in folders:
        try:
            files = sorted(_files(str(folder)))
        except OSError:
            return None
        if not files:
            return None
        digest.update(repr((str(folder), files)).encode())
    return digest.hexdigest()


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and modification time of the files in a folder and below."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            else:
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns


def _read(path: Path, form: Form) -> object:
    with path.open("rb") as stream:
        content = stream.read(_CAP_BYTES + 1)
    digest, _, text = content.partition(b"\n")
    if len(content) > _CAP_BYTES or digest != _digest(text):
        raise ValueError("damaged")
    return form.read(json.loads(text))


def _write(path: Path, value: object, form: Form) -> None:
    text = json.dumps(form.write(value)).encode()
    if len(text) >= _CAP_BYTES:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(path.parent)
    with os.scandir(path.parent) as entries:
        files = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries)
    for _, old in files[: max(len(files) - _CAP_FILES + 1, 0)]:
        Path(old).unlink(missing_ok=True)
    with atomic_file(path, is_durable=False) as stream:
        stream.write(_digest(text) + b"\n" + text)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
