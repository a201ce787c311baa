"""Parse JSON from a server in bounded memory.

The result of ``json.loads`` may be 30 times as large as its text: ``[{},{},…`` takes 90 bytes of memory for
each 3 of text. So the values are counted before they are parsed; the figures are those of CPython 3.11 to
3.14 on a 64-bit machine (``sys.getsizeof``, and 16 bytes for the garbage collector), rounded up.
"""

from __future__ import annotations

import json
import sys

from gguf2ollama._lazy import lazy_pattern

__all__ = ["MEMORY_FACTOR", "parse_json"]

MEMORY_FACTOR = 10
"""Bytes of memory that may be used for each byte of a large text."""

_SMALL = 1 << 20  # bytes of text that may take whatever they take
_DICT, _DICT_ENTRY, _LIST, _LIST_ENTRY, _NUMBER = 200, 30, 72, 9, 32
_STRING, _WIDE_STRING = 64, 96  # without their letters
_KEY = lazy_pattern(r'"([^"\\]*+)"\s*+:')


def parse_json(content: bytearray, memory_factor: int = MEMORY_FACTOR) -> object:
    """Parse a text, and empty it, so that text and result are not in memory together.

    Raises:
        ValueError: It is not JSON (UTF-8), is nested too deeply, or would take more than ``memory_factor``
            times its size of memory; the message is for the user.
    """
    size = len(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("the response is not valid UTF-8") from error
    finally:
        content.clear()
    if size > _SMALL and _memory(text, limit=memory_factor * size) > memory_factor * size:
        raise ValueError(f"the response is {size:,} bytes of JSON that would take too much memory")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the response is JSON that is nested too deeply") from error
    except ValueError as error:
        raise ValueError("the response is not valid JSON") from error


def _memory(text: str, *, limit: int) -> int:
    """Return the bytes that parsing takes at most; keys are counted one by one only where it matters.

    Structure is counted inside of strings, too: that makes the result larger, never smaller.
    """
    dicts, lists = text.count("{"), text.count("[")
    entries = text.count(":")
    quotes = text.count('"')
    items = max(0, text.count(",") - entries + dicts) + lists
    values = max(0, quotes // 2 - entries)
    numbers = max(0, entries + items - values - dicts - lists)
    string = _STRING if text.isascii() else _WIDE_STRING
    needed = (
        2 * sys.getsizeof(text)  # the text, and the letters of its strings
        + _DICT * dicts
        + _DICT_ENTRY * entries
        + _LIST * lists
        + _LIST_ENTRY * items
        + _NUMBER * numbers
        + string * values
    )
    if needed + string * entries <= limit or needed > limit:
        return needed
    # equal keys are one string, and of honest answers few differ
    keys: set[str] = set()
    for match in _KEY.finditer(text):
        keys.add(match[1])
        if needed + 2 * string * len(keys) > limit:
            break
    return needed + 2 * string * len(keys)
