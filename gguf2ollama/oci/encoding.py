"""JSON as Go's ``encoding/json`` writes it, so that our blobs get the same digests as Ollama's."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from gguf2ollama.errors import InvalidInput

__all__ = ["go_json"]

# Go escapes these in strings; Python's encoder does not
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TABLE = str.maketrans(_ESCAPES)
_EXPONENT_FROM = 1e21
_EXPONENT_BELOW = 1e-6


def go_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Encode a JSON value as ``json.NewEncoder(w).Encode`` does: compact, HTML-safe, a newline at the end.

    Keys keep their order: Go writes the fields of a struct as declared, and sorts a map, so a caller
    sorts what is a map in Go.

    Raises:
        InvalidInput: A number that JSON cannot represent, or a string with lone surrogates.
    """
    try:
        return (_encode(value) + "\n").encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"invalid Unicode after {error.object[max(error.start - 20, 0) : error.start]!r}",
            hint="remove the lone surrogate",
        ) from error


def _encode(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_TABLE)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_encode(str(key))}:{_encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_encode, value)) + "]"
    return json.dumps(value)


def _number(value: float) -> str:
    """Format a float as Go does: shortest digits, exponents only for very large or small values."""
    if not math.isfinite(value):
        raise InvalidInput(f"JSON cannot represent {value}", hint="use a finite number")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if not _EXPONENT_BELOW <= abs(value) < _EXPONENT_FROM:
        mantissa, _, exponent = f"{value!r}".partition("e")
        sign = "-" if exponent.startswith("-") else "+"
        digits = exponent.lstrip("+-").lstrip("0")
        # Go shortens e-09 to e-9 and leaves e+21 as it is
        return f"{mantissa.removesuffix('.0')}e{sign}{digits}"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
