"""Tensor types and file types of ggml: their numbers, names and sizes.

Sources: ``enum ggml_type`` in ggml.h, the block structs of ggml-common.h, ``enum llama_ftype`` in llama.h.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "BITNET_TYPE",
    "FIRST_FOREIGN_TYPE",
    "REMOVED_TENSOR_TYPES",
    "REPACKED_TYPES",
    "TensorType",
    "file_type_name",
    "file_type_number",
]


class TensorType(IntEnum):
    """How the elements of a tensor are stored: number in the file, elements per block, bytes per block.

    Attributes:
        block_size: Elements per block; the first dimension is a multiple of it.
        block_bytes: Bytes per block.
    """

    block_size: int
    block_bytes: int

    def __new__(cls, number: int, block_size: int = 0, block_bytes: int = 0) -> Self:
        """Create a member; the defaults are for type checkers, which consider ``TensorType(8)`` a call."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.block_size = block_size
        member.block_bytes = block_bytes
        return member

    F32 = 0, 1, 4
    F16 = 1, 1, 2
    Q4_0 = 2, 32, 18
    Q4_1 = 3, 32, 20
    Q5_0 = 6, 32, 22
    Q5_1 = 7, 32, 24
    Q8_0 = 8, 32, 34
    Q8_1 = 9, 32, 40  # as in the gguf package; 36 in the current ggml, which never writes it to a file
    Q2_K = 10, 256, 84
    Q3_K = 11, 256, 110
    Q4_K = 12, 256, 144
    Q5_K = 13, 256, 176
    Q6_K = 14, 256, 210
    Q8_K = 15, 256, 292
    IQ2_XXS = 16, 256, 66
    IQ2_XS = 17, 256, 74
    IQ3_XXS = 18, 256, 98
    IQ1_S = 19, 256, 50
    IQ4_NL = 20, 32, 18
    IQ3_S = 21, 256, 110
    IQ2_S = 22, 256, 82
    IQ4_XS = 23, 256, 136
    I8 = 24, 1, 1
    I16 = 25, 1, 2
    I32 = 26, 1, 4
    I64 = 27, 1, 8
    F64 = 28, 1, 8
    IQ1_M = 29, 256, 56
    BF16 = 30, 1, 2
    TQ1_0 = 34, 256, 54
    TQ2_0 = 35, 256, 66
    MXFP4 = 39, 32, 17
    NVFP4 = 40, 64, 36
    Q1_0 = 41, 128, 18
    Q2_0 = 42, 64, 18


BITNET_TYPE = 36
"""I2_S of bitnet.cpp (microsoft/BitNet), which has the number of a type that llama.cpp has removed."""

FIRST_FOREIGN_TYPE = 97
"""From here on, numbers are those of ik_llama.cpp's own types (``ggml.h`` there), such as 145 for IQ2_KS."""

REMOVED_TENSOR_TYPES = {
    4: "Q4_2",
    5: "Q4_3",
    31: "Q4_0_4_4",
    32: "Q4_0_4_8",
    33: "Q4_0_8_8",
    36: "IQ4_NL_4_4",
    37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}
"""Types that llama.cpp once wrote and no longer reads."""

REPACKED_TYPES = {**dict.fromkeys((31, 32, 33), "Q4_0"), **dict.fromkeys((37, 38), "IQ4_NL")}
"""What those for processors of one kind held (``Q4_0_8_8``), and is repacked since November 2024."""

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}

_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
"""As in ``tools/quantize/quantize.cpp`` of llama.cpp."""

_GUESSED = 1024


def file_type_name(file_type: object) -> str:
    """Return the name of a ``general.file_type`` in Ollama and ``llama-quantize``: ``15`` is ``"Q4_K_M"``.

    The bit by which llama.cpp marks a guess is ignored. An unknown file type is ``"unknown"``,
    Ollama's own word for it.
    """
    if not isinstance(file_type, int) or isinstance(file_type, bool):
        return "unknown"
    return _FILE_TYPES.get(file_type & ~_GUESSED, "unknown")


def file_type_number(name: str) -> int:
    """Return the number of a file type by the name that ``llama-quantize`` knows, in any case.

    Raises:
        UsageProblem: There is no such type.
    """
    wanted = _ALIASES.get(name.strip().upper(), name.strip().upper())
    for number, known in _FILE_TYPES.items():
        if known == wanted:
            return number
    raise UsageProblem(f"invalid type {name!r}", hint=f"use one of {', '.join(_FILE_TYPES.values())}")
