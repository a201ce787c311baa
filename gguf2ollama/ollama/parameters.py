r"""Read the parameters as ``/api/show`` prints them.

One line each: the name, padded to 30 columns, a space and the value as Go's ``%#v`` prints it
(``server/routes.go`` of Ollama 0.34.4): ``stop                           "<|im_end|>\n"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gguf2ollama._lazy import lazy_pattern

__all__ = ["parse_parameters"]

_LINE = lazy_pattern(r"([a-z_]+)\s+(\S.*)\Z")
_QUOTED = lazy_pattern(r'"((?:[^"\\]|\\.)*)"\Z')
_ESCAPE = lazy_pattern(r"((?:\\x[0-9a-f]{2})+)|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\(.)")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WORDS = {"true": True, "false": False}
_LAST_CODE_POINT = 0x10FFFF


def parse_parameters(text: str) -> Mapping[str, object]:
    """Return each parameter's value: a text, a number, true or false.

    ``stop``, and whatever occurs on several lines, is a tuple. A value that is none of these stays text;
    a line that is not a parameter is left out.
    """
    found: dict[str, list[object]] = {}
    for line in text.split("\n"):
        if match := _LINE.match(line):
            found.setdefault(match[1], []).append(_value(match[2].rstrip()))
    return {
        name: tuple(values) if name == "stop" or len(values) > 1 else values[0]
        for name, values in found.items()
    }


def _value(text: str) -> object:
    if match := _QUOTED.match(text):
        return _ESCAPE.sub(_unescape, match[1])
    if text in _WORDS:
        return _WORDS[text]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _unescape(match: re.Match[str]) -> str:
    octets, short, long, letter = match.groups()
    if octets:
        return bytes.fromhex(octets.replace("\\x", "")).decode("utf-8", errors="replace")
    if letter:
        return _LETTERS.get(letter, letter)
    code = int(short or long, 16)
    return chr(code) if code <= _LAST_CODE_POINT else "�"
