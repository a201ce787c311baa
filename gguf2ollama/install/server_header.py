"""The header of a GGUF that only a server can read, as far as its API shows it: enough to plan by."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator, Mapping, Sequence

from gguf2ollama.ggufio import GgufFile, TensorInfo, TensorType, TypedValue, ValueType, open_gguf, write_gguf
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE
from gguf2ollama.ggufio.tensors import tensor_bytes

__all__ = ["header_of"]

_LEFT_OUT = ("general.parameter_count", "general.alignment", "split.")
"""What Ollama adds, and what says how the bytes lie, which nobody reads of this."""
_UINT32, _INT32 = range(1 << 32), range(-(1 << 31), 1 << 31)


def header_of(
    metadata: Mapping[str, object],
    *,
    name: str,
    tensors: Sequence[Mapping[str, object]] = (),
    chat_template: str | None = None,
) -> GgufFile:
    """Return a header with the metadata and tensors that a server reports (``/api/show``, verbose).

    The types of numbers are guessed, so it is to be read only, and never written anywhere.

    Args:
        metadata: Keys and values; a server leaves the chat template out.
        name: The name of the model, for errors.
        tensors: Each with its name, type and shape.
        chat_template: The chat template.

    Raises:
        InvalidGguf: No GGUF can have these keys.
        UsageProblem: Nor these values.
    """
    values = {
        key: typed
        for key, value in metadata.items()
        if not key.startswith(_LEFT_OUT) and (typed := _typed(value)) is not None
    }
    if chat_template is not None:
        values[CHAT_TEMPLATE] = TypedValue(ValueType.STRING, chat_template)
    file = io.BytesIO()
    write_gguf(file, metadata=values, tensors=())
    file.seek(0)
    header = open_gguf(file, name=name)
    infos = tuple(_tensors(tensors))
    return dataclasses.replace(
        header,
        tensors=infos,
        size=header.data_offset + sum(info.n_bytes for info in infos),
        _by_name={info.name: info for info in infos},
    )


def _typed(value: object) -> TypedValue | None:
    if isinstance(value, bool):
        return TypedValue(ValueType.BOOL, value)
    if isinstance(value, str):
        return TypedValue(ValueType.STRING, value)
    if isinstance(value, int):
        kind = ValueType.UINT32 if value in _UINT32 else ValueType.INT64
        return TypedValue(kind, value)
    if isinstance(value, float):
        return TypedValue(ValueType.FLOAT32, value)
    if isinstance(value, (list, tuple)) and value:
        return _typed_array(value)
    return None


def _typed_array(values: Sequence[object]) -> TypedValue | None:
    if all(isinstance(value, str) for value in values):
        return TypedValue.array(ValueType.STRING, values)
    if all(isinstance(value, bool) for value in values):
        return TypedValue.array(ValueType.BOOL, values)
    if all(isinstance(value, int) and value in _INT32 for value in values):
        return TypedValue.array(ValueType.INT32, values)
    if all(isinstance(value, (int, float)) for value in values):
        return TypedValue.array(ValueType.FLOAT32, values)
    return None


def _tensors(tensors: Sequence[Mapping[str, object]]) -> Iterator[TensorInfo]:
    offset = 0
    for tensor in tensors:
        shape, kind = tensor.get("shape"), str(tensor.get("type")).upper()
        if not isinstance(shape, list) or kind not in TensorType.__members__:
            continue
        if not all(isinstance(length, int) and 0 <= length < 1 << 40 for length in shape):
            continue
        info = _info(str(tensor.get("name")), tuple(shape), TensorType[kind], offset)
        offset += info.n_bytes
        yield info


def _info(name: str, shape: tuple[int, ...], kind: TensorType, offset: int) -> TensorInfo:
    n_elements = math.prod(shape)
    return TensorInfo(name, shape, kind, offset, n_elements, tensor_bytes(kind, n_elements))
