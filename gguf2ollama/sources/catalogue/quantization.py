"""The names of quantizations as publishers write them into the names of files and folders.

The types are those of llama.cpp (``llama_ftype`` of include/llama.h), of its fork ik_llama.cpp and of BitNet.
What publishers add is open: ``_L`` and ``_XL`` for tensors that are kept larger, ``_MIXED``, ``_P``, a second
type (``MXFP4_MOE_BF16``), so any short words may follow after ``_``. ``UD-`` is Unsloth's mark, ``i1-`` that
of mradermacher.
"""

from __future__ import annotations

import re

from gguf2ollama._lazy import lazy_pattern

__all__ = ["bits_of", "find_label", "find_quant", "fold_quant", "is_convertible", "is_same_quant"]

_INTEGERS = (
    r"(?:I?Q[1-8]|I2(?=_)|TQ[1-9]|(?:MX|NV)?FP[468]|INT[48])"
    r"(?:K?(?:XXS|XS|XL|NL|S|M|L)|K|_?[0-9](?=_))?"
)
_FLOATS = r"(?:BF16|F16|FP16|F32|FP32)"
_LABEL = lazy_pattern(
    r"(?<![A-Za-z0-9])"
    r"(?P<label>(?P<mark>UD-|i1-)?"
    rf"(?:{_INTEGERS}(?:_[A-Za-z0-9]{{1,5}})*|{_FLOATS}(?:_{_INTEGERS}(?:_[A-Za-z0-9]{{1,5}})*)?|[0-9]+(?:\.[0-9]+)?(?:bpw|-?bit)))"
    r"(?![A-Za-z0-9]|\.[0-9])",
    re.IGNORECASE,
)
_GLUED = lazy_pattern(
    rf"(?<=[a-z])(?P<mark>)(?P<label>{_INTEGERS}(?:_[A-Z0-9]{{1,5}})+|{_FLOATS})(?![A-Za-z0-9]|\.[0-9])"
)
"""A label in capitals right behind small letters: ``devstralQ4_K_M.gguf``."""
_ALIASES = {"FP16": "F16", "FP32": "F32"}
_MARKS = ("UD-", "I1-")
_SEPARATORS = lazy_pattern(r"[-_. ]")
_BITS = lazy_pattern(r"16|32|[1-8]")
_CONVERTIBLE = frozenset({"F32", "F16", "BF16", "Q8_0"})


def find_label(text: str) -> re.Match[str] | None:
    """Return the last quantization that a name has as a whole word, and where: never Q2 of ``AVQ2``.

    Its groups are ``label`` and, at the beginning of that, ``mark``.
    """
    found = None
    for found in _LABEL.finditer(text):  # noqa: B007 - the last
        pass
    return found or _GLUED.search(text)


def find_quant(text: str) -> str | None:
    """Return the last quantization that a name has, such as ``UD-Q4_K_XL``: in capitals, but for ``i1-``."""
    match = find_label(text)
    if match is None:
        return None
    mark = match["mark"] or ""
    rest = match["label"][len(mark) :]
    rest = rest.lower() if rest.lower().endswith(("bpw", "bit")) else rest.upper()
    return ("i1-" if mark.lower() == "i1-" else mark.upper()) + rest


def fold_quant(text: str) -> str:
    """Return a quantization so that two ways to write it are equal: in capitals, FP16 as F16."""
    folded = text.strip().upper()
    mark, rest = _split_mark(folded)
    return mark + _ALIASES.get(rest, rest)


def is_same_quant(found: str, wanted: str, *, loosely: bool = False) -> bool:
    """Return whether a quantization is the one that was asked for.

    Args:
        found: As :func:`find_quant` returns it.
        wanted: As a user writes it.
        loosely: Whether ``Q4_K_M`` also means ``i1-Q4_K_M``, ``UD-Q4_K_M`` and ``q4km``.
    """
    mine, theirs = fold_quant(found), fold_quant(wanted)
    if not loosely:
        return mine == theirs
    return _bare(theirs) in {_bare(mine), _bare(_split_mark(mine)[1])}


def bits_of(quant: str) -> int:
    """Return the bits in the name of a quantization: 4 of ``IQ4_XS``, 16 of ``BF16``; else 0."""
    label = find_label(quant)
    found = _BITS.search(_split_mark(fold_quant(label["label"]))[1]) if label else None
    return int(found.group()) if found else 0


def is_convertible(quant: str) -> bool:
    """Return whether llama.cpp's converters write this type, so that adapters and projectors can have it."""
    return fold_quant(quant) in _CONVERTIBLE


def _split_mark(folded: str) -> tuple[str, str]:
    return ("", folded) if not folded.startswith(_MARKS) else (folded[:3], folded[3:])


def _bare(folded: str) -> str:
    return _SEPARATORS.sub("", folded)
