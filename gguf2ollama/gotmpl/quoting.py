"""Quote and escape texts as Go does: ``%q``, ``html``, ``js`` and ``urlquery``."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

__all__ = ["as_text", "escape_html", "escape_javascript", "escape_query", "quote", "quote_character"]

_SHORT = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v"}
_DELETE, _MAX_TWO_BYTES = 0x7F, 0xFFFF
_ESCAPED_BYTES = range(0xDC80, 0xDD00)  # how "surrogateescape" carries bytes that are no UTF-8


def as_text(text: bytes) -> str:
    """Decode as Go's JSON writer does: each byte that is no UTF-8 becomes U+FFFD."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _BAD_BYTE.sub("\ufffd", text.decode(errors="surrogateescape"))


_BAD_BYTE = re.compile("[\udc80-\udcff]")


def quote(text: bytes, *, ascii_only: bool = False, raw: bool = False) -> bytes:
    """Quote a text in double quotes; with ``raw`` in backquotes, where that is possible."""
    decoded = text.decode(errors="surrogateescape")
    if raw and _can_be_raw(decoded):
        return b"`" + text + b"`"
    quoted = "".join(_escaped(sign, '"', ascii_only=ascii_only) for sign in decoded)
    return f'"{quoted}"'.encode()


def quote_character(character: str, *, ascii_only: bool = False) -> bytes:
    """Quote a character in single quotes."""
    return f"'{_escaped(character, chr(39), ascii_only=ascii_only)}'".encode()


def _can_be_raw(text: str) -> bool:
    return not any(
        sign in "`\ufeff\x7f" or (sign < " " and sign != "\t") or _is_bad_byte(sign) for sign in text
    )


def _is_bad_byte(sign: str) -> bool:
    return ord(sign) in _ESCAPED_BYTES


def _escaped(sign: str, around: str, *, ascii_only: bool) -> str:
    code = ord(sign)
    if sign in (around, "\\"):
        return "\\" + sign
    if code in _ESCAPED_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if sign.isprintable() and (sign.isascii() or not ascii_only):
        return sign
    if short := _SHORT.get(code):
        return short
    if sign < " " or code == _DELETE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _MAX_TWO_BYTES else f"\\U{code:08x}"


_HTML = {
    b"\0": "\ufffd".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"&": b"&amp;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_HTML_SIGN = re.compile(rb"[\0\"'&<>]")


def escape_html(text: bytes) -> bytes:
    """Escape for HTML."""
    return _HTML_SIGN.sub(lambda match: _HTML[match.group()], text)


_JAVASCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E"}
_JAVASCRIPT |= {"&": "\\u0026", "=": "\\u003D"}
_JAVASCRIPT_SIGN = re.compile("[\\\\'\"<>&=\0-\x1f\x80-\U0010ffff]")


def escape_javascript(text: bytes) -> bytes:
    """Escape for a string of JavaScript."""
    return _JAVASCRIPT_SIGN.sub(_javascript, text.decode(errors="surrogateescape")).encode(
        errors="surrogateescape"
    )


def _javascript(match: re.Match[str]) -> str:
    sign = match.group()
    if escaped := _JAVASCRIPT.get(sign):
        return escaped
    if _is_bad_byte(sign):
        return sign  # Go takes it for U+FFFD, which is printable, and writes the byte
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04X}"


def escape_query(text: bytes) -> bytes:
    """Escape for the query of a URL."""
    return quote_plus(text).encode()
