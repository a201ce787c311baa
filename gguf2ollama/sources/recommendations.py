"""What is published beside a GGUF in a repository: how its publishers and the model's authors want it run.

A repository's own files ``template``, ``system`` and ``params`` are those that a pull of ``hf.co/…`` by
Ollama uses (https://huggingface.co/docs/hub/ollama). The model that a GGUF was made from has a
``generation_config.json`` and a chat template, which may be newer than the one in the GGUF. Models that embed
texts have files of sentence-transformers.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from gguf2ollama.errors import Gguf2OllamaError, UsageProblem
from gguf2ollama.families.embedding import read_embedding_signs
from gguf2ollama.modelfiles import PARAMETERS
from gguf2ollama.names import HubSource, parse_source
from gguf2ollama.sources.model import Published, Value
from gguf2ollama.sources.repository import Repository
from gguf2ollama.sources.sentence_transformers import POOLING_FILE, PROMPTS_FILE, read_pooling, read_prompts
from gguf2ollama.sources.sites.site import Site

__all__ = ["read_generation_config", "read_params", "read_published"]

_MOST_TEXT = 1 << 20
_MOST_CONFIG = 32 << 20  # tokenizer_config.json may list a vocabulary
_LOG = logging.getLogger(__name__)

# what transformers calls it (GenerationConfig) and the PARAMETER that means the same
_GENERATION = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
_OURS = frozenset({"num_ctx", "stop"})  # decided by the memory there is; may be several


def read_published(site: Site, repository: Repository, metadata: Mapping[str, Any]) -> Published:
    """Read what is recommended for a model; what cannot be read is as if it were not there.

    Args:
        site: Where the repository is.
        repository: Where the GGUF is.
        metadata: Its metadata, which may name the model it was made from.
    """
    own = _Files(site, repository.info.name, revision=repository.info.commit)
    names = {file.path for file in repository.files}
    template, system = (own.text(name) if name in names else None for name in ("template", "system"))
    parameters, stops = read_params(
        own.json("params") if "params" in names else None, source=own.source("params")
    )
    base = _base_model(repository, metadata, site=site)
    quantized_repos = None if base is None else _Files(site, base, revision=site.settings.default_revision)
    both = [own] if quantized_repos is None else [own, quantized_repos]
    embeds = _embeds(repository, metadata)
    return Published(
        parameters=parameters,
        stops=stops,
        template=None if template is None else Value(value=template, source=own.source("template")),
        system=None if not system else Value(value=system.strip(), source=own.source("system")),
        fallbacks={} if quantized_repos is None else _generation_config(quantized_repos),
        chat_template=None if quantized_repos is None else _chat_template(quantized_repos),
        tags=repository.info.tags,
        pooling=_pooling(both) if embeds else None,
        prompts=_prompts(both) if embeds else {},
    )


def read_params(content: object, *, source: str) -> tuple[dict[str, Value], dict[str, str]]:
    """Read a file ``params``: parameters by their names in Ollama, and stop strings.

    What Ollama does not know, or is of another type, is left out.
    """
    if not isinstance(content, dict):
        return {}, {}
    stops = content.get("stop", [])
    texts = stops if isinstance(stops, list) else [stops]
    found = {
        name: Value(value=value, source=source)
        for name, entry in content.items()
        if name in PARAMETERS and name not in _OURS and (value := PARAMETERS[name].fit(entry)) is not None
    }
    return found, {text: source for text in texts if isinstance(text, str) and text}


def read_generation_config(content: object, *, source: str) -> dict[str, Value]:
    """Read a ``generation_config.json``: the parameters of sampling, where it samples at all."""
    if not isinstance(content, dict) or content.get("do_sample") is False:
        return {}
    pairs = ((ours, content.get(theirs)) for theirs, ours in _GENERATION.items())
    return {
        name: Value(value=value, source=source)
        for name, entry in pairs
        if (value := PARAMETERS[name].fit(entry)) is not None
    }


class _Files:
    """The small files of one repository."""

    def __init__(self, site: Site, name: str, *, revision: str) -> None:
        self._site = site
        self._name = name
        self._revision = revision

    def source(self, path: str) -> str:
        return f"{path} of {self._name}"

    def text(self, path: str, *, most_bytes: int = _MOST_TEXT) -> str | None:
        try:
            content = self._site.read_file(self._name, path, revision=self._revision, most_bytes=most_bytes)
            return content.decode()
        except (Gguf2OllamaError, UnicodeDecodeError) as error:
            _LOG.info("%s is left aside: %s", self.source(path), error)
            return None

    def json(self, path: str, *, most_bytes: int = _MOST_TEXT) -> object:
        text = self.text(path, most_bytes=most_bytes)
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(text or "null")
        return None


def _generation_config(files: _Files) -> dict[str, Value]:
    name = "generation_config.json"
    return read_generation_config(files.json(name), source=files.source(name))


def _chat_template(files: _Files) -> Value | None:
    """Read the chat template where transformers looks for it: a file of its own goes before the old place."""
    if text := files.text("chat_template.jinja"):
        return Value(value=text, source=files.source("chat_template.jinja"))
    config = files.json("tokenizer_config.json", most_bytes=_MOST_CONFIG)
    content = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(content, list):
        named = {entry.get("name"): entry.get("template") for entry in content if isinstance(entry, dict)}
        content = named.get("default")
    if not isinstance(content, str) or not content:
        return None
    return Value(value=content, source=files.source("tokenizer_config.json"))


def _embeds(repository: Repository, metadata: Mapping[str, Any]) -> bool:
    """Return whether a model may embed texts, and sentence-transformers' files may say how."""
    info = repository.info
    signs = read_embedding_signs(metadata, tags=info.tags, names=(info.name,))
    return signs is not None or f"{metadata.get('general.architecture')}.pooling_type" in metadata


def _pooling(repositories: Iterable[_Files]) -> Value | None:
    found = (
        read_pooling(files.json(POOLING_FILE), source=files.source(POOLING_FILE)) for files in repositories
    )
    return next(filter(None, found), None)


def _prompts(repositories: Iterable[_Files]) -> dict[str, str]:
    return next(filter(None, (read_prompts(files.json(PROMPTS_FILE)) for files in repositories)), {})


def _base_model(repository: Repository, metadata: Mapping[str, Any], *, site: Site) -> str | None:
    """Name the repository of the same site that a GGUF was made from, as that says, or else the GGUF.

    Converters write the model that the authors started from into ``general.base_model.*``, which is another
    where they trained it further: so it counts only where it has the model's own name.
    """
    if repository.info.base_models:
        return repository.info.base_models[0]
    url = metadata.get("general.base_model.0.repo_url")
    names = {_folded(metadata.get(f"general.{key}")) for key in ("name", "basename")}
    with contextlib.suppress(UsageProblem):
        source = parse_source(url) if isinstance(url, str) and url.startswith("https://") else None
        is_there = isinstance(source, HubSource) and source.site == site.settings.key
        if isinstance(source, HubSource) and is_there and _folded(source.repo) in names - {""}:
            return source.repo_id
    return None


def _folded(name: object) -> str:
    return "".join(char for char in str(name or "").lower() if char.isalnum())
