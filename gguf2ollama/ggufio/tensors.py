"""The tensor descriptions of a GGUF, and their validation."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio.cursor import CONVERT, CUT, DAMAGED, Cursor, printable
from gguf2ollama.ggufio.ggml import (
    BITNET_TYPE,
    FIRST_FOREIGN_TYPE,
    REMOVED_TENSOR_TYPES,
    REPACKED_TYPES,
    TensorType,
)

__all__ = [
    "DEFAULT_ALIGNMENT",
    "LEAST_TENSOR_BYTES",
    "MAX_DIMENSIONS",
    "MAX_TENSORS",
    "MAX_TENSOR_NAME_BYTES",
    "TensorInfo",
    "align",
    "check_layout",
    "read_tensors",
    "tensor_bytes",
]

DEFAULT_ALIGNMENT = 32
"""The default of ``general.alignment``, in bytes (gguf.h)."""

MAX_DIMENSIONS = 4
"""ggml has no tensors of more dimensions (``GGML_MAX_DIMS``)."""

_TENSOR_TYPES = {int(kind): kind for kind in TensorType}

MAX_TENSORS = 1 << 18
MAX_TENSOR_NAME_BYTES = 64  # of the specification
MAX_COUNT = (1 << 63) - 1  # elements and bytes of a tensor are signed 64-bit numbers in ggml
LEAST_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8  # name, dimensions, type and offset


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as described in the header of a file.

    Attributes:
        name: Such as ``blk.0.attn_q.weight``.
        shape: Elements along each dimension, the contiguous one first; ``()`` is a single number.
        type: How the elements are stored.
        offset: The offset of the data, in bytes from the start of the file's data section.
        n_elements: The product of ``shape``.
        n_bytes: The bytes of the data, without padding.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int
    n_elements: int
    n_bytes: int


def tensor_bytes(kind: TensorType, n_elements: int) -> int:
    """Return the bytes of a tensor whose rows are whole blocks."""
    return n_elements // kind.block_size * kind.block_bytes


def align(position: int, alignment: int) -> int:
    """Return the first multiple of ``alignment``, a power of two, at or after ``position``."""
    return (position + alignment - 1) & -alignment


def read_tensors(cursor: Cursor, count: int) -> dict[str, TensorInfo]:
    """Read and validate the descriptions of all tensors, by name, in the order of the header."""
    tensors: dict[str, TensorInfo] = {}
    mark = "<" if cursor.order == "little" else ">"
    layouts = [struct.Struct(f"{mark}{dimensions}QIQ") for dimensions in range(MAX_DIMENSIONS + 1)]
    cursor.section = "tensor"
    for number in range(count):
        start = cursor.position
        cursor.label = number
        cursor.label = name = cursor.name_text("its name", MAX_TENSOR_NAME_BYTES)
        if name in tensors:
            raise cursor.error("duplicate tensor name", at=start, hint=DAMAGED)
        at = cursor.position
        dimensions = cursor.uint32()
        if dimensions > MAX_DIMENSIONS:
            raise cursor.error(
                f"it has {dimensions:,} dimensions, ggml supports {MAX_DIMENSIONS}", at=at, hint=DAMAGED
            )
        *shape, kind, offset = cursor.unpack(layouts[dimensions])
        tensors[name] = _describe(cursor, name, tuple(shape), kind, offset, at=at)
    cursor.section, cursor.label = "header", None
    return tensors


def _describe(
    cursor: Cursor, name: str, shape: tuple[int, ...], kind: int, offset: int, *, at: int
) -> TensorInfo:
    """Validate a description whose dimensions are at byte ``at``."""
    if kind == BITNET_TYPE:
        raise cursor.error(
            f"its type {kind} is I2_S of BitNet, or {REMOVED_TENSOR_TYPES[kind]}, removed from llama.cpp",
            at=at,
            hint="run it with bitnet.cpp (github.com/microsoft/BitNet), or get another quantization",
        )
    if kind in REMOVED_TENSOR_TYPES:
        removed = REMOVED_TENSOR_TYPES[kind]
        repacked = REPACKED_TYPES.get(kind)
        hint = f"get {repacked} of it instead, which llama.cpp repacks for the processor as it loads"
        raise cursor.error(
            f"its type {removed} ({kind}) was removed from llama.cpp",
            at=at,
            hint=hint if repacked else CONVERT,
        )
    if kind not in _TENSOR_TYPES:
        if kind >= FIRST_FOREIGN_TYPE:
            raise cursor.error(
                f"its type {kind} is not one of llama.cpp, which Ollama uses",
                at=at,
                hint="run it with ik_llama.cpp, which has types of its own, or get another quantization",
            )
        raise cursor.error(f"unknown tensor type {kind}", at=at, hint="update gguf2ollama")
    stored = _TENSOR_TYPES[kind]
    n_elements = math.prod(shape)
    if n_elements == 0:
        raise cursor.error(f"its shape {shape} has no elements", at=at, hint=DAMAGED)
    row = shape[0] if shape else 1
    if row % stored.block_size:
        raise cursor.error(
            f"its row length {row:,} is not a multiple of the block size {stored.block_size} ({stored.name})",
            at=at,
            hint=DAMAGED,
        )
    n_bytes = tensor_bytes(stored, n_elements)
    if max(n_elements, n_bytes) > MAX_COUNT:
        raise cursor.error(f"its shape {shape} overflows 64 bits", at=at, hint=DAMAGED)
    return TensorInfo(name, shape, stored, offset, n_elements, n_bytes)


def check_layout(
    cursor: Cursor, tensors: Collection[TensorInfo], *, data_offset: int, alignment: int
) -> None:
    """Check that all data is within the file and aligned, and that no tensors overlap."""
    end = 0
    previous = ""
    cursor.section = "tensor"
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        cursor.label = tensor.name
        at = data_offset + tensor.offset
        if tensor.offset % alignment:
            raise cursor.error(f"its data is not aligned to {alignment} bytes", at=at, hint=DAMAGED)
        if tensor.offset < end:
            raise cursor.error(f"its data overlaps that of {printable(repr(previous))}", at=at, hint=DAMAGED)
        end = tensor.offset + tensor.n_bytes
        previous = tensor.name
    needed = data_offset + end
    if tensors and needed > cursor.size:
        cut = next(tensor for tensor in tensors if data_offset + tensor.offset + tensor.n_bytes > cursor.size)
        cursor.label = cut.name
        raise cursor.error(
            f"{needed - cursor.size:,} bytes of tensor data are missing: the file has {cursor.size:,} bytes "
            f"and its header declares {needed:,}",
            at=data_offset + cut.offset,
            hint=CUT,
        )
