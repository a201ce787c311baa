"""Modelfiles: a typed value, a parser for Ollama's whole grammar, a renderer and a linter.

No I/O except reading our own template.
"""

from gguf2ollama.modelfiles._finding import Finding, Level, Weights
from gguf2ollama.modelfiles._lint import lint
from gguf2ollama.modelfiles._parameters import PARAMETERS, ParameterSpec, ParameterStatus, Value
from gguf2ollama.modelfiles._parser import InvalidLine, decode_modelfile, parse_modelfile
from gguf2ollama.modelfiles._render import render_modelfile
from gguf2ollama.modelfiles._value import Instruction, Message, Modelfile, Parameter, Role, parse_parameter

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
    "parse_modelfile",
    "parse_parameter",
    "render_modelfile",
]
