"""The ``gguf`` package is the reference: it reads what we write, and we what it writes, field by field."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.ggufio import (
    ByteOrder,
    GgufArray,
    ShardSet,
    Tensor,
    TensorType,
    TypedValue,
    ValueType,
    merge,
    open_gguf,
    split,
)
from tests.builders import build_gguf, make_tensor, tiny_llama
from tests.examples import examples

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERY_TYPE = {
    "u8": TypedValue(ValueType.UINT8, 2**8 - 1),
    "i8": TypedValue(ValueType.INT8, -(2**7)),
    "u16": TypedValue(ValueType.UINT16, 2**16 - 1),
    "i16": TypedValue(ValueType.INT16, -(2**15)),
    "u32": TypedValue(ValueType.UINT32, 2**32 - 1),
    "i32": TypedValue(ValueType.INT32, -(2**31)),
    "f32": TypedValue(ValueType.FLOAT32, 1.5),
    "bool": TypedValue(ValueType.BOOL, True),
    "str": TypedValue(ValueType.STRING, "héllo ☃\n"),
    "empty": TypedValue(ValueType.STRING, ""),
    "u64": TypedValue(ValueType.UINT64, 2**64 - 1),
    "i64": TypedValue(ValueType.INT64, -(2**63)),
    "f64": TypedValue(ValueType.FLOAT64, -1e300),
    "strs": TypedValue.array(ValueType.STRING, ["", "a", "☃" * 30]),
    "i32s": TypedValue.array(ValueType.INT32, [-1, 0, 1]),
    "f32s": TypedValue.array(ValueType.FLOAT32, [0.5, -0.25]),
    "bools": TypedValue.array(ValueType.BOOL, [True, False]),
    "u64s": TypedValue.array(ValueType.UINT64, [2**64 - 1, 0]),
}


def check_agreement(path: Path) -> None:
    """Compare every field that both readers tell."""
    ours, theirs = open_gguf(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for key, field in fields.items():
        value = ours.metadata[key]
        assert int(ours.metadata.type_of(key)) == int(field.types[0]), key
        if isinstance(value, GgufArray):
            assert list(value) == field.contents(), key
            assert [int(value.element_type)] == [int(kind) for kind in field.types[1:]], key
        else:
            assert value == field.contents(), key
    assert ours.version == theirs.fields["GGUF.version"].contents()
    assert len(ours.tensors) == theirs.fields["GGUF.tensor_count"].contents()
    assert len(ours.metadata) == theirs.fields["GGUF.kv_count"].contents()
    assert (ours.alignment, ours.data_offset) == (theirs.alignment, theirs.data_offset)
    assert ours.byte_order.upper() == theirs.endianess.name
    assert [
        (each.name, each.shape, int(each.type), each.n_elements, each.n_bytes, ours.data_offset + each.offset)
        for each in ours.tensors
    ] == [
        (
            each.name,
            tuple(each.shape.tolist()),
            int(each.tensor_type),
            each.n_elements,
            each.n_bytes,
            each.data_offset,
        )
        for each in theirs.tensors
    ]


def tensors_of_every_type() -> list[Tensor]:
    return [
        make_tensor(kind.name, (kind.block_size * 2, 3), kind)
        for kind in TensorType
        if int(kind) in {int(theirs) for theirs in gguf.GGMLQuantizationType}
    ]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("alignment", [8, 32, 256])
def test_it_reads_what_we_write(tmp_path: Path, version: int, byte_order: ByteOrder, alignment: int) -> None:
    path = build_gguf(
        tmp_path / "m.gguf",
        metadata=EVERY_TYPE,
        tensors=tensors_of_every_type(),
        version=version,
        byte_order=byte_order,
        alignment=alignment,
    )
    check_agreement(path)


def test_it_reads_the_data_that_we_write(tmp_path: Path) -> None:
    values = np.arange(96, dtype=np.float32).reshape(3, 32)
    tensor = Tensor(name="t", shape=(32, 3), type=TensorType.F32, data=values.tobytes())
    reader = gguf.GGUFReader(build_gguf(tmp_path / "m.gguf", tensors=[make_tensor("x", (5,)), tensor]))
    assert np.array_equal(reader.tensors[1].data, values)


KEYS = st.from_regex(r"[a-z]{1,8}(\.[a-z_]{1,8}){0,2}", fullmatch=True).filter(
    lambda key: not key.startswith(("split.", "general."))
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**32 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(),
    st.lists(st.text(), min_size=1),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1),
)


@settings(UNTIMED, max_examples=examples(0.75))
@given(
    st.dictionaries(KEYS, VALUES, max_size=8), st.lists(st.lists(st.integers(1, 5), max_size=4), max_size=5)
)
def test_it_reads_whatever_we_write(metadata: dict[str, Any], shapes: list[list[int]]) -> None:
    tensors = [make_tensor(f"t{number}", tuple(shape)) for number, shape in enumerate(shapes)]
    with tempfile.TemporaryDirectory() as folder:
        check_agreement(build_gguf(Path(folder) / "m.gguf", metadata=metadata, tensors=tensors))


def test_we_read_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("A name ☃")
    writer.add_context_length(2048)
    for key, value in EVERY_TYPE.items():
        kind = gguf.GGUFValueType(int(value.type))
        element = gguf.GGUFValueType(int(value.element_type)) if value.element_type is not None else None
        writer.add_key_value(key, value.value, kind, sub_type=element)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("f32", np.ones((3, 5), dtype=np.float32))
    writer.add_tensor("f16", np.ones((7, 2, 4), dtype=np.float16))
    writer.add_tensor("i8", np.ones(3, dtype=np.int8))
    for kind in (gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0):
        data = gguf.quants.quantize(np.ones((4, 64), dtype=np.float32), kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    close(writer)
    check_agreement(path)


def close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("endianess", list(gguf.GGUFEndian))
def test_we_read_both_byte_orders_that_it_writes(tmp_path: Path, endianess: gguf.GGUFEndian) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=endianess)
    writer.add_token_list(["a", "b", "c"])
    writer.add_token_types([1, 2, 3])
    writer.add_tensor("t", np.ones((3, 5), dtype=np.float32))
    close(writer)
    check_agreement(path)


def test_we_find_the_shards_that_it_writes(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=2)
    for number in range(5):
        writer.add_tensor(f"t{number}", np.full((4, 8), number, dtype=np.float32))
    close(writer)
    shards = ShardSet.discover(tmp_path)
    assert len(shards.shards) == 3
    merged = gguf.GGUFReader(merge(shards, tmp_path / "merged"))
    assert [float(tensor.data[0][0]) for tensor in merged.tensors] == [0, 1, 2, 3, 4]


def test_it_reads_our_shards_and_our_merged_file(tmp_path: Path) -> None:
    whole = tiny_llama(tmp_path / "m.gguf")
    paths = split(whole, tmp_path / "part", max_tensors=7)
    merged = merge(ShardSet.from_paths(paths), tmp_path / "merged.gguf")
    for path in (whole, *paths, merged):
        check_agreement(path)
