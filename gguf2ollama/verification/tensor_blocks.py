"""What the bytes of a tensor may hold: finite numbers, in blocks that a quantizer writes.

Blocks are decoded by the ``gguf`` package, llama.cpp's own Python implementation. Beyond that, scales are
looked at, which names the cause, and bytes that decode to ordinary numbers and that no quantizer writes.
Sources: the block structs of ggml-common.h; ``ggml_validate_row_data``, ``quantize_row_tq1_0_ref`` and
``quantize_row_tq2_0_ref`` of ggml-quants.c; the E8M0 and E4M3 formats of the OCP Microscaling
specification 1.0, of which 255 and 127 are NaN; ``_nvfp4_pack`` of convert_hf_to_gguf.py, which drops the
sign of E4M3. A scale that is zero or negative, or an all-zero block, is what quantizers write, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio import ByteOrder, TensorType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Flags: TypeAlias = Any  # NDArray[bool], which numpy's any() and indexing do not promise

__all__ = ["BlockFault", "Checker", "NotCheckable", "make_checker"]

_INTEGERS = {TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64}  # whatever the bits, a number
_FLOATS = {TensorType.F16: "f2", TensorType.F32: "f4", TensorType.F64: "f8"}
_D = {"d": 0}
_SCALES: dict[TensorType, dict[str, int]] = {
    TensorType.Q1_0: _D,
    TensorType.Q2_0: _D,
    TensorType.Q4_0: _D,
    TensorType.Q4_1: {"d": 0, "m": 2},
    TensorType.Q5_0: _D,
    TensorType.Q5_1: {"d": 0, "m": 2},
    TensorType.Q8_0: _D,
    TensorType.Q2_K: {"d": 80, "dmin": 82},
    TensorType.Q3_K: {"d": 108},
    TensorType.Q4_K: {"d": 0, "dmin": 2},
    TensorType.Q5_K: {"d": 0, "dmin": 2},
    TensorType.Q6_K: {"d": 208},
    TensorType.IQ1_S: _D,
    TensorType.IQ2_XXS: _D,
    TensorType.IQ2_XS: _D,
    TensorType.IQ2_S: _D,
    TensorType.IQ3_XXS: _D,
    TensorType.IQ3_S: _D,
    TensorType.IQ4_NL: _D,
    TensorType.IQ4_XS: _D,
    TensorType.TQ1_0: {"d": 52},
    TensorType.TQ2_0: {"d": 64},
}
"""Half-precision scales of a block, by their byte; the one of IQ1_M lies scattered, and is only decoded."""

_SCALE_IS_ALL = {TensorType.Q1_0, TensorType.Q2_0}
"""Types that ``gguf`` does not decode, of which each number is the scale times -1, 0, 1 or 2."""

_E8M0_NAN = 0xFF
_E4M3_MAX = 0x7E
_TERNARY_BYTES = 48  # of a block of TQ1_0 with five digits of base 3 each; four bytes with four digits follow


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFault:
    """What is wrong with a block; of a type without blocks, each element is one.

    Attributes:
        block: Its index within the bytes that were checked.
        problem: Such as ``"scale d is NaN"``.
    """

    block: int
    problem: str


class NotCheckable(Exception):
    """Nothing here decodes the type, or the byte order; the message is the reason."""


Checker: TypeAlias = "Callable[[Bytes], BlockFault | None]"
"""Return the first fault in bytes that are whole blocks, or ``None``."""


def make_checker(kind: TensorType, *, byte_order: ByteOrder) -> Checker:
    """Return what finds the first fault in the bytes of a tensor of that type.

    Args:
        kind: How the tensor is stored.
        byte_order: Of the file.

    Raises:
        NotCheckable: Nothing here decodes that type, or its blocks in that byte order.
    """
    if kind in _INTEGERS:
        return lambda _: None
    if kind in _FLOATS:
        dtype = ("<" if byte_order == "little" else ">") + _FLOATS[kind]
        return lambda data: _first_not_finite(data.view(dtype))
    if kind is TensorType.BF16:
        return lambda data: _first_not_finite(_widen(data, byte_order=byte_order))
    if byte_order != "little" or sys.byteorder != "little":
        raise NotCheckable("big-endian blocks are not decoded")
    decode = _decoder(kind)
    if decode is None and kind not in _SCALE_IS_ALL:
        raise NotCheckable("the gguf package does not decode this type")
    return lambda data: _first_fault(data.reshape(-1, kind.block_bytes), kind, decode)


def _decoder(kind: TensorType) -> Callable[[Bytes], Any] | None:
    import numpy as np  # noqa: PLC0415 - heavy, as is gguf
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants  # noqa: PLC0415

    try:
        known = GGMLQuantizationType(int(kind))
        if GGML_QUANT_SIZES[known] != (kind.block_size, kind.block_bytes):
            return None
        # once, before there are threads: it fills its tables
        quants.dequantize(np.zeros((1, kind.block_bytes), np.uint8), known)
    except (ValueError, KeyError, NotImplementedError):
        return None

    def decode(blocks: Bytes) -> Any:  # noqa: ANN401 - numpy's single precision
        with np.errstate(all="ignore"):  # what overflows is found in the result
            # as one row: rows are decoded in groups of 16, which for short ones takes several times as long
            return quants.dequantize(blocks.reshape(1, -1), known)

    return decode


def _first_fault(blocks: Bytes, kind: TensorType, decode: Callable[[Bytes], Any] | None) -> BlockFault | None:
    found = [*_bad_scales(blocks, kind), *_bad_bytes(blocks, kind)]
    if decode is not None and (fault := _first_not_finite(decode(blocks)[0])) is not None:
        block, element = divmod(fault.block, kind.block_size)
        found.append(BlockFault(block=block, problem=f"element {element} of the block {fault.problem}"))
    return min(found, key=lambda fault: fault.block, default=None)


def _bad_scales(blocks: Bytes, kind: TensorType) -> Iterator[BlockFault]:
    for name, offset in _SCALES.get(kind, {}).items():
        if (fault := _first_not_finite(_half(blocks, offset))) is not None:
            yield BlockFault(block=fault.block, problem=f"scale {name} {fault.problem}")


def _bad_bytes(blocks: Bytes, kind: TensorType) -> Iterator[BlockFault]:
    if kind is TensorType.MXFP4:
        yield from _first(blocks[:, 0] == _E8M0_NAN, "scale e is 255, which stands for NaN")
    elif kind is TensorType.NVFP4:
        bad: Flags = (blocks[:, :4] > _E4M3_MAX).any(axis=1)
        yield from _first(bad, "a scale is NaN or negative, which no quantizer writes")
    elif kind is TensorType.TQ1_0:
        digits = "a byte is not a group of ternary digits, which no quantizer writes"
        bad = ~_ternary(5)[blocks[:, :_TERNARY_BYTES]].all(axis=1)
        bad |= ~_ternary(4)[blocks[:, _TERNARY_BYTES : _TERNARY_BYTES + 4]].all(axis=1)
        yield from _first(bad & _is_scaled(blocks, kind), digits)
    elif kind is TensorType.TQ2_0:
        pairs = blocks[:, : _SCALES[kind]["d"]]
        bad = (pairs & pairs >> 1 & 0b01010101).any(axis=1)
        yield from _first(
            bad & _is_scaled(blocks, kind), "an element has the digit 3, which no quantizer writes"
        )


def _is_scaled(blocks: Bytes, kind: TensorType) -> Flags:
    """Return which blocks have another scale than 0: of others, a quantizer may write any digits.

    It divides by the scale before that is rounded to half precision, and so perhaps by next to nothing.
    """
    scaled: Flags = _half(blocks, _SCALES[kind]["d"]) != 0
    return scaled


def _ternary(digits: int) -> Flags:
    """Return which bytes hold so many digits of base 3, as the upper end of a fraction of 256."""
    import numpy as np  # noqa: PLC0415 - heavy

    unused = 3 ** (5 - digits)  # the last digit of bytes with four is 0
    valid = np.zeros(256, np.bool_)
    valid[(np.arange(0, 243, unused) * 256 + 242) // 243] = True
    return valid


def _half(blocks: Bytes, offset: int) -> Any:  # noqa: ANN401 - numpy's half precision
    return blocks[:, offset : offset + 2].copy().view("<f2")[:, 0]


def _widen(data: Bytes, *, byte_order: ByteOrder) -> Any:  # noqa: ANN401 - numpy's single precision
    import numpy as np  # noqa: PLC0415 - heavy

    halves = data.view("<u2" if byte_order == "little" else ">u2")
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _first(bad: Flags, problem: str) -> Iterator[BlockFault]:
    block = int(bad.argmax())
    if bad[block]:
        yield BlockFault(block=block, problem=problem)


def _first_not_finite(values: Any) -> BlockFault | None:  # noqa: ANN401 - an array of floats
    import numpy as np  # noqa: PLC0415 - heavy

    finite = np.isfinite(values)
    if finite.all():
        return None
    index = int(finite.argmin())
    return BlockFault(block=index, problem="is NaN" if np.isnan(values[index]) else "is infinite")
