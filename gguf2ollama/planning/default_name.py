"""The default name of a model, from that of its file, its repository or its folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName
from gguf2ollama.sources.catalogue.name_parts import stated_size
from gguf2ollama.sources.catalogue.quantization import find_label
from gguf2ollama.sources.model import ModelFiles

__all__ = ["default_name", "suggest_name"]

_FORBIDDEN = lazy_pattern(r"[^a-z0-9._-]+")
_SEPARATORS = lazy_pattern(r"[-._ ]+")
_NUMBERED = lazy_pattern(r"[-._ ](?:split|part|shard)$")  # what stands before the number of a shard
_LETTERS = lazy_pattern(r"[a-z]{2}|[a-z][0-9]|[0-9][a-z]")
_OF_CONVERTERS = frozenset({"ggml", "gguf", "model", "unsloth"})
"""What converters call every model: ``ggml-model-f16.gguf`` (llama.cpp), ``unsloth.Q4_K_M.gguf``."""
_OF_CACHE = "models--"
_LONGEST = 80


def default_name(files: ModelFiles) -> ModelName:
    """Return the name of a model that was not given one.

    Raises:
        UsageProblem: Neither the names of file, repository and folder have a character that it may have.
    """
    repository = files.origin.repository.rpartition("/")[2] if files.origin else _cached(files.paths[0])
    folders = () if files.origin else reversed(files.paths[0].absolute().parent.parts[1:])
    return suggest_name(files.model.name, label=files.label, repository=repository, folders=tuple(folders))


def suggest_name(
    stem: str, *, label: str | None = None, repository: str = "", folders: Sequence[str] = ()
) -> ModelName:
    """Return the default name for a file: ``qwen2.5-7b-instruct:q4_k_m`` for ``Qwen2.5-7B-Instruct-Q4_K_M``.

    Args:
        stem: The file's name without ``.gguf`` and without the number of a shard.
        label: What distinguishes it from other files of the model, if that is known; else the quantization
            in the name.
        repository: The name of its repository, which is taken where the file's says nothing: it is the
            label, what a converter calls every model, not in Latin letters, or a word that the repository's
            name lacks.
        folders: The names of its folders, the innermost first: taken for the first three reasons alone, and
            for ``model`` those that name a model (Jan keeps ``Qwen3-8B-Q4_K_M/model.gguf``).

    Raises:
        UsageProblem: None has a character that a name may have.
    """
    base, tag = _divide(_NUMBERED.sub("", stem), label=label)
    own, outer = _plain(base), _plain(_without_gguf(_divide(repository, label=None)[0]))
    if not _says_something(own, repository=outer) or (own == "model" and outer):
        own, tag = _of_folders(own, tag, repository=outer, folders=folders)
    elif own == "model":  # any program's; some folders are any folder, such as Downloads
        own, tag = _of_folders(own, tag, repository="", folders=_of_models(folders))
    model = own or ("" if base else _plain(stem))
    if not model:
        raise UsageProblem(f"no model name can be derived from {stem!r}", hint="give one with --name")
    return ModelName(model=model, tag=tag if own and tag else "latest")


def _of_folders(name: str, tag: str, *, repository: str, folders: Sequence[str]) -> tuple[str, str]:
    """Return the name that a repository or a folder has, and the tag, which a folder may have as well."""
    if _says_something(repository):
        return repository, tag
    for folder in folders:
        base, label = _divide(_without_gguf(folder), label=None)
        tag = tag or label
        if _says_something(own := _plain(base)):
            return own, tag
    return name, tag


def _of_models(folders: Sequence[str]) -> list[str]:
    """Return those folders whose name has a quantization, a number of weights or GGUF."""
    return [
        folder
        for folder in folders
        if find_label(folder) or stated_size(folder) or _without_gguf(folder) != folder
    ]


def _divide(name: str, *, label: str | None) -> tuple[str, str]:
    """Return a name without its label, and the tag that the label becomes."""
    match = re.search(re.escape(label), name, re.IGNORECASE) if label else None
    span = match.span() if match else None
    if span is None and (found := find_label(name)):
        span = found.span("label")
    if span is None:
        return name, _plain(label or "")
    before, after = name[: span[0]].rstrip("-._ "), name[span[1] :].lstrip("-._ ")
    return "-".join(filter(None, (before, after))), _plain(label or name[span[0] : span[1]])


def _plain(text: str) -> str:
    """Return a text as a part of a name: in small letters, without accents and what a name may not have."""
    ascii_only = "".join(
        char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)
    )
    return _FORBIDDEN.sub("-", ascii_only.lower()).strip("-._")[:_LONGEST].strip("-._")


def _says_something(name: str, *, repository: str = "") -> bool:
    """Return whether a name says which model it is."""
    words = _words(name)
    if not _LETTERS.search(name) or (words <= _OF_CONVERTERS and name != "model"):
        return False
    return len(words) > 1 or not repository or bool(words & _words(repository))


def _words(name: str) -> set[str]:
    return {word for word in _SEPARATORS.split(name) if word}


def _without_gguf(name: str) -> str:
    return re.sub(r"(?:^|[-._])gguf$", "", name, flags=re.IGNORECASE)


def _cached(path: Path) -> str:
    """Return the name of the repository in whose cache a file is; empty if it is in none."""
    found = (part.rpartition("--")[2] for part in path.absolute().parts if part.startswith(_OF_CACHE))
    return next(found, "")
