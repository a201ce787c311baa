"""Write GGUF: typed metadata, tensor descriptions, and whole small files."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.atomic import atomic_file
from gguf2ollama.ggufio.ggml import TensorType
from gguf2ollama.ggufio.tensors import DEFAULT_ALIGNMENT, TensorInfo, align, tensor_bytes
from gguf2ollama.ggufio.values import ByteOrder, ValueType

__all__ = ["Tensor", "TypedValue", "encode_entry", "encode_header", "lay_out", "normalized", "write_gguf"]


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A metadata value with its type in the file.

    Attributes:
        type: The type of the value.
        value: A number, bool or string; for an array the sequence of its elements, which are
            :class:`TypedValue` in turn where they are arrays themselves.
        element_type: The type of an array's elements; ``None`` for other values.
    """

    type: ValueType
    value: object
    element_type: ValueType | None = None

    @classmethod
    def array(cls, element_type: ValueType, elements: Sequence[object]) -> TypedValue:
        """Return an array of elements of one type."""
        return cls(ValueType.ARRAY, elements, element_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor to write, with its data.

    Attributes:
        name: Its name.
        shape: Elements along each dimension, the contiguous one first.
        type: How the elements are stored.
        data: The bytes of the elements.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    data: bytes


def write_gguf(
    target: str | os.PathLike[str] | BinaryIO,
    *,
    metadata: Mapping[str, TypedValue],
    tensors: Sequence[Tensor] = (),
    byte_order: ByteOrder = "little",
    version: int = 3,
    alignment: int = DEFAULT_ALIGNMENT,
) -> None:
    """Write a GGUF, each tensor padded with zeros to the alignment.

    ``general.alignment`` is added if the alignment is not 32 and ``metadata`` does not contain it.

    Args:
        target: A path, which is written atomically, or a binary stream.
        metadata: Keys and values, in order.
        tensors: The tensors, in order.
        byte_order: The byte order of the header; the data is written as it is.
        version: 2 or 3.
        alignment: Bytes; a power of two.

    Raises:
        NotEnoughSpace: The disk filled up.
        UsageProblem: A value does not fit its type, data its tensor's shape, or the alignment the metadata.
    """
    typed = _with_alignment(metadata, alignment)
    entries = [encode_entry(key, value, byte_order=byte_order) for key, value in typed.items()]
    infos = lay_out(map(_describe, tensors), alignment=alignment)
    header = encode_header(entries, infos, byte_order=byte_order, version=version, alignment=alignment)
    if not isinstance(target, str | os.PathLike):
        _write(target, header, tensors, alignment)
        return
    with atomic_file(Path(target)) as stream:
        _write(stream, header, tensors, alignment)


def encode_entry(key: str, value: TypedValue, *, byte_order: ByteOrder) -> bytes:
    """Return the bytes of a key and its value.

    Raises:
        UsageProblem: The value does not fit its type.
    """
    mark = "<" if byte_order == "little" else ">"
    try:
        return _text(key, mark) + struct.pack(f"{mark}I", value.type) + _value(value, mark)
    except (struct.error, OverflowError, TypeError, UnicodeError) as error:
        raise UsageProblem(f"{key}: invalid {value.type.name} {value.value!r:.80}: {error}") from error


def encode_header(
    entries: Sequence[bytes],
    tensors: Sequence[TensorInfo],
    *,
    byte_order: ByteOrder,
    version: int,
    alignment: int,
) -> bytes:
    """Return the bytes of a file up to its data section, from encoded keys and described tensors."""
    mark = "<" if byte_order == "little" else ">"
    parts = [b"GGUF", struct.pack(f"{mark}IQQ", version, len(tensors), len(entries)), *entries]
    for tensor in tensors:
        dimensions = len(tensor.shape)
        parts.append(_text(tensor.name, mark))
        parts.append(
            struct.pack(f"{mark}I{dimensions}QIQ", dimensions, *tensor.shape, int(tensor.type), tensor.offset)
        )
    header = b"".join(parts)
    return header.ljust(align(len(header), alignment), b"\x00")


def lay_out(tensors: Iterable[TensorInfo], *, alignment: int) -> tuple[TensorInfo, ...]:
    """Return the tensors with their offsets."""
    placed = []
    offset = 0
    for tensor in tensors:
        placed.append(replace(tensor, offset=offset))
        offset = align(offset + tensor.n_bytes, alignment)
    return tuple(placed)


def normalized(tensor: TensorInfo) -> TensorInfo:
    """Return a tensor description as ggml writes it: without trailing dimensions of length 1."""
    shape = tensor.shape or (1,)
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return tensor if shape == tensor.shape else replace(tensor, shape=shape)


def _with_alignment(metadata: Mapping[str, TypedValue], alignment: int) -> dict[str, TypedValue]:
    if alignment < 1 or alignment & (alignment - 1):
        raise UsageProblem(f"alignment {alignment} is not a power of two")
    key = "general.alignment"
    typed = dict(metadata)
    if alignment != DEFAULT_ALIGNMENT:
        typed.setdefault(key, TypedValue(ValueType.UINT32, alignment))
    if key in typed and typed[key].value != alignment:
        raise UsageProblem(f"{key} is {typed[key].value}, but the alignment is {alignment}")
    return typed


def _describe(tensor: Tensor) -> TensorInfo:
    n_elements = 1
    for length in tensor.shape:
        n_elements *= length
    n_bytes = tensor_bytes(tensor.type, n_elements)
    if len(tensor.data) != n_bytes:
        raise UsageProblem(
            f"tensor {tensor.name} of shape {tensor.shape} takes {n_bytes:,} bytes as {tensor.type.name}, "
            f"{len(tensor.data):,} were given"
        )
    return TensorInfo(tensor.name, tensor.shape, tensor.type, 0, n_elements, n_bytes)


def _write(stream: BinaryIO, header: bytes, tensors: Iterable[Tensor], alignment: int) -> None:
    stream.write(header)
    for tensor in tensors:
        stream.write(tensor.data)
        stream.write(bytes(align(len(tensor.data), alignment) - len(tensor.data)))


def _value(value: TypedValue, mark: str) -> bytes:
    if value.type is ValueType.STRING:
        return _text(value.value, mark)
    if value.type is ValueType.BOOL and not isinstance(value.value, bool):
        raise TypeError("expected true or false")
    if value.type is not ValueType.ARRAY:
        return struct.pack(mark + value.type.code, value.value)
    return _array(value, mark)


def _array(value: object, mark: str) -> bytes:
    if not isinstance(value, TypedValue):
        raise TypeError("nested arrays must be TypedValue instances")
    kind, elements = value.element_type, value.value
    if kind is None or not isinstance(elements, Sequence):
        raise TypeError("an array needs an element type and a sequence")
    head = struct.pack(f"{mark}IQ", kind, len(elements))
    if kind is ValueType.STRING:
        return head + b"".join(_text(element, mark) for element in elements)
    if kind is ValueType.ARRAY:
        return head + b"".join(_array(element, mark) for element in elements)
    return head + struct.pack(f"{mark}{len(elements)}{kind.code}", *elements)


def _text(text: object, mark: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected a string, got {text!r:.80}")
    encoded = text.encode("utf-8", "surrogateescape")
    return struct.pack(f"{mark}Q", len(encoded)) + encoded
