from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.ggufio import (
    ByteOrder,
    GgufArray,
    SplitInfo,
    TensorType,
    TypedValue,
    ValueType,
    cursor,
    open_gguf,
    write_gguf,
)
from tests.builders import (
    build_gguf,
    make_tensor,
    raw_header,
    raw_tensor,
    some_tensors,
    split_keys,
    tiny_llama,
)
from tests.examples import examples

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class CountingStream(io.BytesIO):
    """Counts what is read, and can be told to hand out less than was asked for."""

    def __init__(self, content: bytes, *, at_most: int | None = None) -> None:
        super().__init__(content)
        self.bytes_read = 0
        self.at_most = at_most

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        chunk = super().read(size if self.at_most is None else min(size, self.at_most))
        self.bytes_read += len(chunk)
        return chunk


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_reads_both_versions_in_both_byte_orders(
    tmp_path: Path, version: int, byte_order: Literal["little", "big"]
) -> None:
    tensors = [make_tensor("a", (64, 3), TensorType.Q4_0), make_tensor("b", (5,)), make_tensor("c", ())]
    path = build_gguf(
        tmp_path / "m.gguf", metadata={"k": 7}, tensors=tensors, version=version, byte_order=byte_order
    )
    with open_gguf(path) as gguf:
        assert gguf.metadata.get("general.architecture") == "llama"
        assert (gguf.version, gguf.byte_order, gguf.alignment) == (version, byte_order, 32)
    assert gguf.size == path.stat().st_size
    assert gguf.path == path
    assert [(each.name, each.shape, each.type, each.n_elements, each.n_bytes) for each in gguf.tensors] == [
        ("a", (64, 3), TensorType.Q4_0, 192, 108),
        ("b", (5,), TensorType.F32, 5, 20),
        ("c", (), TensorType.F32, 1, 4),
    ]
    content = path.read_bytes()
    for written, found in zip(tensors, gguf.tensors, strict=True):
        start = gguf.data_offset + found.offset
        assert content[start : start + found.n_bytes] == written.data


def test_finds_a_tensor_by_name(tmp_path: Path) -> None:
    gguf = open_gguf(build_gguf(tmp_path / "m.gguf"))
    assert gguf.tensor("token_embd.weight") is gguf.tensors[0]
    with pytest.raises(NotFound, match=r"m\.gguf: no tensor 'output\.weight'"):
        gguf.tensor("output.weight")


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_keeps_to_the_alignment_that_the_file_tells(tmp_path: Path, alignment: int) -> None:
    tensors = [make_tensor("a", (3,)), make_tensor("b", (3,))]
    gguf = open_gguf(build_gguf(tmp_path / "m.gguf", tensors=tensors, alignment=alignment))
    assert gguf.alignment == alignment
    assert gguf.data_offset % alignment == 0
    assert gguf.tensors[1].offset == max(alignment, 12 if alignment < 8 else 16)


def test_padding_after_the_last_tensor_may_be_missing(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "m.gguf", tensors=[make_tensor("a", (3,))])
    os.truncate(path, path.stat().st_size - 20)
    assert open_gguf(path).tensors[0].n_bytes == 12


def test_tensors_may_be_in_any_order_and_apart() -> None:
    # gguf.cpp wants them in order and back to back, the specification does not
    described = [raw_tensor("a", offset=256), raw_tensor("b", offset=0)]
    gguf = open_gguf(io.BytesIO(raw_header(tensors=described, data=bytes(384))))
    assert [tensor.offset for tensor in gguf.tensors] == [256, 0]


def test_a_file_without_tensors_is_a_gguf(tmp_path: Path) -> None:
    gguf = open_gguf(build_gguf(tmp_path / "m.gguf", tensors=[]))
    assert gguf.tensors == ()


def test_metadata_outlives_the_file(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "m.gguf")
    with open_gguf(path) as gguf:
        pass
    path.unlink()
    tokens = gguf.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, GgufArray)
    assert tokens[-1] == "<|im_end|>"


@pytest.mark.parametrize("at_most", [None, 1000, 7])
def test_reads_from_any_seekable_stream_from_its_start(tmp_path: Path, at_most: int | None) -> None:
    content = tiny_llama(tmp_path / "m.gguf").read_bytes()
    stream = CountingStream(content, at_most=at_most)
    stream.seek(100)
    gguf = open_gguf(stream)
    assert gguf.name == "stream"
    assert gguf.path is None
    assert not stream.closed
    assert gguf.size == len(content)
    assert gguf.metadata["general.name"] == "Tiny"


def test_a_stream_can_be_given_a_name() -> None:
    stream = io.BytesIO()
    write_gguf(stream, metadata={})
    assert open_gguf(stream, name="hf://x").name == "hf://x"


def test_reads_no_more_than_one_chunk_beyond_the_header() -> None:
    stream = io.BytesIO()
    tokens = TypedValue.array(ValueType.STRING, [f"token number {number}" for number in range(100_000)])
    write_gguf(stream, metadata={"t": tokens}, tensors=some_tensors(1, shape=(1024, 1024)))
    counting = CountingStream(stream.getvalue())
    gguf = open_gguf(counting)
    assert cursor.CHUNK_BYTES < gguf.data_offset <= counting.bytes_read
    assert counting.bytes_read <= gguf.data_offset + cursor.CHUNK_BYTES


LENGTHS = st.one_of(st.integers(0, 20), st.sampled_from([63, 64, 255, 256, 3000]))


@settings(UNTIMED, max_examples=examples(1))
@given(
    st.lists(LENGTHS, max_size=50),
    st.integers(0, 400),
    st.sampled_from(["little", "big"]),
    st.sampled_from([97, 4096, 1 << 20]),
    st.sampled_from(["one expression", "walk"]),
)
def test_strings_are_walked_over_whatever_their_lengths(
    odd_lengths: list[int], usual: int, byte_order: ByteOrder, chunk: int, way: str
) -> None:
    # the runs that one expression matches, the walk where it does not, and both across ends of chunks
    strings = [b"x" * (number % 30 + 1) for number in range(usual)]
    for number, length in enumerate(odd_lengths):
        strings.insert(number * 7, b"\0" * length)
    texts = [string.decode() for string in strings]
    stream = io.BytesIO()
    metadata = {"t": TypedValue.array(ValueType.STRING, texts), "end": TypedValue(ValueType.UINT8, 9)}
    write_gguf(stream, metadata=metadata, byte_order=byte_order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cursor, "CHUNK_BYTES", chunk)
        patch.setattr(cursor, "_WORTH_A_PATTERN", 0)
        if way == "walk":
            patch.setattr(cursor, "_short_strings", lambda _order: None)
        found = open_gguf(stream).metadata
    assert list(found["t"]) == texts  # type: ignore[arg-type]
    assert found["end"] == 9


def test_tells_which_shard_it_is(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "m.gguf", metadata=split_keys(1, 3, 9))
    assert open_gguf(path).split == SplitInfo(no=1, count=3, tensors_count=9)


@pytest.mark.parametrize(
    "left_over", [{}, split_keys(0, 0, 9), {"split.no": TypedValue(ValueType.UINT16, 4)}]
)
def test_a_merged_file_is_whole_whatever_keys_are_left(
    tmp_path: Path, left_over: dict[str, TypedValue]
) -> None:
    assert open_gguf(build_gguf(tmp_path / "m.gguf", metadata=left_over)).split is None


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        open_gguf(tmp_path / "m.gguf")


def test_a_folder_is_not_a_gguf(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="is a directory"):
        open_gguf(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageProblem, match="pipe"):
        open_gguf(tmp_path / "pipe")


def test_a_stream_without_seek_is_refused() -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(UsageProblem, match="not seekable"):
        open_gguf(Unseekable(b"GGUF"), name="download")


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "m.gguf")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert open_gguf(link).size == path.stat().st_size
