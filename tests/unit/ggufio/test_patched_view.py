"""A file with another header is the file but for what was changed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.ggufio import (
    ByteOrder,
    FileRange,
    GivenBytes,
    HeaderPatch,
    MergedView,
    PatchedView,
    Shard,
    ShardSet,
    TypedValue,
    ValueType,
    open_gguf,
    split,
    write_gguf,
)
from tests.builders import (
    CHATML_TEMPLATE,
    build_gguf,
    build_shards,
    make_tensor,
    raw_entry,
    raw_header,
    raw_tensor,
    raw_text,
    some_tensors,
    tiny_llama,
)
from tests.examples import examples

UNTIMED = settings(max_examples=examples(1), deadline=None, suppress_health_check=[HealthCheck.too_slow])
METADATA = {"a": 1, "b": ["x", "\udcff"], "c": "text", "d": TypedValue(ValueType.FLOAT64, 0.1), "e": True}


def text(value: str) -> TypedValue:
    return TypedValue(ValueType.STRING, value)


def patch(**changes: TypedValue | None) -> HeaderPatch:
    return HeaderPatch(changes=changes)


def content_of(view: PatchedView | MergedView) -> bytes:
    with view.open() as stream:
        return stream.read()


def tensor_data(content: bytes) -> dict[str, tuple[Any, ...]]:
    """Return the description and the bytes of each tensor, read by our reader."""
    with tempfile.TemporaryFile() as stream:
        stream.write(content)
        header = open_gguf(stream)
    found = {}
    for each in header.tensors:
        start = header.data_offset + each.offset
        assert start % header.alignment == 0
        found[each.name] = (each.shape, each.type, content[start : start + each.n_bytes])
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tensors = [make_tensor(f"t{number}", (number % 9 + 1,)) for number in range(5)]
    return build_gguf(tmp_path / "m.gguf", metadata=METADATA, tensors=tensors, alignment=64)


def test_a_new_value_takes_the_place_of_the_old_one_and_others_keep_their_bytes(path: Path) -> None:
    view = PatchedView(Shard.open(path), patch(c=text("other " * 50), a=None, new=text("n")))
    before, after = open_gguf(path), view.header()
    assert list(after.metadata)[2:] == ["b", "c", "d", "e", "general.alignment", "new"]
    assert (after.metadata["c"], after.metadata["new"]) == ("other " * 50, "n")
    for key in ("general.architecture", "b", "d", "e"):
        assert after.metadata.raw(key) == before.metadata.raw(key)
    assert tensor_data(content_of(view)) == tensor_data(path.read_bytes())


def test_is_the_same_in_all_its_forms(path: Path, tmp_path: Path) -> None:
    view = PatchedView(Shard.open(path), patch(c=text("other")))
    content = content_of(view)
    assert len(content) == view.size
    assert view.sha256() == hashlib.sha256(content).hexdigest()
    assert view.copy_to(tmp_path / "out.gguf").read_bytes() == content
    header, data = view.ranges()
    start = open_gguf(path).data_offset
    assert data == FileRange(path, start, path.stat().st_size - start)
    assert isinstance(header, GivenBytes)
    assert len(header.content) == view.header().data_offset


def test_an_empty_patch_is_the_file_itself(path: Path) -> None:
    view = PatchedView(Shard.open(path), HeaderPatch())
    assert view.ranges() == (FileRange(path, 0, path.stat().st_size),)
    assert content_of(view) == path.read_bytes()


def test_padding_and_what_stands_behind_the_tensors_is_kept(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8 + b"more")
    view = PatchedView(Shard.open(path), patch(c=text("x" * 999)))
    assert content_of(view).endswith(b"\xff" * 8 + b"more")


def test_a_change_back_gives_back_the_file(path: Path, tmp_path: Path) -> None:
    there = PatchedView(Shard.open(path), patch(c=text("x" * 999))).copy_to(tmp_path / "there.gguf")
    back = PatchedView(Shard.open(there), patch(c=text("text")))
    assert content_of(back) == path.read_bytes()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_version_and_byte_order_stay(tmp_path: Path, version: int, byte_order: ByteOrder) -> None:
    path = build_gguf(tmp_path / "m.gguf", version=version, byte_order=byte_order, metadata={"a": 7})
    header = PatchedView(Shard.open(path), patch(new=TypedValue(ValueType.INT32, -5))).header()
    assert (header.version, header.byte_order, header.metadata["new"]) == (version, byte_order, -5)


def test_a_file_without_tensors_or_keys_can_be_patched(tmp_path: Path) -> None:
    path = tmp_path / "bare.gguf"
    path.write_bytes(raw_header()[:24])  # which ends before its data section would begin
    view = PatchedView(Shard.open(path), patch(a=text("b")))
    assert dict(view.header().metadata) == {"a": "b"}
    assert view.size == len(content_of(view))


def test_shapes_stay_as_they_were_written(tmp_path: Path) -> None:
    path = build_gguf(
        tmp_path / "m.gguf", tensors=[make_tensor("a", (4, 1, 2, 1)), make_tensor("b", ()), make_tensor("c")]
    )
    view = PatchedView(Shard.open(path), patch(new=text("x")))
    assert [each.shape for each in view.header().tensors] == [(4, 1, 2, 1), (), (32,)]


values = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda value: TypedValue(ValueType.UINT32, value)),
    st.booleans().map(lambda value: TypedValue(ValueType.BOOL, value)),
    st.text(max_size=300).map(text),
    st.lists(st.text(max_size=20), max_size=8).map(lambda value: TypedValue.array(ValueType.STRING, value)),
    st.lists(st.integers(-9, 9), max_size=9).map(lambda value: TypedValue.array(ValueType.INT8, value)),
)
keys = st.from_regex(r"[a-z]{1,3}(\.[a-z_]{1,4})?", fullmatch=True)


@UNTIMED
@given(
    metadata=st.dictionaries(keys, values, max_size=6),
    changes=st.dictionaries(keys, values | st.none(), max_size=6),
    lengths=st.lists(st.integers(1, 40), max_size=6),
    alignment=st.sampled_from([1, 8, 32, 256]),
    byte_order=st.sampled_from(["little", "big"]),
)
def test_whatever_is_changed_the_rest_is_as_it_was(
    metadata: dict[str, TypedValue],
    changes: dict[str, TypedValue | None],
    lengths: list[int],
    alignment: int,
    byte_order: ByteOrder,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tensors = [make_tensor(f"t{number}", (length,)) for number, length in enumerate(lengths)]
        path = build_gguf(
            folder / "m.gguf", metadata=metadata, tensors=tensors, alignment=alignment, byte_order=byte_order
        )
        view = PatchedView(Shard.open(path), HeaderPatch(changes=changes))
        # the same file made by the writer, which knows nothing of patches
        typed = {"general.architecture": text("llama"), "tokenizer.ggml.model": text("llama")} | metadata
        if alignment != 32:
            typed["general.alignment"] = TypedValue(ValueType.UINT32, alignment)
        for key, value in changes.items():
            if value is None:
                typed.pop(key, None)
            else:
                typed[key] = value
        write_gguf(
            folder / "expected.gguf",
            metadata=typed,
            tensors=tensors,
            alignment=alignment,
            byte_order=byte_order,
        )
        assert content_of(view) == (folder / "expected.gguf").read_bytes()


@UNTIMED
@given(data=st.data(), alignment=st.sampled_from([8, 32, 128]))
def test_setting_a_key_to_what_it_is_gives_back_the_file(data: st.DataObject, alignment: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        metadata = data.draw(st.dictionaries(keys, values, min_size=1, max_size=6))
        path = build_gguf(
            Path(name) / "m.gguf", metadata=metadata, tensors=some_tensors(3), alignment=alignment
        )
        key = data.draw(st.sampled_from(sorted(metadata)))
        view = PatchedView(Shard.open(path), HeaderPatch(changes={key: metadata[key]}))
        assert isinstance(view.ranges()[0], GivenBytes)
        assert content_of(view) == path.read_bytes()


@UNTIMED
@given(template=st.text(max_size=400), new=st.dictionaries(keys, values, max_size=3))
def test_the_gguf_package_reads_the_same_but_for_the_change(
    template: str, new: dict[str, TypedValue]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        metadata = {
            "general.name": "Tiny",
            "tokenizer.ggml.tokens": ["a", "é☃", ""],
            "tokenizer.chat_template": CHATML_TEMPLATE,
        }
        path = build_gguf(Path(name) / "m.gguf", metadata=metadata, tensors=some_tensors(3))
        changes = {"tokenizer.chat_template": text(template), "general.name": None} | new
        made = PatchedView(Shard.open(path), HeaderPatch(changes=changes)).copy_to(Path(name) / "o.gguf")
        before, after = gguf.GGUFReader(path), gguf.GGUFReader(made)
        fields = {key: field for key, field in before.fields.items() if key != "general.name"}
        assert list(after.fields) == [*fields, *(key for key in new if key not in fields)]
        for key, field in fields.items():
            if key not in changes and key != "GGUF.kv_count":
                assert field.contents() == after.fields[key].contents(), key
        assert after.fields["tokenizer.chat_template"].contents() == template
        for key, value in new.items():
            assert after.fields[key].contents() == value.value
        assert [(each.name, each.shape.tolist(), each.data.tobytes()) for each in before.tensors] == [
            (each.name, each.shape.tolist(), each.data.tobytes()) for each in after.tensors
        ]


# keys and tensors in the odd forms that the reader accepts and our writer does not make
odd_entries = st.lists(
    st.sampled_from(
        [
            raw_entry("s", 8, raw_text(b"\xff\xfe\x00")),
            raw_entry("nested", 9, b"\x09\0\0\0\x01" + bytes(7) + b"\x00\0\0\0\x02" + bytes(7) + b"\x07\x08"),
            raw_entry("f", 6, b"\x00\x00\xc0\x7f"),
            raw_entry("é☃", 11, b"\xff" * 8),
        ]
    ),
    unique=True,
)


@UNTIMED
@given(entries=odd_entries, tail=st.binary(max_size=40), filler=st.sampled_from([0, 0xAA]))
def test_odd_files_keep_all_that_was_not_changed(entries: list[bytes], tail: bytes, filler: int) -> None:
    data = bytes([1, 2, 3, 4]) * 32 + bytes([filler]) * 64 + b"\x05" * 128 + tail
    content = raw_header(*entries, tensors=[raw_tensor("b", offset=192), raw_tensor("a")], data=data)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "odd.gguf"
        path.write_bytes(content)
        view = PatchedView(Shard.open(path), patch(new=text("x")))
        made = content_of(view)
        assert b"".join(entries) in made
        assert made.endswith(data)
        assert tensor_data(made) == tensor_data(content)


def test_a_file_that_was_changed_is_reported(path: Path, tmp_path: Path) -> None:
    view = PatchedView(Shard.open(path), patch(new=text("x")))
    path.write_bytes(path.read_bytes() + b"x")
    for use in (view.sha256, lambda: view.copy_to(tmp_path / "o.gguf"), lambda: content_of(view)):
        with pytest.raises(InvalidGguf, match="changed while"):
            use()
    assert not (tmp_path / "o.gguf").exists()


def test_the_file_itself_is_never_written_to(path: Path) -> None:
    with pytest.raises(UsageProblem, match="it is the input file"):
        PatchedView(Shard.open(path), patch(new=text("x"))).copy_to(path, replace=True)


def test_merged_and_patched_in_one_is_the_patched_file_that_was_split(tmp_path: Path) -> None:
    whole = tiny_llama(tmp_path / "whole.gguf")
    changes = patch(**{"tokenizer.chat_template": text("new"), "added": text("x"), "general.name": None})
    shards = ShardSet.from_paths(split(whole, tmp_path / "part", max_tensors=6))
    assert len(shards.shards) > 2
    expected = content_of(PatchedView(Shard.open(whole), changes))
    assert content_of(MergedView(shards, split_keys="drop", patch=changes)) == expected
    assert content_of(MergedView(ShardSet.discover(whole), patch=changes)) == expected
    merged = MergedView(shards, patch=changes)
    assert merged.header().metadata["split.count"] == 0
    assert tensor_data(content_of(merged)) == tensor_data(whole.read_bytes())


def test_a_patched_first_shard_goes_with_the_others(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, metadata={"c": "old"})
    shards = ShardSet.from_paths(paths)
    expected = content_of(MergedView(shards, patch=patch(c=text("new"))))
    first = PatchedView(shards.shards[0], patch(c=text("new"))).copy_to(tmp_path / "first")
    assert content_of(MergedView(ShardSet.from_paths([paths[2], first, paths[1]]))) == expected


def test_a_later_shard_that_repeats_a_key_is_to_change_it_too(tmp_path: Path) -> None:
    both = patch(a=text("1"), b=None, new=text("2"))
    paths = [
        build_gguf(tmp_path / "bare.gguf", metadata={"x": 1}),
        build_gguf(tmp_path / "repeats.gguf", metadata={"a": "0", "b": "0"}),
    ]
    assert [both.in_later_shard(open_gguf(path)) for path in paths] == [
        HeaderPatch(),
        patch(a=text("1"), b=None),
    ]


@pytest.mark.parametrize(
    "key,value",
    [
        ("general.alignment", TypedValue(ValueType.UINT32, 64)),
        ("split.count", TypedValue(ValueType.UINT16, 2)),
        ("", text("x")),
        ("a\x00b", text("x")),
        ("\udcff", text("x")),
        ("k" * 65_536, text("x")),
        ("long", text("x" * ((16 << 20) + 1))),
    ],
)
def test_what_no_reader_would_take_is_refused(key: str, value: TypedValue | None) -> None:
    with pytest.raises(UsageProblem):
        HeaderPatch(changes={key: value})


def test_a_value_that_does_not_fit_its_type_is_refused(path: Path) -> None:
    with pytest.raises(UsageProblem, match="invalid UINT8 256"):
        PatchedView(Shard.open(path), patch(a=TypedValue(ValueType.UINT8, 256)))
