"""Turn GGUF models into Ollama models, prompted as their authors meant.

::

    from gguf2ollama import build, inspect, modelfile

    build("model.gguf", name="mine")

The functions are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf2ollama.api.build import build
    from gguf2ollama.api.build_job import Built
    from gguf2ollama.errors import Gguf2OllamaError
    from gguf2ollama.events import Progress, Update
    from gguf2ollama.ggufio import ShardSet, merge, open_gguf, split
    from gguf2ollama.modelfiles import Parameter
    from gguf2ollama.planning.plan import Inspection, inspect, modelfile
    from gguf2ollama.planning.template_patch import patch_template
    from gguf2ollama.verification.verify import Verification, verify

__version__ = "0.1.0"

__all__ = [
    "Built",
    "Gguf2OllamaError",
    "Inspection",
    "Parameter",
    "Progress",
    "ShardSet",
    "Update",
    "Verification",
    "__version__",
    "build",
    "inspect",
    "merge",
    "modelfile",
    "open_gguf",
    "patch_template",
    "split",
    "verify",
]

_HOMES = {
    "errors": ("Gguf2OllamaError",),
    "ggufio": ("ShardSet", "merge", "open_gguf", "split"),
    "modelfiles": ("Parameter",),
    "events": ("Progress", "Update"),
    "planning.template_patch": ("patch_template",),
    "verification.verify": ("Verification", "verify"),
    "api.build": ("build",),
    "api.build_job": ("Built",),
    "planning.plan": ("Inspection", "inspect", "modelfile"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the module keeps under that name
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
