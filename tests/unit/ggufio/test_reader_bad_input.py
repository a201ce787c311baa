from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.ggufio import (
    GgufFile,
    TypedValue,
    ValueType,
    cursor,
    metadata,
    open_gguf,
    reader,
    write_gguf,
)
from tests.builders import (
    make_tensor,
    raw_array,
    raw_entry,
    raw_header,
    raw_tensor,
    raw_text,
    tiny_llama,
    typed,
)
from tests.examples import examples

UINT8, UINT32, BOOL, STRING, ARRAY = 0, 4, 7, 8, 9


UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def open_bytes(content: bytes) -> GgufFile:
    return open_gguf(io.BytesIO(content), name="x.gguf")


def sample(*, data: bool = True) -> bytes:
    """A valid file with a value of every kind."""
    stream = io.BytesIO()
    values = {kind.name: TypedValue(kind, True) for kind in ValueType if kind.code} | {
        "general.alignment": typed(32),
        "STRING": typed("text"),
        "ARRAY": typed([1, 2, 3]),
        "TEXTS": typed(["a", "bc"] * 40),
        "NESTED": TypedValue.array(ValueType.ARRAY, [typed([True, False]), typed(["x"])]),
    }
    write_gguf(stream, metadata=values, tensors=[make_tensor("a", (32, 2)), make_tensor("b")])
    content = stream.getvalue()
    return content if data else content[: open_bytes(content).data_offset]


STRANGERS = [
    (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "Git LFS pointer",
        "git lfs pull",
    ),
    (b"\n<!DOCTYPE html><html>Sign in", "web page", "/resolve/"),
    (b"<html>", "web page", "/resolve/"),
    (b'{"error": "Repository not found"}', "JSON", "download the file itself"),
    (b"PK\x03\x04" + bytes(60), "ZIP archive", "convert_hf_to_gguf"),
    (b"\x80\x02}q\x00", "pickle", "convert_hf_to_gguf"),
    (struct.pack("<Q", 40) + b'{"__metadata__": {}}', "safetensors", "convert_hf_to_gguf"),
    (b"lmgg" + bytes(60), "GGML file", "August 2023"),
    (b"fmgg" + bytes(60), "GGMF file", "August 2023"),
    (b"tjgg" + bytes(60), "GGJT file", "August 2023"),
    (b"\x1f\x8b\x08", "gzip", "unpack"),
    (b"Rar!\x1a\x07\x01\0", "RAR", "unpack"),
    (b"m.gguf".ljust(257, b"\0") + b"ustar\x0000" + bytes(240), "tar archive", "unpack"),
    (b"MZqFpD='\n" + bytes(100), "llamafile", "unzip"),
    (struct.pack("<ii", 32, 19) + b"blk.0.attn_k.weight" + bytes(40), "importance matrix", "llama-quantize"),
    (b"Invalid username or password.", "it is text: 'Invalid username or password.'", "error message"),
    ("Zugriff verweigert für ".encode() * 40, "it is text: 'Zugriff", "error message"),
    (bytes(4096), "zeros only", "again"),
    (b"FUGG" + bytes(60), "begins with b'FUGG'", "check"),
    (b"GGUX" + bytes(60), "begins with b'GGUX'", "check"),
]


@pytest.mark.parametrize("content,problem,hint", STRANGERS, ids=lambda value: str(value)[:20])
def test_says_what_a_file_is_that_is_not_a_gguf(content: bytes, problem: str, hint: str) -> None:
    with pytest.raises(InvalidGguf, match=r"^x\.gguf is not a GGUF file: ") as caught:
        open_bytes(content)
    assert problem in str(caught.value)
    assert hint in str(caught.value.hint)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.touch()
    with pytest.raises(InvalidGguf, match=r"m\.gguf: the file is empty"):
        open_gguf(path)


@pytest.mark.parametrize(
    "version,order,told",
    [
        (1, "<", "version 1 is no longer"),
        (1, ">", r"version 1 \(big endian\) is no longer"),
        (4, "<", "unsupported GGUF version 4"),
        (4, ">", r"unsupported GGUF version 4 \(big endian\)"),
        (0, "<", "version 0 is no longer"),
    ],
)
def test_other_versions_are_named_in_the_right_byte_order(version: int, order: str, told: str) -> None:
    with pytest.raises(InvalidGguf, match=told) as caught:
        open_bytes(raw_header(version=version, order=order))
    assert "(at byte 4)" in str(caught.value)


T = raw_tensor()
BROKEN = {
    "2^63 tensors": (
        raw_header(tensor_count=1 << 63),
        "header (at byte 8): 9,223,372,036,854,775,808 tensors do not fit",
    ),
    "2^63 keys": (
        raw_header(key_count=1 << 63),
        "header (at byte 16): 9,223,372,036,854,775,808 keys do not",
    ),
    "one key too many": (raw_header(raw_entry("a", UINT8, b"\1"), key_count=2), "2 (at byte"),
    "key longer than the file": (raw_header(raw_text("a", length=60_000) + bytes(60)), "key 1 (at byte"),
    "key longer than a key may be": (
        raw_header(raw_text("a", length=1 << 40) + bytes(60)),
        "the format allows 65,535",
    ),
    "empty key": (
        raw_header(raw_entry("", UINT8, b"\1") + bytes(9)),
        "key 1 (at byte 24): its name is empty",
    ),
    "key that is no UTF-8": (
        raw_header(raw_entry(b"\xff\xfe", UINT8, b"\1") + bytes(9)),
        "is not valid UTF-8",
    ),
    "key with a NUL": (raw_header(raw_entry("a\0b", UINT8, b"\1")), "contains a NUL byte"),
    "key twice": (
        raw_header(raw_entry("aa", UINT8, b"\1"), raw_entry("aa", UINT8, b"\2")),
        "key 'aa' (at byte 39): duplicate key",
    ),
    "unknown value type": (
        raw_header(raw_entry("a", 13, bytes(9))),
        "key 'a' (at byte 33): unknown value type 13",
    ),
    "bad bool": (raw_header(raw_entry("a", BOOL, b"\2")), "key 'a' (at byte 37): invalid bool 2"),
    "bad bool in an array": (
        raw_header(raw_entry("a", ARRAY, raw_array(BOOL, 3, b"\0\1\xff"))),
        "key 'a' (at byte 49): invalid bool 255",
    ),
    "string longer than the file": (
        raw_header(raw_entry("a", STRING, raw_text("b", length=1 << 62))),
        "key 'a' (at byte 45): it extends 4,611,686,018,427,387,",
    ),
    "array longer than the file": (
        raw_header(raw_entry("a", ARRAY, raw_array(UINT32, 1 << 61))),
        "key 'a' (at byte 37): an array of 2,305,843,009,213,693,952 UINT32 does not fit",
    ),
    "strings beyond the end": (
        raw_header(raw_entry("a", ARRAY, raw_array(STRING, 2, raw_text("b") + raw_text("c", length=99)))),
        "key 'a' (at byte 58): its element 1 is a string of 99 bytes",
    ),
    "a string of 2^64-1 in an array": (
        raw_header(raw_entry("a", ARRAY, raw_array(STRING, 1, raw_text("", length=(1 << 64) - 1)))),
        "its element 0 is a string of 18,446,744,073,709,551,615 bytes",
    ),
    "unknown element type": (raw_header(raw_entry("a", ARRAY, raw_array(77, 1))), "unknown value type 77"),
    "arrays too deep": (
        raw_header(raw_entry("a", ARRAY, raw_array(ARRAY, 1) * 4 + raw_array(UINT8, 0))),
        "nested more than 4 deep",
    ),
    "alignment of another type": (
        raw_header(raw_entry("general.alignment", 10, struct.pack("<Q", 32))),
        "key 'general.alignment' (at byte 24): expected type UINT32, found UINT64",
    ),
    "alignment zero": (
        raw_header(raw_entry("general.alignment", UINT32, struct.pack("<I", 0))),
        "alignment 0 is not a power of two",
    ),
    "alignment 48": (
        raw_header(raw_entry("general.alignment", UINT32, struct.pack("<I", 48))),
        "alignment 48 is not a power of two",
    ),
    "split.count as text": (
        raw_header(raw_entry("split.count", STRING, raw_text("3"))),
        "key 'split.count' (at byte 24): expected type UINT16, found STRING",
    ),
    "split.no as UINT32": (
        raw_header(raw_entry("split.no", UINT32, bytes(4))),
        "key 'split.no' (at byte 24): expected type UINT16, found UINT32",
    ),
    "split.count alone": (raw_header(raw_entry("split.count", 2, b"\3\0")), "split.no is missing"),
    "shard 4 of 3": (
        raw_header(
            raw_entry("split.no", 2, b"\3\0"),
            raw_entry("split.count", 2, b"\3\0"),
            raw_entry("split.tensors.count", 5, b"\3\0\0\0"),
        ),
        "shard number out of range: 4 of 3",
    ),
    "tensor twice": (
        raw_header(tensors=[T, T], data=bytes(128)),
        "tensor 't' (at byte 57): duplicate tensor name",
    ),
    "tensor name too long": (raw_header(tensors=[raw_tensor("n" * 65)]), "the format allows 64"),
    "tensor name that is no UTF-8": (raw_header(tensors=[raw_tensor(b"\xc3")]), "is not valid UTF-8"),
    "five dimensions": (raw_header(tensors=[raw_tensor(shape=[1] * 5)]), "5 dimensions"),
    "2^32-1 dimensions": (
        raw_header(tensors=[raw_tensor(dimensions=(1 << 32) - 1)]),
        "4,294,967,295 dimensions",
    ),
    "a dimension of zero": (raw_header(tensors=[raw_tensor(shape=[32, 0])]), "has no elements"),
    "elements beyond 64 bits": (
        raw_header(tensors=[raw_tensor(shape=[1 << 32, 1 << 31])]),
        "tensor 't' (at byte 33): its shape (4294967296, 2147483648) overflows",
    ),
    "bytes beyond 64 bits": (raw_header(tensors=[raw_tensor(shape=[1 << 61])]), "overflows 64 bits"),
    "product that wraps to something small": (
        raw_header(tensors=[raw_tensor(shape=[1 << 32, 1 << 32, 1 << 32])]),
        "overflows 64 bits",
    ),
    "half a block": (
        raw_header(tensors=[raw_tensor(shape=[33], kind=2)]),
        "33 is not a multiple of the block size 32",
    ),
    "a single number in blocks": (
        raw_header(tensors=[raw_tensor(shape=[], kind=2)]),
        "1 is not a multiple of the block size 32",
    ),
    "removed tensor type": (raw_header(tensors=[raw_tensor(kind=31)]), "its type Q4_0_4_4 (31) was removed"),
    "unknown tensor type": (raw_header(tensors=[raw_tensor(kind=43)]), "unknown tensor type 43"),
    "type of ik_llama.cpp": (raw_header(tensors=[raw_tensor(kind=145)]), "type 145 is not one of llama.cpp"),
    "type of bitnet.cpp": (raw_header(tensors=[raw_tensor(kind=36)]), "type 36 is I2_S of BitNet"),
    "misaligned tensor": (
        raw_header(tensors=[raw_tensor(offset=16)], data=bytes(999)),
        "is not aligned to 32",
    ),
    "overlapping tensors": (
        raw_header(tensors=[raw_tensor("a"), raw_tensor("b", offset=96)], data=bytes(999)),
        "tensor 'b' (at byte 192): its data overlaps that of 'a'",
    ),
    "no data": (raw_header(tensors=[T]), "tensor 't' (at byte 64): 128 bytes of tensor data are missing"),
    "one byte of data missing": (
        raw_header(tensors=[T], data=bytes(127)),
        "1 bytes of tensor data are missing",
    ),
    "tensor far outside": (
        raw_header(tensors=[raw_tensor(offset=1 << 63)], data=bytes(128)),
        "bytes of tensor data are missing",
    ),
}


@pytest.mark.parametrize(
    "kind,instead", [(31, "Q4_0"), (33, "Q4_0"), (37, "IQ4_NL"), (4, "current llama.cpp")]
)
def test_of_a_removed_type_the_one_to_get_instead_is_named(kind: int, instead: str) -> None:
    with pytest.raises(InvalidGguf) as caught:
        open_bytes(raw_header(tensors=[raw_tensor(kind=kind)]))
    assert instead in str(caught.value.hint)


@pytest.mark.parametrize("content,told", BROKEN.values(), ids=BROKEN)
def test_each_broken_rule_is_reported_with_key_or_tensor_and_offset(content: bytes, told: str) -> None:
    with pytest.raises(InvalidGguf) as caught:
        open_bytes(content)
    assert told in str(caught.value)
    assert str(caught.value).startswith("x.gguf: ")


@pytest.mark.parametrize("name", ["MAX_KEYS", "MAX_ARRAY_ELEMENTS", "MAX_STRING_BYTES"])
def test_more_than_anyone_needs_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sample()
    monkeypatch.setattr(reader if name == "MAX_KEYS" else metadata, name, 2)
    with pytest.raises(InvalidGguf, match="the limit of"):
        open_bytes(content)


def test_more_tensors_than_anyone_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = sample()
    monkeypatch.setattr(reader, "MAX_TENSORS", 1)
    with pytest.raises(InvalidGguf, match="2 tensors exceed the limit of 1"):
        open_bytes(content)


def test_a_header_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = sample()
    monkeypatch.setattr("gguf2ollama.ggufio.cursor.MAX_HEADER_BYTES", 200)
    with pytest.raises(InvalidGguf, match="exceeds the limit of 200 bytes"):
        open_bytes(content)


def test_a_file_that_shrinks_while_it_is_read_is_reported(tmp_path: Path) -> None:
    class Shrinking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, max(0, 40 - self.tell())))

    with pytest.raises(InvalidGguf, match="unexpected end of file at byte 40"):
        open_gguf(Shrinking(tiny_llama(tmp_path / "m.gguf").read_bytes()))


def test_cut_at_every_byte_of_the_header_is_invalid() -> None:
    content = sample(data=False)
    for length in range(len(content)):
        with pytest.raises(InvalidGguf) as caught:
            open_bytes(content[:length])
        assert caught.value.hint
        if length >= 4:
            assert "at byte" in str(caught.value)


def test_cut_at_every_byte_of_the_data_says_how_much_is_missing() -> None:
    content = sample()
    start = open_bytes(content).data_offset
    for length in range(start, len(content)):
        with pytest.raises(InvalidGguf, match=f" {len(content) - length:,} bytes of tensor data are missing"):
            open_bytes(content[:length])


def test_names_from_the_file_are_shortened_and_escaped_in_errors() -> None:
    key = "\x1b[31m" + "k" * 5000
    with pytest.raises(InvalidGguf) as caught:
        open_bytes(raw_header(raw_entry(key, 13, bytes(9))))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


MEMORY_PER_BYTE = 40
MEMORY_AT_LEAST = 3 << 20  # a chunk, and the caches that the first use of a pattern fills


def check_promise(content: bytes) -> None:
    """A valid file or InvalidGguf, never another exception, and memory in proportion to the file."""
    tracemalloc.start()
    try:
        with contextlib.suppress(InvalidGguf):
            gguf = open_bytes(content)
            assert all(gguf.metadata)
            assert all(0 < tensor.n_bytes <= len(content) for tensor in gguf.tensors)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most <= MEMORY_AT_LEAST + MEMORY_PER_BYTE * len(content)


def test_a_vocabulary_takes_no_more_memory_than_its_bytes() -> None:
    stream = io.BytesIO()
    tokens = TypedValue.array(ValueType.STRING, [f"token number {number}" for number in range(200_000)])
    write_gguf(stream, metadata={"tokens": tokens})
    open_gguf(stream)
    tracemalloc.start()
    gguf = open_gguf(stream)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.3 * gguf.data_offset + 2 * cursor.CHUNK_BYTES
    assert len(gguf.metadata._buffer) <= gguf.data_offset


@UNTIMED
@given(st.binary(max_size=300))
@example(b"")
@example(b"GGUF")
def test_any_bytes_are_a_gguf_or_invalid(content: bytes) -> None:
    check_promise(content)
    check_promise(b"GGUF\x03\x00\x00\x00" + content)


SAMPLE = sample()


@settings(UNTIMED, max_examples=examples(2.5))
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_is_a_gguf_or_invalid(changes: list[tuple[int, int]]) -> None:
    content = bytearray(SAMPLE)
    for where, value in changes:
        content[where] = value
    check_promise(bytes(content))


HUGE = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 9, 2**64 - 8, 2**64 - 1])


@settings(UNTIMED, max_examples=examples(2.5))
@given(st.integers(4, len(SAMPLE) - 8), HUGE)
def test_a_huge_number_anywhere_is_harmless(where: int, number: int) -> None:
    check_promise(SAMPLE[:where] + number.to_bytes(8, "little") + SAMPLE[where + 8 :])


@UNTIMED
@given(st.data())
def test_hostile_headers_that_are_nearly_right_are_harmless(data: st.DataObject) -> None:
    small = st.integers(0, 5)
    counts = st.one_of(small, HUGE)
    names = st.one_of(
        st.sampled_from(["general.alignment", "split.count", "a", "b", "\0"]), st.binary(max_size=5)
    )
    entries = data.draw(
        st.lists(
            st.builds(
                raw_entry,
                names,
                st.integers(0, 13),
                st.one_of(
                    st.binary(max_size=12),
                    st.builds(raw_array, st.integers(0, 13), counts, st.binary(max_size=40)),
                ),
            ),
            max_size=4,
        )
    )
    described = data.draw(
        st.lists(
            st.builds(raw_tensor, names, st.lists(counts, max_size=5), st.integers(0, 43), counts), max_size=4
        )
    )
    check_promise(raw_header(*entries, tensors=described, data=data.draw(st.binary(max_size=200))))
