"""List the models of a server, each once.

Ollama 0.40 lists a name once for each runner that it has a manifest for, and also the copies that it makes of
models, as ``llamacpp:<digest>`` (0.40.2 hides those that are listed under another name). This was read in the
source of 0.40; the tests use a fake.
"""

from __future__ import annotations

from collections.abc import Iterable

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.oci import RUNNER
from gguf2ollama.ollama import LocalModel

__all__ = ["ListedModels", "list_once"]

_COPY = lazy_pattern(r"llamacpp:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModels:
    """The models of a server.

    Attributes:
        models: Each once; if a name has several manifests, that for llama.cpp, which Ollama prefers.
        abandoned: Copies that the server made and that no listed model uses.
    """

    models: tuple[LocalModel, ...]
    abandoned: tuple[LocalModel, ...]


def list_once(models: Iterable[LocalModel]) -> ListedModels:
    """Return each model that a server lists once, in the same order."""
    by_name: dict[str, LocalModel] = {}
    copies = []
    for model in models:
        if _COPY.match(model.name):
            copies.append(model)
        elif model.name not in by_name or model.details.runner.lower() == RUNNER:
            by_name[model.name] = model
    used = {model.digest for model in by_name.values()}
    return ListedModels(
        models=tuple(by_name.values()),
        abandoned=tuple(copy for copy in copies if copy.digest not in used),
    )
