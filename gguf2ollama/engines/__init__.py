"""One GGUF in several engines: llama.cpp, llama-cpp-python and transformers in a process each, and Ollama.

I/O: starts a process for an engine, in which its library is imported; nothing else imports those libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.engines.embedded import load_embedded
    from gguf2ollama.engines.engine import Engine, EngineMemory, LoadReport
    from gguf2ollama.engines.settings import ENGINES, EngineName, EngineSettings, GpuLayers, parse_gpu_layers

__all__ = [
    "ENGINES",
    "Engine",
    "EngineMemory",
    "EngineName",
    "EngineSettings",
    "GpuLayers",
    "LoadReport",
    "load_embedded",
    "parse_gpu_layers",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "embedded": ("load_embedded",),
        "engine": ("Engine", "EngineMemory", "LoadReport"),
        "settings": ("ENGINES", "EngineName", "EngineSettings", "GpuLayers", "parse_gpu_layers"),
    },
)
