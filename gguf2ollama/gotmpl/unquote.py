"""Read Go's literals: strings, characters and numbers (``strconv`` of Go)."""

from __future__ import annotations

import re

__all__ = ["read_character", "read_number", "read_string"]

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL
)
_SHORT = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_MAX_BYTE, _MAX_RUNE = 0xFF, 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_OCTAL = re.compile(r"[+-]?0[0-7_]+\Z")
_FLOAT_SIGNS = frozenset(".eEpP")
_INT_RANGE = range(-(2**63), 2**63)
_UINT_END = 2**64


def read_string(source: str) -> bytes:
    """Return the bytes of a quoted or raw string.

    Raises:
        ValueError: An escape is none of Go's; the text says which.
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
            raise ValueError(f"{match.group()!r} is no escape of a string")
        value, is_byte = _escaped(match)
        out += bytes([value]) if is_byte else chr(value).encode()
        at = match.end()
    return bytes(out + inside[at:].encode())


def _escaped(match: re.Match[str]) -> tuple[int, bool]:
    """Return what an escape stands for, and whether that is a byte rather than a character."""
    short, byte, four, eight, octal, other = match.groups()
    if short:
        return _SHORT[short], False
    if other is not None:
        raise ValueError(f"{match.group()!r} is no escape of Go's")
    value = int(octal, 8) if octal else int(byte or four or eight, 16)
    is_byte = bool(octal or byte)
    if value > (_MAX_BYTE if is_byte else _MAX_RUNE) or (not is_byte and value in _SURROGATES):
        raise ValueError(f"{match.group()!r} is no character")
    return value, is_byte


def read_character(source: str) -> int:
    """Return the number of a quoted character.

    Raises:
        ValueError: It is not one character.
    """
    inside = source[1:-1]
    if match := _ESCAPE.fullmatch(inside):
        if match[1] == '"':
            raise ValueError(f"{source} is no character")
        return _escaped(match)[0]
    if len(inside) != 1 or inside == "'":
        raise ValueError(f"{source} is not one character")
    return ord(inside)


def read_number(source: str) -> int | float:
    """Return the value of a number: an ``int`` unless it is written as a float.

    Raises:
        ValueError: It is no number of Go's, or does not fit.
    """
    is_hexadecimal = source.lstrip("+-")[:2].lower() == "0x"
    signs = frozenset("pP.") if is_hexadecimal else _FLOAT_SIGNS
    if not signs.isdisjoint(source):
        return _read_float(source, is_hexadecimal=is_hexadecimal)
    return _read_integer(source)


def _read_float(source: str, *, is_hexadecimal: bool) -> float:
    if is_hexadecimal and "p" not in source.lower():
        raise ValueError(f"{source!r} is not a number: a hexadecimal float has an exponent")
    try:
        value = float.fromhex(source.replace("_", "")) if is_hexadecimal else float(source)
    except (ValueError, OverflowError):
        raise ValueError(f"{source!r} is not a number") from None
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"{source!r} does not fit in a float")
    return value


def _read_integer(source: str) -> int:
    try:
        value = int(source.replace("_", ""), 8) if _OCTAL.match(source) else int(source, 0)
    except ValueError:
        raise ValueError(f"{source!r} is not a number") from None
    if value not in _INT_RANGE and not (0 <= value < _UINT_END and source[0] != "+"):
        raise ValueError(f"{source!r} does not fit in an integer")
    return value
