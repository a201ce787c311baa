"""The parameters that a Modelfile can set: names, types, and what Ollama does with each."""

from __future__ import annotations

import difflib
import math
import struct
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = [
    "PARAMETERS",
    "ParameterSpec",
    "ParameterStatus",
    "ParameterType",
    "Value",
    "nearest",
    "to_text",
    "to_value",
]

Value: TypeAlias = int | float | bool | str
ParameterType: TypeAlias = Literal["int", "float", "bool", "str"]

_INT = lazy_pattern(r"[+-]?[0-9]+")
_INT_DIGITS = 40
_INT_RANGE = range(-(2**63), 2**63)
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_FLOAT = lazy_pattern(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_FLOAT_DIGITS = 9
_MOST_INTEGER = 2**31 - 1
_MOST_FLOAT = 3.4028234e38
_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a string"}
_BOOLS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


class ParameterStatus(Enum):
    """What Ollama 0.34.4 does with a parameter."""

    KNOWN = "known"
    DEPRECATED = "deprecated"
    """``ollama create`` warns and leaves it out."""
    REFUSED = "refused"
    """``ollama create`` ends with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """A parameter: its type, and its range (``None``: no bound).

    ``refused_by`` are the Ollama releases that reject it, if not all do.
    """

    name: str
    type: ParameterType
    status: ParameterStatus = ParameterStatus.KNOWN
    minimum: float | None = None
    maximum: float | None = None
    refused_by: str | None = None

    @property
    def may_repeat(self) -> bool:
        """Whether each occurrence adds a value, instead of replacing the one before."""
        return self.name == "stop"

    @property
    def kind(self) -> str:
        """The type in words."""
        return _KINDS[self.type]

    def is_typed(self, value: Value) -> bool:
        """Whether ``value`` has this parameter's type."""
        return type(value).__name__ == self.type

    def fit(self, value: object) -> Value | None:
        """Return a value from a file as this parameter has it; ``None`` if it is not one.

        A whole number may be written as another type. llama.cpp has 32 bits for a number.
        """
        if self.type == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) <= _MOST_INTEGER else math.inf
        if self.type == "int" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int | float | bool | str) or not self.is_typed(value):
            return None
        if isinstance(value, float) and not abs(value) <= _MOST_FLOAT:  # which no NaN is
            return None
        if isinstance(value, int) and abs(value) > _MOST_INTEGER:
            return None
        return value if self.is_in_range(value) else None

    def is_in_range(self, value: Value) -> bool:
        """Whether a number is within the bounds; other values always are."""
        if isinstance(value, str | bool):
            return True
        return (self.minimum is None or value >= self.minimum) and (
            self.maximum is None or value <= self.maximum
        )


def _table() -> Mapping[str, ParameterSpec]:
    deprecated, refused = ParameterStatus.DEPRECATED, ParameterStatus.REFUSED
    specs = (
        ParameterSpec(name="num_ctx", type="int", minimum=1),
        ParameterSpec(name="repeat_last_n", type="int", minimum=-1),
        ParameterSpec(name="repeat_penalty", type="float", minimum=0),
        ParameterSpec(name="temperature", type="float", minimum=0),
        ParameterSpec(name="seed", type="int"),
        ParameterSpec(name="stop", type="str"),
        ParameterSpec(name="num_predict", type="int", minimum=-2),
        ParameterSpec(name="draft_num_predict", type="int", minimum=0),
        ParameterSpec(name="top_k", type="int", minimum=0),
        ParameterSpec(name="top_p", type="float", minimum=0, maximum=1),
        ParameterSpec(name="min_p", type="float", minimum=0, maximum=1),
        ParameterSpec(name="num_batch", type="int", minimum=1),
        ParameterSpec(name="num_gpu", type="int", minimum=-1),
        ParameterSpec(name="main_gpu", type="int", minimum=0),
        ParameterSpec(name="num_thread", type="int", minimum=0),
        ParameterSpec(name="num_keep", type="int", minimum=-1),
        ParameterSpec(name="presence_penalty", type="float"),
        ParameterSpec(name="frequency_penalty", type="float"),
        ParameterSpec(name="use_mmap", type="bool"),
        ParameterSpec(name="penalize_newline", type="bool", status=deprecated),
        ParameterSpec(name="low_vram", type="bool", status=deprecated),
        ParameterSpec(name="f16_kv", type="bool", status=deprecated),
        ParameterSpec(name="logits_all", type="bool", status=deprecated),
        ParameterSpec(name="vocab_only", type="bool", status=deprecated),
        ParameterSpec(name="use_mlock", type="bool", status=deprecated),
        ParameterSpec(name="mirostat", type="int", status=deprecated),
        ParameterSpec(name="mirostat_tau", type="float", status=deprecated),
        ParameterSpec(name="mirostat_eta", type="float", status=deprecated),
        ParameterSpec(name="tfs_z", type="float", status=refused),
        ParameterSpec(name="typical_p", type="float", status=refused, refused_by="0.34.1 to 0.34.4"),
    )
    return MappingProxyType({spec.name: spec for spec in specs})


PARAMETERS: Mapping[str, ParameterSpec] = _table()
"""Every parameter of Ollama 0.34.4 by name (``api/types.go``, ``parser/parser.go``, ``docs/modelfile.mdx``).

The bounds are ours, for the linter: Ollama itself takes any number of the right type.
"""

_ELSEWHERE = {
    # OpenAI's API, llama.cpp and transformers
    **dict.fromkeys(("max_tokens", "max_new_tokens", "max_completion_tokens"), "num_predict"),
    **dict.fromkeys(("context_length", "max_length", "max_model_len"), "num_ctx"),
    **dict.fromkeys(("gpu_layers", "ngl"), "num_gpu"),
    "threads": "num_thread",
    "eos": "stop",
}

# Ollama's parser keeps instructions and parameters in one list, where "PARAMETER system x" is a SYSTEM
_INSTRUCTIONS = frozenset(
    {
        *("model", "license", "template", "system", "adapter", "renderer"),
        *("parser", "requires", "draft", "message"),
    }
)
_NAME = lazy_pattern(r"[A-Za-z0-9_]+")


def is_name(text: str) -> bool:
    """Whether ``text`` can be the name of a parameter, known or not."""
    return _NAME.fullmatch(text) is not None and text not in _INSTRUCTIONS


def nearest(name: str) -> str | None:
    """Return the parameter most similar to a mistyped name, or the one that other programs call so."""
    name = name[:80].lower()
    return _ELSEWHERE.get(name) or next(iter(difflib.get_close_matches(name, PARAMETERS, n=1)), None)


def to_value(name: str, value: Value) -> Value:
    """Convert a value to the type of a parameter, as ``ollama create`` would; a string if that fails.

    Floats are rounded to the 32 bits that Ollama keeps, and returned as the shortest equal decimal.
    Infinities do not count as numbers, since JSON has none, and neither do Go's hexadecimal floats.
    """
    text = to_text(value)
    spec = PARAMETERS.get(name)
    if spec is None or spec.type == "str":
        return text
    if spec.type == "int":
        return _read_int(text)
    if spec.type == "float":
        return _read_float(text)
    return _BOOLS.get(text, text)


def to_text(value: Value) -> str:
    """Write a value as it stands in a Modelfile, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _read_int(text: str) -> int | str:
    if len(text) > _INT_DIGITS or not _INT.fullmatch(text):
        return text
    number = int(text)
    return number if number in _INT_RANGE else text


def _read_float(text: str) -> float | str:
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    kept = _as_float32(number)
    if kept is None or not math.isfinite(number):
        return text
    candidates = (float(f"{number:.{digits}g}") for digits in range(1, _FLOAT_DIGITS))
    return next((short for short in candidates if _as_float32(short) == kept), number)


def _as_float32(number: float) -> bytes | None:
    try:
        return struct.pack("<f", number)
    except OverflowError:
        return None
