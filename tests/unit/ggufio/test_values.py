from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.ggufio import ByteOrder, GgufArray, GgufFile, TypedValue, ValueType, open_gguf, write_gguf
from gguf2ollama.ggufio.values import RUN

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
INTEGERS = {
    ValueType.UINT8: (0, 2**8 - 1),
    ValueType.INT8: (-(2**7), 2**7 - 1),
    ValueType.UINT16: (0, 2**16 - 1),
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.UINT32: (0, 2**32 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.UINT64: (0, 2**64 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
}
ORDERS = st.sampled_from(["little", "big"])
SCALARS = [kind for kind in ValueType if kind is not ValueType.ARRAY]


def values_of(kind: ValueType) -> st.SearchStrategy[Any]:
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return st.integers(low, high)
    if kind is ValueType.FLOAT32:
        return st.floats(width=32, allow_nan=False)
    if kind is ValueType.FLOAT64:
        return st.floats(allow_nan=False)
    if kind is ValueType.BOOL:
        return st.booleans()
    return st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


ANY_SCALAR = st.sampled_from(SCALARS).flatmap(
    lambda kind: st.builds(TypedValue, st.just(kind), values_of(kind))
)
ANY_ARRAY = st.sampled_from(SCALARS).flatmap(
    lambda kind: st.builds(TypedValue.array, st.just(kind), st.lists(values_of(kind), max_size=20))
)


def read(metadata: dict[str, TypedValue], byte_order: ByteOrder = "little", version: int = 3) -> GgufFile:
    stream = io.BytesIO()
    write_gguf(stream, metadata=metadata, byte_order=byte_order, version=version)
    return open_gguf(stream)


def array_of(kind: ValueType, elements: list[Any], byte_order: ByteOrder = "little") -> GgufArray:
    array = read({"a": TypedValue.array(kind, elements)}, byte_order).metadata["a"]
    assert isinstance(array, GgufArray)
    return array


KEYS = st.text(min_size=1).filter(
    lambda key: "\0" not in key and not key.startswith(("split.", "general.alignment"))
)


@UNTIMED
@given(st.dictionaries(KEYS, ANY_SCALAR), ORDERS)
def test_gives_back_every_scalar_that_was_written(
    metadata: dict[str, TypedValue], byte_order: ByteOrder
) -> None:
    found = read(metadata, byte_order).metadata
    assert dict(found) == {key: value.value for key, value in metadata.items()}
    assert [found.type_of(key) for key in found] == [value.type for value in metadata.values()]


@UNTIMED
@given(ANY_ARRAY, ORDERS)
def test_gives_back_every_array_that_was_written(written: TypedValue, byte_order: ByteOrder) -> None:
    found = read({"a": written}, byte_order)
    array = found.metadata["a"]
    assert isinstance(array, GgufArray)
    assert found.metadata.type_of("a") is ValueType.ARRAY
    assert array.element_type is written.element_type
    assert list(array) == written.value
    assert [array[index] for index in range(len(array))] == written.value


@UNTIMED
@given(st.lists(st.text(alphabet="ab", max_size=100)), st.integers(-5, 5), st.integers(-5, 5))
def test_slices_as_a_list_does(elements: list[str], start: int, stop: int) -> None:
    array = array_of(ValueType.STRING, elements)
    assert array[start:stop] == tuple(elements[start:stop])
    assert array[::-2] == tuple(elements[::-2])
    assert array[:] == tuple(elements)


@UNTIMED
@given(ANY_ARRAY, ORDERS, st.text(max_size=3))
def test_knows_what_is_in_an_array_as_a_list_does(
    written: TypedValue, byte_order: ByteOrder, other: str
) -> None:
    array, values = read({"a": written}, byte_order).metadata["a"], list(written.value)
    assert isinstance(array, GgufArray)
    assert all((value in array) is (value in values) for value in [*values, other, b"", 0, None])


@pytest.mark.parametrize("count", [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN, 1 << 15, (1 << 15) + 1])
def test_finds_elements_of_long_arrays_by_index_and_by_text(count: int) -> None:
    """Of the longest, reading the header marks where runs of elements begin."""
    elements = [f"{number:x}" * (1 + number % 40) for number in range(count)]
    array = array_of(ValueType.STRING, elements)
    numbers = [
        number for number in (0, RUN - 1, RUN, count // 2, count - 2, count - 1) if 0 <= number < count
    ]
    assert [array[number] for number in reversed(numbers)] == [
        elements[number] for number in reversed(numbers)
    ]
    assert all(elements[number] in array_of(ValueType.STRING, elements) for number in numbers)
    assert "no such text" not in array


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("count", [1, 1 << 15])
def test_a_text_within_a_text_is_no_element(byte_order: ByteOrder, count: int) -> None:
    length = (1).to_bytes(8, byte_order).decode()
    elements = ["plain"] * count
    for place in (0, count // 2, count - 1):
        elements[place] = f"x{length}a{length}b"
    array = read({"a": TypedValue.array(ValueType.STRING, elements)}, byte_order).metadata["a"]
    assert isinstance(array, GgufArray)
    assert "a" not in array
    assert "b" not in array
    array = read({"a": TypedValue.array(ValueType.STRING, [*elements, "b"])}, byte_order).metadata["a"]
    assert isinstance(array, GgufArray)
    assert "b" in array


def test_texts_that_no_bytes_stand_for_are_in_no_array() -> None:
    array = array_of(ValueType.STRING, ["é", "\udcff"])
    assert "\udcff" in array
    assert "\ud800" not in array
    assert "\udcc3\udca9" not in array  # the bytes of é


@pytest.mark.parametrize("index", [3, -4, 10**20])
def test_an_index_beyond_the_end_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match="outside"):
        array_of(ValueType.STRING, ["a", "b", "c"])[index]


def test_nested_arrays_are_arrays() -> None:
    rows = [TypedValue.array(ValueType.STRING, ["a", "bc"]), TypedValue.array(ValueType.UINT8, [1, 2, 3])]
    cube = TypedValue.array(ValueType.ARRAY, [TypedValue.array(ValueType.ARRAY, rows)] * 2)
    found = read({"cube": cube, "after": TypedValue(ValueType.BOOL, True)}).metadata
    outer = found["cube"]
    assert isinstance(outer, GgufArray)
    assert [[list(row) for row in plane] for plane in outer] == [[["a", "bc"], [1, 2, 3]]] * 2
    inner = outer[1]
    assert isinstance(inner, GgufArray)
    assert inner.element_type is ValueType.ARRAY
    assert [list(row) for row in inner[1:]] == [[1, 2, 3]]
    assert found["after"] is True


def test_bytes_that_are_no_utf_8_survive() -> None:
    raw = b"caf\xe9 \xff\x00 \xe2\x98\x83"
    text = raw.decode("utf-8", "surrogateescape")
    found = read(
        {"s": TypedValue(ValueType.STRING, text), "a": TypedValue.array(ValueType.STRING, [text])}
    ).metadata
    assert str(found["s"]).encode("utf-8", "surrogateescape") == raw
    assert list(found["a"]) == [text]  # type: ignore[arg-type]


def test_raw_bytes_are_those_of_the_file() -> None:
    assert array_of(ValueType.UINT16, [1, 2], "big").raw == b"\x00\x01\x00\x02"
    entry = read({"k": TypedValue(ValueType.UINT8, 7)}).metadata.raw("k")
    assert entry == struct.pack("<Q", 1) + b"k" + struct.pack("<IB", 0, 7)


def test_the_same_array_is_given_every_time() -> None:
    metadata = read({"a": TypedValue.array(ValueType.INT8, [1])}).metadata
    assert metadata["a"] is metadata["a"]


def test_says_what_it_is_without_its_content() -> None:
    metadata = read({"a": TypedValue.array(ValueType.STRING, ["secret"] * 2000)}).metadata
    assert repr(metadata["a"]) == "<GgufArray of 2,000 STRING>"
    assert repr(metadata) == "<Metadata of 1 keys>"


def test_a_key_that_does_not_exist_is_a_key_error() -> None:
    metadata = read({}).metadata
    assert metadata.get("a", "default") == "default"
    with pytest.raises(KeyError):
        metadata["a"]
    with pytest.raises(KeyError):
        metadata.type_of("a")
