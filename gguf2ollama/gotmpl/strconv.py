"""Write floats as Go's ``strconv.FormatFloat`` does."""

from __future__ import annotations

import math

__all__ = ["format_float", "format_json_float"]

_SHORTEST_LIMIT = 6
_SMALLEST_EXPONENT = -4
_JSON_PLAIN_FROM, _JSON_PLAIN_BELOW = 1e-6, 1e21


def format_float(value: float, kind: str, precision: int) -> str:
    """Write a float.

    Args:
        value: The number.
        kind: ``e``, ``f``, ``g``, ``x`` (without a precision) or ``b``; the first four in capitals, too.
        precision: How many digits; -1 for as many as it takes to read the same number again.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    lower = kind.lower()
    if lower == "g":
        text = _general(value, precision)
    elif lower == "b":
        text = _binary(value)
    elif lower == "x":
        text = _hexadecimal(value)
    elif precision >= 0:
        text = format(value, f".{precision}{lower}")
    else:
        text = _scientific(*_decimal(value)) if lower == "e" else _plain(*_decimal(value))
    return sign + (text.upper() if kind.isupper() else text)


def format_json_float(value: float) -> str:
    """Write a float as ``encoding/json`` does."""
    if value and not _JSON_PLAIN_FROM <= abs(value) < _JSON_PLAIN_BELOW:
        return format_float(value, "e", -1).replace("e-0", "e-")
    return format_float(value, "f", -1)


def _decimal(value: float, written: str = "") -> tuple[str, int]:
    """Return the significant digits, and how many of them stand before the point."""
    mantissa, _, exponent = (written or repr(value)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    if not digits.strip("0"):
        return "0", 1
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))
    return digits.rstrip("0"), point


def _general(value: float, precision: int) -> str:
    digits, point = _decimal(value)
    limit = _SHORTEST_LIMIT
    if precision >= 0:
        limit = precision or 1
        digits, point = _decimal(value, format(value, f".{limit - 1}e"))
        if limit > len(digits) >= point:
            limit = len(digits)
    if point - 1 < _SMALLEST_EXPONENT or point - 1 >= limit:
        return _scientific(digits, point)
    return _plain(digits, point)


def _scientific(digits: str, point: int) -> str:
    part = f".{digits[1:]}" if len(digits) > 1 else ""
    exponent = point - 1
    return f"{digits[0]}{part}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _plain(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if len(digits) <= point:
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


_MANTISSA_BITS, _SMALLEST_BINARY_EXPONENT = 53, -1074


def _binary(value: float) -> str:
    fraction, exponent = math.frexp(value)
    exponent = (
        max(exponent - _MANTISSA_BITS, _SMALLEST_BINARY_EXPONENT) if value else _SMALLEST_BINARY_EXPONENT
    )
    return f"{int(math.ldexp(value, -exponent)) if fraction else 0}p{exponent:+d}"


def _hexadecimal(value: float) -> str:
    if not value:
        return "0x0p+00"
    fraction, exponent = math.frexp(value)
    digits = f"{int(math.ldexp(fraction, _MANTISSA_BITS)) & ((1 << 52) - 1):013x}".rstrip("0")
    sign = "-" if exponent < 1 else "+"
    return f"0x1{f'.{digits}' if digits else ''}p{sign}{abs(exponent - 1):02d}"
