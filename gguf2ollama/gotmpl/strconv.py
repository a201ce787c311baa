"""Write and read literals as Go's ``strconv`` does: floats, quoted strings and characters, numbers."""

from __future__ import annotations

import math
import re

from gguf2ollama._lazy import lazy_pattern

__all__ = [
    "as_text",
    "format_float",
    "format_json_float",
    "is_bad_byte",
    "quote",
    "quote_character",
    "read_character",
    "read_number",
    "read_string",
]


_SHORTEST_LIMIT = 6
_SMALLEST_EXPONENT = -4
_JSON_PLAIN_FROM, _JSON_PLAIN_BELOW = 1e-6, 1e21


def format_float(value: float, kind: str, precision: int) -> str:
    """Write a float.

    Args:
        value: The number.
        kind: ``e``, ``f``, ``g``, ``x`` (without a precision) or ``b``; the first four in capitals, too.
        precision: The number of digits; -1 for the shortest form that reads back as the same number.
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
    """Return the significant digits, and the number of those before the decimal point."""
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


_SHORT_ESCAPES = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v"}
_DELETE, _MAX_TWO_BYTES = 0x7F, 0xFFFF
_ESCAPED_BYTES = range(0xDC80, 0xDD00)  # how "surrogateescape" represents bytes that are not valid UTF-8


def as_text(text: bytes) -> str:
    """Decode as Go's JSON writer does: each byte that is not valid UTF-8 becomes U+FFFD."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _BAD_BYTE.sub("\ufffd", text.decode(errors="surrogateescape"))


_BAD_BYTE = lazy_pattern("[\udc80-\udcff]")


def quote(text: bytes, *, ascii_only: bool = False, raw: bool = False) -> bytes:
    """Quote a string in double quotes, or with ``raw`` in backquotes where possible."""
    decoded = text.decode(errors="surrogateescape")
    if raw and _can_be_raw(decoded):
        return b"`" + text + b"`"
    quoted = "".join(_escape(sign, '"', ascii_only=ascii_only) for sign in decoded)
    return f'"{quoted}"'.encode()


def quote_character(character: str, *, ascii_only: bool = False) -> bytes:
    """Quote a character in single quotes."""
    return f"'{_escape(character, chr(39), ascii_only=ascii_only)}'".encode()


def _can_be_raw(text: str) -> bool:
    return not any(
        sign in "`\ufeff\x7f" or (sign < " " and sign != "\t") or is_bad_byte(sign) for sign in text
    )


def is_bad_byte(sign: str) -> bool:
    """Return whether a character is a byte that is not valid UTF-8, as ``surrogateescape`` decodes it."""
    return ord(sign) in _ESCAPED_BYTES


def _escape(sign: str, around: str, *, ascii_only: bool) -> str:
    code = ord(sign)
    if sign in (around, "\\"):
        return "\\" + sign
    if code in _ESCAPED_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if sign.isprintable() and (sign.isascii() or not ascii_only):
        return sign
    if short := _SHORT_ESCAPES.get(code):
        return short
    if sign < " " or code == _DELETE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _MAX_TWO_BYTES else f"\\U{code:08x}"


_ESCAPE = lazy_pattern(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL
)
_SHORT_CODES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_MAX_BYTE, _MAX_RUNE = 0xFF, 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_OCTAL = lazy_pattern(r"[+-]?0[0-7_]+\Z")
_FLOAT_SIGNS = frozenset(".eEpP")
_INT_RANGE = range(-(2**63), 2**63)
_UINT_END = 2**64


def read_string(source: str) -> bytes:
    """Return the bytes of a quoted or raw string.

    Raises:
        ValueError: An escape is invalid in Go; the message names it.
    """
    if source.startswith("`"):
        return source[1:-1].replace("\r", "").encode()
    inside = source[1:-1]
    if "\\" not in inside:
        return inside.encode()
    out, at = bytearray(), 0
    for match in _ESCAPE.finditer(inside):
        out += inside[at : match.start()].encode()
        if match[1] == "'":
            raise ValueError(f"invalid escape in a string: {match.group()}")
        value, is_byte = _unescape(match)
        out += bytes([value]) if is_byte else chr(value).encode()
        at = match.end()
    return bytes(out + inside[at:].encode())


def _unescape(match: re.Match[str]) -> tuple[int, bool]:
    """Return the value of an escape, and whether it is a byte rather than a character."""
    short, byte, four, eight, octal, other = match.groups()
    if short:
        return _SHORT_CODES[short], False
    if other is not None:
        raise ValueError(f"invalid escape: {match.group()}")
    value = int(octal, 8) if octal else int(byte or four or eight, 16)
    is_byte = bool(octal or byte)
    if value > (_MAX_BYTE if is_byte else _MAX_RUNE) or (not is_byte and value in _SURROGATES):
        raise ValueError(f"invalid escape: {match.group()} is not a valid code point")
    return value, is_byte


def read_character(source: str) -> int:
    """Return the code point of a quoted character.

    Raises:
        ValueError: It is not a single character.
    """
    inside = source[1:-1]
    if match := _ESCAPE.fullmatch(inside):
        if match[1] == '"':
            raise ValueError(f"malformed character constant: {source}")
        return _unescape(match)[0]
    if len(inside) != 1 or inside == "'":
        raise ValueError(f"malformed character constant: {source}")
    return ord(inside)


def read_number(source: str) -> int | float:
    """Return the value of a number: an ``int`` unless it is written as a float.

    Raises:
        ValueError: It is not a number in Go, or out of range.
    """
    is_hexadecimal = source.lstrip("+-")[:2].lower() == "0x"
    signs = frozenset("pP.") if is_hexadecimal else _FLOAT_SIGNS
    if not signs.isdisjoint(source):
        return _read_float(source, is_hexadecimal=is_hexadecimal)
    return _read_integer(source)


def _read_float(source: str, *, is_hexadecimal: bool) -> float:
    if is_hexadecimal and "p" not in source.lower():
        raise ValueError(f"bad number syntax: {source!r} (a hexadecimal float needs an exponent)")
    try:
        value = float.fromhex(source.replace("_", "")) if is_hexadecimal else float(source)
    except (ValueError, OverflowError):
        raise ValueError(f"bad number syntax: {source!r}") from None
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"number out of range: {source} does not fit in a float")
    return value


def _read_integer(source: str) -> int:
    try:
        value = int(source.replace("_", ""), 8) if _OCTAL.match(source) else int(source, 0)
    except ValueError:
        raise ValueError(f"bad number syntax: {source!r}") from None
    if value not in _INT_RANGE and not (0 <= value < _UINT_END and source[0] != "+"):
        raise ValueError(f"number out of range: {source} does not fit in an integer")
    return value
