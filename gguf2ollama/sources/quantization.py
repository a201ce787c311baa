"""The names of quantizations as publishers write them into the names of files and folders.

The types are those of llama.cpp (``llama_ftype`` of include/llama.h) and of its fork ik_llama.cpp. ``UD-`` is
Unsloth's mark, ``i1-`` that of mradermacher; ``_L`` and ``_XL`` say that some tensors are kept larger.
"""

from __future__ import annotations

import re

from gguf2ollama._lazy import lazy_pattern

__all__ = ["bits_of", "find_quant", "fold_quant", "is_same_quant", "without_quant"]

_SUFFIX = r"(?:_(?:K|KS|KSS|KL|KT|XXS|XS|S|M|L|XL|XXL|NL|[0-9]{1,2}|MOE|R4|R8))*"
_QUANT = lazy_pattern(
    r"(?<![A-Za-z0-9])"
    rf"(?P<quant>(?P<mark>UD-|i1-)?(?:I?Q[1-8]{_SUFFIX}|TQ[12]_0|(?:MX|NV)FP4{_SUFFIX}|B?F16|FP16|F32|FP32))"
    r"(?![A-Za-z0-9]|_[A-Za-z0-9]{1,3}(?![A-Za-z0-9]))",  # a short suffix that is not known: another type
    re.IGNORECASE,
)
_ALIASES = {"FP16": "F16", "FP32": "F32"}
_SEPARATORS = lazy_pattern(r"[-_. ]+")


def find_quant(text: str) -> str | None:
    """Return the last quantization that a name holds as a whole word: ``UD-Q4_K_XL``, never Q2 of ``AVQ2``.

    It is given in capitals, but for the mark ``i1-``.
    """
    found = None
    for match in _QUANT.finditer(text):
        mark, quant = match["mark"] or "", match["quant"]
        written = quant[len(mark) :].upper()
        found = ("i1-" if mark.lower() == "i1-" else mark.upper()) + written
    return found


def without_quant(text: str) -> str:
    """Return a name without the quantizations in it, in small letters and with one kind of separator."""
    return "-".join(part for part in _SEPARATORS.split(_QUANT.sub("", text).lower()) if part)


def fold_quant(text: str) -> str:
    """Return a quantization so that two ways to write it are equal: in capitals, FP16 as F16."""
    folded = text.strip().upper()
    mark, rest = ("", folded) if not folded.startswith(("UD-", "I1-")) else (folded[:3], folded[3:])
    return mark + _ALIASES.get(rest, rest)


def is_same_quant(found: str, wanted: str, *, ignores_mark: bool = False) -> bool:
    """Return whether a quantization is the one that was asked for.

    Args:
        found: As :func:`find_quant` gives it.
        wanted: As a user writes it.
        ignores_mark: Whether ``Q4_K_M`` also means ``i1-Q4_K_M`` and ``UD-Q4_K_M``.
    """
    mine, theirs = fold_quant(found), fold_quant(wanted)
    return mine == theirs or (ignores_mark and mine.startswith(("UD-", "I1-")) and mine[3:] == theirs)


def bits_of(quant: str) -> int:
    """Return the bits in the name of a quantization: 4 of ``IQ4_XS`` and ``MXFP4``, 16 of ``BF16``."""
    rest = fold_quant(quant)
    rest = rest[3:] if rest.startswith(("UD-", "I1-")) else rest
    found = re.search(r"16|32|[1-8]", rest)
    return int(found.group()) if found else 0
