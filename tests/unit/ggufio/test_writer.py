from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import Tensor, TensorType, TypedValue, ValueType, open_gguf, write_gguf


@pytest.mark.parametrize(
    "value",
    [
        TypedValue(ValueType.UINT8, 256),
        TypedValue(ValueType.INT8, -129),
        TypedValue(ValueType.UINT64, -1),
        TypedValue(ValueType.UINT32, "7"),
        TypedValue(ValueType.FLOAT32, 1e300),
        TypedValue(ValueType.BOOL, "yes"),
        TypedValue(ValueType.STRING, 7),
        TypedValue(ValueType.STRING, "\ud800"),
        TypedValue(ValueType.ARRAY, [1]),
        TypedValue.array(ValueType.STRING, ["a", 7]),
        TypedValue.array(ValueType.UINT8, [1, 300]),
        TypedValue.array(ValueType.ARRAY, [[1]]),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_its_type_is_refused(tmp_path: Path, value: TypedValue) -> None:
    with pytest.raises(UsageProblem, match=r"the\.key: invalid"):
        write_gguf(tmp_path / "m.gguf", metadata={"the.key": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 17, 19])
def test_data_that_does_not_fit_its_shape_is_refused(tmp_path: Path, size: int) -> None:
    tensor = Tensor(name="t", shape=(32,), type=TensorType.Q4_0, data=bytes(size))
    with pytest.raises(UsageProblem, match=rf"takes 18 bytes as Q4_0, {size} were given"):
        write_gguf(tmp_path / "m.gguf", metadata={}, tensors=[tensor])


@pytest.mark.parametrize("alignment", [0, -32, 48])
def test_an_alignment_that_is_no_power_of_two_is_refused(alignment: int) -> None:
    with pytest.raises(UsageProblem, match="power of two"):
        write_gguf(io.BytesIO(), metadata={}, alignment=alignment)


def test_an_alignment_that_the_metadata_contradicts_is_refused() -> None:
    said = {"general.alignment": TypedValue(ValueType.UINT32, 64)}
    with pytest.raises(UsageProblem, match=r"general\.alignment is 64, but the alignment is 32"):
        write_gguf(io.BytesIO(), metadata=said)


def test_another_alignment_is_reported_in_the_metadata() -> None:
    stream = io.BytesIO()
    write_gguf(stream, metadata={}, alignment=64)
    assert open_gguf(stream).metadata["general.alignment"] == 64


def test_replaces_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_text("old")
    write_gguf(path, metadata={"a": TypedValue(ValueType.UINT8, 1)})
    assert dict(open_gguf(path).metadata) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["m.gguf"]


def test_writes_the_same_bytes_every_time() -> None:
    contents: list[Any] = []
    for _ in range(2):
        stream = io.BytesIO()
        write_gguf(stream, metadata={"a": TypedValue.array(ValueType.STRING, ["x", "y"])})
        contents.append(stream.getvalue())
    assert contents[0] == contents[1]
