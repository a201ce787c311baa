"""Modelfiles: a typed value, a parser for Ollama's whole grammar, a renderer and a linter.

No I/O except reading our own template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.modelfiles._finding import Finding, Level, Weights
    from gguf2ollama.modelfiles._lint import lint
    from gguf2ollama.modelfiles._parameters import PARAMETERS, ParameterSpec, ParameterStatus, Value
    from gguf2ollama.modelfiles._parser import InvalidLine, decode_modelfile, parse_modelfile
    from gguf2ollama.modelfiles._render import render_modelfile
    from gguf2ollama.modelfiles._value import (
        Instruction,
        Message,
        Modelfile,
        Parameter,
        Role,
        parse_message,
        parse_parameter,
    )

__all__ = [
    "PARAMETERS",
    "Finding",
    "Instruction",
    "InvalidLine",
    "Level",
    "Message",
    "Modelfile",
    "Parameter",
    "ParameterSpec",
    "ParameterStatus",
    "Role",
    "Value",
    "Weights",
    "decode_modelfile",
    "lint",
    "parse_message",
    "parse_modelfile",
    "parse_parameter",
    "render_modelfile",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "_finding": ("Finding", "Level", "Weights"),
        "_lint": ("lint",),
        "_parameters": ("PARAMETERS", "ParameterSpec", "ParameterStatus", "Value"),
        "_parser": ("InvalidLine", "decode_modelfile", "parse_modelfile"),
        "_render": ("render_modelfile",),
        "_value": (
            "Instruction",
            "Message",
            "Modelfile",
            "Parameter",
            "Role",
            "parse_message",
            "parse_parameter",
        ),
    },
)
