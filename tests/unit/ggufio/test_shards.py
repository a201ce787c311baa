from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gguf2ollama.errors import InvalidGguf, InvalidShards, NotFound, UsageProblem
from gguf2ollama.ggufio import Role, ShardName, ShardSet, shard_name
from tests.builders import build_gguf, build_shards, make_tensor, some_tensors, split_keys


def numbers(shards: ShardSet) -> list[int]:
    return [shard.no for shard in shards.shards]


def test_a_whole_file_is_a_set_of_one(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "Qwen2.5-0.5B.Q4_K_M.gguf")
    found = ShardSet.discover(path)
    assert not found.is_split
    assert found.name == "Qwen2.5-0.5B.Q4_K_M"
    assert found.canonical_names == ("Qwen2.5-0.5B.Q4_K_M.gguf",)
    assert found.total_bytes == path.stat().st_size
    assert found.role is Role.MODEL
    assert found.parameter_count == 32


def test_a_file_without_suffix_is_a_set_of_one(tmp_path: Path) -> None:
    found = ShardSet.discover(build_gguf(tmp_path / "sha256-abc"))
    assert found.canonical_names == ("sha256-abc.gguf",)


@pytest.mark.parametrize("member", [0, 1, 2])
def test_finds_the_set_from_any_shard(tmp_path: Path, member: int) -> None:
    paths = build_shards(tmp_path, count=3, metadata={"general.name": "x"})
    build_gguf(tmp_path / "another.gguf")
    found = ShardSet.discover(paths[member])
    assert [shard.path for shard in found.shards] == paths
    assert found.is_split
    assert found.name == "model"
    assert found.metadata["general.name"] == "x"
    assert found.total_bytes == sum(path.stat().st_size for path in paths)
    assert [tensor.name for tensor in found.tensors] == [f"blk.{number}.weight" for number in range(6)]
    assert found.canonical_names == tuple(path.name for path in paths)


def test_looks_at_no_other_file_when_the_names_are_right(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert numbers(ShardSet.discover(paths[0])) == [0, 1, 2]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_takes_shards_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    paths = build_shards(tmp_path)
    assert numbers(ShardSet.from_paths([paths[number] for number in order])) == [0, 1, 2]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
@pytest.mark.parametrize("member", [0, 1, 2])
def test_headers_decide_when_names_were_shuffled(tmp_path: Path, order: tuple[int, ...], member: int) -> None:
    paths = build_shards(tmp_path)
    for number, path in enumerate(paths):
        path.rename(tmp_path / f"{number}")
    for number, place in enumerate(order):
        (tmp_path / f"{number}").rename(paths[place])
    found = ShardSet.discover(paths[member])
    assert numbers(found) == [0, 1, 2]
    assert found.canonical_names == tuple(path.name for path in paths)


@pytest.mark.parametrize("member", ["first.gguf", "b.gguf", "c.gguf"])
def test_headers_decide_when_names_tell_nothing(tmp_path: Path, member: str) -> None:
    for path, name in zip(build_shards(tmp_path), ["first.gguf", "b.gguf", "c.gguf"], strict=True):
        path.rename(tmp_path / name)
    build_gguf(tmp_path / "another.gguf")
    found = ShardSet.discover(tmp_path / member)
    assert [shard.path.name for shard in found.shards] == ["first.gguf", "b.gguf", "c.gguf"]
    assert found.canonical_names == tuple(shard_name("first", no=no, count=3) for no in range(3))


def test_one_renamed_shard_is_found_again(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    paths[1].rename(tmp_path / "download (1).gguf")
    for start in (paths[0], tmp_path / "download (1).gguf"):
        found = ShardSet.discover(start)
        assert numbers(found) == [0, 1, 2]
        assert found.name == "model"


def test_a_renamed_shard_is_found_beside_another_set_of_the_same_shape(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, name="q4")
    build_shards(tmp_path, name="q8")
    paths[2].rename(tmp_path / "odd.gguf")
    found = ShardSet.discover(paths[0])
    assert [shard.path.name for shard in found.shards] == [paths[0].name, paths[1].name, "odd.gguf"]


def test_two_sets_of_the_same_shape_are_kept_apart_by_name(tmp_path: Path) -> None:
    small, large = build_shards(tmp_path, name="q4"), build_shards(tmp_path, name="q8")
    assert [shard.path for shard in ShardSet.discover(small[2]).shards] == small
    assert [shard.path for shard in ShardSet.discover(large[1]).shards] == large


def test_links_are_followed_from_the_folder_they_are_in(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for number, path in enumerate(build_shards(blobs)):
        path.rename(blobs / f"{number}")
        (snapshot / path.name).symlink_to(blobs / f"{number}")
    found = ShardSet.discover(snapshot / shard_name("model", no=1, count=3))
    assert numbers(found) == [0, 1, 2]
    assert all(shard.path.parent == snapshot for shard in found.shards)


def test_a_link_to_a_shard_beside_it_is_not_a_second_one(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    (tmp_path / "latest.gguf").symlink_to(paths[1])
    assert numbers(ShardSet.discover(tmp_path / "latest.gguf")) == [0, 1, 2]
    assert numbers(ShardSet.discover(tmp_path)) == [0, 1, 2]


def test_a_set_of_one_shard_is_no_split_model(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / shard_name("m", no=0, count=1), metadata=split_keys(0, 1, 1))
    found = ShardSet.discover(path)
    assert not found.is_split
    assert found.canonical_names == ("m.gguf",)


def test_the_first_shard_may_hold_no_tensor(tmp_path: Path) -> None:
    keys = {no: split_keys(no, 2, 1) for no in range(2)}
    first = build_gguf(tmp_path / shard_name("m", no=0, count=2), metadata=keys[0], tensors=[])
    build_gguf(tmp_path / shard_name("m", no=1, count=2), metadata=keys[1], architecture=None)
    found = ShardSet.discover(first)
    assert found.role is Role.MODEL
    assert len(found.tensors) == 1


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_a_missing_shard_is_named(tmp_path: Path, missing: int, start: int) -> None:
    paths = build_shards(tmp_path)
    paths[missing].unlink()
    if start == missing:
        with pytest.raises(NotFound):
            ShardSet.discover(paths[start])
        return
    told = rf"1 of the 3 shards of model is missing: model-0000{missing + 1}-of-00003\.gguf"
    for call in (
        lambda: ShardSet.discover(paths[start]),
        lambda: ShardSet.discover(tmp_path),
        lambda: ShardSet.from_paths(path for path in paths if path.exists()),
    ):
        with pytest.raises(InvalidShards, match=told) as caught:
            call()
        assert str(tmp_path) in str(caught.value.hint)


def test_of_many_missing_shards_some_are_named(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, count=20)
    with pytest.raises(InvalidShards, match=r"18 of the 20 shards .* and 13 more$"):
        ShardSet.from_paths(paths[:2])


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    paths[1].write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        InvalidGguf, match=r"model-00002-of-00003\.gguf is not a GGUF file: it is a Git LFS pointer"
    ):
        ShardSet.discover(paths[0])


def test_a_doubled_shard_is_named(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(paths[1].read_bytes())
    with pytest.raises(InvalidShards, match=r"duplicate shard 2 of 3: .*00002.*copy\.gguf"):
        ShardSet.from_paths([*paths, copy])
    with pytest.raises(InvalidShards, match="duplicate shard 2 of 3"):
        ShardSet.from_paths([paths[0], paths[1], paths[1]])


def test_a_copy_of_one_shard_under_the_name_of_another_is_reported(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    paths[2].write_bytes(paths[1].read_bytes())
    with pytest.raises(InvalidShards, match=r"duplicate shard 2 of 3: .*00002-of-00003.*00003-of-00003"):
        ShardSet.discover(paths[0])


def test_a_whole_file_among_shards_is_named(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    whole = build_gguf(tmp_path / "whole.gguf")
    for given in ([*paths, whole], [whole, *paths]):
        with pytest.raises(InvalidShards, match=r"whole\.gguf is a complete GGUF, .* is a shard of another"):
            ShardSet.from_paths(given)


def test_two_whole_files_are_not_a_set(tmp_path: Path) -> None:
    paths = [build_gguf(tmp_path / name) for name in ("a.gguf", "b.gguf")]
    with pytest.raises(InvalidShards, match="are both complete"):
        ShardSet.from_paths(paths)


def test_shards_of_sets_of_other_sizes_do_not_belong_together(tmp_path: Path) -> None:
    three, two = build_shards(tmp_path, count=3), build_shards(tmp_path, name="two", count=2)
    with pytest.raises(InvalidShards, match="are not shards of one model: shards in the set: 3 and 2"):
        ShardSet.from_paths([three[0], two[1], three[2]])


def test_a_shard_of_a_model_with_more_tensors_is_reported(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    (tmp_path / "o").mkdir()
    other = build_shards(tmp_path / "o", tensors=some_tensors(9))
    paths[1].write_bytes(other[1].read_bytes())
    with pytest.raises(InvalidShards, match="tensors in the set: 6 and 9"):
        ShardSet.discover(paths[0])


def test_a_shard_of_a_model_with_the_same_count_of_tensors_is_reported(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    (tmp_path / "o").mkdir()
    shifted = [make_tensor(f"blk.{number}.weight") for number in (8, 9, 4, 5, 6, 7)]
    paths[1].write_bytes(build_shards(tmp_path / "o", tensors=shifted)[1].read_bytes())
    with pytest.raises(InvalidShards, match=r"tensor 'blk\.4\.weight' is in both .*00002.* and .*00003"):
        ShardSet.discover(paths[0])


def test_fewer_tensors_than_the_headers_tell_are_reported(tmp_path: Path) -> None:
    keys = [split_keys(no, 2, 3) for no in range(2)]
    paths = [
        build_gguf(tmp_path / f"{no}.gguf", metadata=keys[no], tensors=[make_tensor(f"t{no}")])
        for no in (0, 1)
    ]
    with pytest.raises(InvalidShards, match="have 2 tensors, but their headers declare 3"):
        ShardSet.from_paths(paths)


def test_a_shard_of_another_architecture_is_reported(tmp_path: Path) -> None:
    keys = [split_keys(no, 2, 2) for no in range(2)]
    paths = [
        build_gguf(
            tmp_path / f"{no}.gguf",
            metadata=keys[no],
            tensors=[make_tensor(f"t{no}")],
            architecture=["llama", "qwen2"][no],
        )
        for no in (0, 1)
    ]
    with pytest.raises(InvalidShards, match=r"are not shards of one model: general\.architecture differs"):
        ShardSet.from_paths(paths)


def test_shards_of_both_byte_orders_are_not_a_set(tmp_path: Path) -> None:
    paths = build_shards(tmp_path, count=2)
    build_gguf(paths[1], metadata=split_keys(1, 2, 4), tensors=[], architecture=None, byte_order="big")
    with pytest.raises(InvalidShards, match="byte order: little and big"):
        ShardSet.from_paths(paths)


def test_no_path_is_no_set() -> None:
    with pytest.raises(UsageProblem, match="no file"):
        ShardSet.from_paths([])


@pytest.mark.parametrize(
    "name,parsed",
    [
        ("a-00001-of-00003.gguf", ("a", 0, 3)),
        ("a-00001-of-00002-00002-of-00003.gguf", ("a-00001-of-00002", 1, 3)),
        ("a-00000-of-00003.gguf", None),
        ("a-00004-of-00003.gguf", None),
        ("a-0001-of-0003.gguf", ("a", 0, 3)),
        ("a-1-of-12.gguf", ("a", 0, 12)),
        ("a.part02_of_03.gguf", ("a.part", 1, 3)),
        ("A-00001-of-00003.GGUF", ("A", 0, 3)),
        ("a{1}-00001-of-00003.gguf", ("a{1}", 0, 3)),
        ("2-of-3.gguf", None),
        ("12-of-30.gguf", None),
        ("-00001-of-00003.gguf", None),
        ("a-00001-of-00003.gguf.part", None),
        ("a-\u0660\u0660\u0660\u0660\u0661-of-00003.gguf", None),
        ("a.gguf", None),
    ],
)
def test_takes_names_of_shards_apart(name: str, parsed: tuple[str, int, int] | None) -> None:
    found = ShardName.parse(name)
    assert (found and (found.prefix, found.no, found.count)) == parsed
    if found:
        assert found.of(found.no) == name
