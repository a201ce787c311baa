from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidGguf
from gguf2ollama.events import Update
from gguf2ollama.ggufio import (
    ByteOrder,
    FileRange,
    GivenBytes,
    MergedView,
    Range,
    ShardSet,
    TypedValue,
    ValueType,
    Zeros,
    open_gguf,
    split,
)
from tests.builders import build_gguf, build_shards, make_tensor, some_tensors, split_keys, tiny_llama
from tests.examples import examples

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def bytes_of(ranges: tuple[Range, ...]) -> bytes:
    """Read the ranges without the code that is tested."""
    content = b""
    for each in ranges:
        if isinstance(each, GivenBytes):
            content += each.content
        elif isinstance(each, Zeros):
            content += bytes(each.length)
        else:
            content += each.path.read_bytes()[each.offset : each.offset + each.length]
    return content


@pytest.fixture
def shards(tmp_path: Path) -> ShardSet:
    tensors = [make_tensor(f"t{number}", (number % 9 + 1,)) for number in range(12)]
    return ShardSet.from_paths(
        build_shards(tmp_path, count=3, metadata={"a": 1, "b": ["x"]}, tensors=tensors)
    )


def test_is_a_gguf_with_the_keys_of_the_first_and_the_tensors_of_all(shards: ShardSet) -> None:
    merged = open_gguf(MergedView(shards).open())
    assert list(merged.metadata) == [
        *(
            "general.architecture",
            "tokenizer.ggml.model",
            "a",
            "b",
            "split.no",
            "split.tensors.count",
            "split.count",
        )
    ]
    assert merged.metadata["split.count"] == 0
    assert merged.metadata.type_of("split.count") is ValueType.UINT16
    assert merged.split is None
    assert [tensor.name for tensor in merged.tensors] == [f"t{number}" for number in range(12)]
    content = bytes_of(MergedView(shards).ranges())
    for tensor in merged.tensors:
        start = merged.data_offset + tensor.offset
        assert content[start : start + tensor.n_bytes] == make_tensor(tensor.name, tensor.shape).data


def test_leaves_out_the_split_keys_on_demand(shards: ShardSet) -> None:
    merged = open_gguf(MergedView(shards, split_keys="drop").open())
    assert list(merged.metadata) == ["general.architecture", "tokenizer.ggml.model", "a", "b"]


def test_is_the_same_in_all_its_forms(shards: ShardSet, tmp_path: Path) -> None:
    view = MergedView(shards)
    content = bytes_of(view.ranges())
    assert len(content) == view.size
    with view.open() as stream:
        assert stream.read() == content
    assert view.sha256() == hashlib.sha256(content).hexdigest()
    assert view.copy_to(tmp_path / "m.gguf").read_bytes() == content


def test_ranges_that_adjoin_are_one(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, count=2, tensors=some_tensors(8))
    header, *data = MergedView(ShardSet.from_paths(paths)).ranges()
    assert isinstance(header, GivenBytes)
    starts = [open_gguf(path).data_offset for path in paths]
    assert data == [FileRange(path, start, 1024) for path, start in zip(paths, starts, strict=True)]


def test_padding_is_zeros_whatever_the_shard_has_there(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, count=2, tensors=[make_tensor("a", (3,)), make_tensor("b", (3,))])
    expected = bytes_of(MergedView(ShardSet.from_paths(paths)).ranges())
    for path in paths:
        path.write_bytes(path.read_bytes()[:-20] + b"\xff" * 20)
    view = MergedView(ShardSet.from_paths(paths))
    assert bytes_of(view.ranges()) == expected
    assert view.ranges()[-1] == Zeros(20)


def test_a_whole_file_is_its_own_view(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "m.gguf")
    view = MergedView(ShardSet.discover(path))
    assert view.ranges() == (FileRange(path, 0, path.stat().st_size),)
    with view.open() as stream:
        assert stream.read() == path.read_bytes()


@settings(UNTIMED, max_examples=examples(0.75))
@given(
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=15),
    per_shard=st.integers(1, 5),
    alignment=st.sampled_from([1, 8, 32, 64]),
    byte_order=st.sampled_from(["little", "big"]),
)
def test_gives_back_the_bytes_that_were_split(
    lengths: list[int], per_shard: int, alignment: int, byte_order: ByteOrder
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = build_gguf(
            folder / "whole.gguf",
            metadata={"list": ["a", "\udcff"], "n": TypedValue(ValueType.INT16, -3)},
            tensors=[make_tensor(f"t{number}", (length,)) for number, length in enumerate(lengths)],
            alignment=alignment,
            byte_order=byte_order,
        )
        paths = split(whole, folder / "part", max_tensors=min(per_shard, len(lengths) - 1))
        view = MergedView(ShardSet.from_paths(paths), split_keys="drop")
        with view.open() as stream:
            assert stream.read() == whole.read_bytes()


def test_can_be_read_from_any_place_in_any_steps(shards: ShardSet) -> None:
    view = MergedView(shards)
    content = bytes_of(view.ranges())

    @UNTIMED
    @given(st.lists(st.tuples(st.integers(0, len(content) + 50), st.integers(0, 300)), max_size=20))
    def check(reads: list[tuple[int, int]]) -> None:
        with view.open() as stream:
            raw = stream.raw
            for start, count in reads:
                assert raw.seek(start) == start
                assert raw.read(count) == content[start : start + count]
                assert raw.tell() == max(start, min(start + count, len(content)))

    check()


def test_seeks_as_a_file_does(shards: ShardSet) -> None:
    view = MergedView(shards)
    with view.open() as stream:
        assert stream.seekable()
        assert stream.readable()
        assert not stream.writable()
        assert stream.seek(0, io.SEEK_END) == view.size
        assert stream.read(1) == b""
        assert stream.seek(-4, io.SEEK_END) == view.size - 4
        assert stream.seek(0) == 0
        assert stream.read(4) == b"GGUF"
        assert stream.seek(4, io.SEEK_CUR) == 8
        with pytest.raises(ValueError, match="negative seek position"):
            stream.raw.seek(-1)


def test_streams_are_independent_and_close_their_files(shards: ShardSet) -> None:
    view = MergedView(shards)
    with view.open() as one, view.open() as other:
        assert one.read() == other.read()
    assert one.closed
    with pytest.raises(ValueError, match="closed"):
        one.read()


def test_a_merged_file_is_version_3(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "m-00001-of-00001.gguf", metadata=split_keys(0, 1, 1), version=2)
    assert open_gguf(MergedView(ShardSet.discover(path)).open()).version == 3


def test_trailing_dimensions_of_one_are_dropped_as_llama_cpp_does(tmp_path: Path) -> None:
    tensors = [make_tensor("a", (4, 1, 2, 1)), make_tensor("b", (1, 1)), make_tensor("c", ())]
    paths = build_shards(tmp_path, count=1, tensors=tensors)
    merged = open_gguf(MergedView(ShardSet.from_paths(paths)).open())
    assert [tensor.shape for tensor in merged.tensors] == [(4, 1, 2), (1,), (1,)]


def test_reports_each_chunk_and_ends_with_all(shards: ShardSet) -> None:
    updates: list[Update] = []
    MergedView(shards).sha256(updates.append)
    assert {(update.task, update.total) for update in updates} == {
        ("hashing model.gguf", MergedView(shards).size)
    }
    assert updates[-1].is_complete


@pytest.mark.parametrize("change", ["longer", "shorter", "touched", "replaced"])
def test_a_shard_that_was_changed_is_reported(shards: ShardSet, tmp_path: Path, change: str) -> None:
    view = MergedView(shards)
    path = shards.shards[1].path
    if change == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    elif change == "shorter":
        os.truncate(path, path.stat().st_size - 1)
    elif change == "touched":
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    else:
        (tmp_path / "new").write_bytes(path.read_bytes())
        (tmp_path / "new").replace(path)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    for use in (view.sha256, lambda: view.copy_to(tmp_path / "m.gguf"), lambda: view.open().read()):
        with pytest.raises(InvalidGguf, match=r"00002-of-00003\.gguf changed while it was being read"):
            use()
    assert not (tmp_path / "m.gguf").exists()


def test_a_shard_that_is_changed_during_the_reading_is_reported(shards: ShardSet) -> None:
    path = shards.shards[0].path
    view = MergedView(shards)
    with view.open() as stream:
        stream.raw.seek(view.ranges()[0].length)
        stream.raw.read(1)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        stream.raw.seek(-1 - view.ranges()[-1].length, io.SEEK_END)
        with pytest.raises(InvalidGguf, match="changed while"):
            stream.raw.read(1)
