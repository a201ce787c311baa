from __future__ import annotations

import os
from pathlib import Path

import pytest

from gguf2ollama.errors import NotEnoughSpace, NotFound, UsageProblem
from gguf2ollama.events import Update
from gguf2ollama.ggufio import ShardSet, SplitInfo, ValueType, merge, open_gguf, split, splitting
from tests.builders import build_gguf, build_shards, make_tensor, some_tensors

SEVEN = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Seven tensors of 256 bytes."""
    return build_gguf(tmp_path / "whole.gguf", metadata={"a": "b"}, tensors=some_tensors(7))


def counts(paths: tuple[Path, ...]) -> list[int]:
    return [len(open_gguf(path).tensors) for path in paths]


def test_writes_a_set_of_shards(whole: Path, tmp_path: Path) -> None:
    updates: list[Update] = []
    paths = split(whole, tmp_path / "m", max_tensors=3, progress=updates.append)
    assert [path.name for path in paths] == SEVEN
    assert [open_gguf(path).split for path in paths] == [
        SplitInfo(no=no, count=3, tensors_count=7) for no in range(3)
    ]
    assert list(open_gguf(paths[0]).metadata) == [
        *(
            "general.architecture",
            "tokenizer.ggml.model",
            "a",
            "split.no",
            "split.tensors.count",
            "split.count",
        )
    ]
    assert [(key, open_gguf(paths[1]).metadata.type_of(key)) for key in open_gguf(paths[1]).metadata] == [
        ("split.no", ValueType.UINT16),
        ("split.tensors.count", ValueType.INT32),
        ("split.count", ValueType.UINT16),
    ]
    size = sum(path.stat().st_size for path in paths)
    assert (updates[-1].task, updates[-1].done, updates[-1].total) == ("splitting whole.gguf", size, size)
    assert names(tmp_path) == [*SEVEN, "whole.gguf"]


@pytest.mark.parametrize("limit,expected", [(1, [1] * 7), (2, [2, 2, 2, 1]), (6, [6, 1])])
def test_deals_out_by_number(whole: Path, tmp_path: Path, limit: int, expected: list[int]) -> None:
    assert counts(split(whole, tmp_path / "m", max_tensors=limit)) == expected


@pytest.mark.parametrize(
    "limit,expected", [(256, [1] * 7), (511, [1] * 7), (512, [2, 2, 2, 1]), (1791, [6, 1]), (1, [1] * 7)]
)
def test_deals_out_by_bytes(whole: Path, tmp_path: Path, limit: int, expected: list[int]) -> None:
    assert counts(split(whole, tmp_path / "m", max_bytes=limit)) == expected


def test_a_tensor_larger_than_the_limit_gets_a_shard_of_its_own(tmp_path: Path) -> None:
    sizes = [10, 500, 10, 10, 500, 500, 10]
    tensors = [make_tensor(f"t{number}", (size,)) for number, size in enumerate(sizes)]
    whole = build_gguf(tmp_path / "whole.gguf", tensors=tensors)
    assert counts(split(whole, tmp_path / "m", max_bytes=1000)) == [1, 1, 2, 1, 1, 1]


def test_padding_counts(tmp_path: Path) -> None:
    whole = build_gguf(tmp_path / "w.gguf", tensors=[make_tensor(f"t{number}", (1,)) for number in range(4)])
    assert counts(split(whole, tmp_path / "m", max_bytes=63)) == [1, 1, 1, 1]
    assert counts(split(whole, tmp_path / "n", max_bytes=64)) == [2, 2]


def test_keys_of_an_earlier_merge_are_replaced(whole: Path, tmp_path: Path) -> None:
    merged = merge(ShardSet.from_paths(split(whole, tmp_path / "m", max_tensors=3)), tmp_path / "merged.gguf")
    again = split(merged, tmp_path / "n", max_tensors=3)
    for first, second in zip(split(whole, tmp_path / "o", max_tensors=3), again, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_writes_the_same_where_the_system_has_no_copy_file_range(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [path.read_bytes() for path in split(whole, tmp_path / "m", max_tensors=3)]
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    assert [path.read_bytes() for path in split(whole, tmp_path / "n", max_tensors=3)] == expected


@pytest.mark.parametrize(
    "limits,told",
    [
        ({}, "pass either"),
        ({"max_bytes": 5, "max_tensors": 5}, "pass either"),
        ({"max_tensors": 0}, "invalid shard limit 0"),
        ({"max_bytes": -1}, "invalid shard limit -1"),
        ({"max_tensors": 7}, "a single shard"),
        ({"max_bytes": 10**12}, "a single shard"),
    ],
)
def test_limits_that_make_no_sense_are_reported(
    whole: Path, tmp_path: Path, limits: dict[str, int], told: str
) -> None:
    with pytest.raises(UsageProblem, match=told):
        split(whole, tmp_path / "m", **limits)
    assert names(tmp_path) == ["whole.gguf"]


def test_more_shards_than_can_be_numbered_are_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert splitting.MAX_SHARDS == 65535
    monkeypatch.setattr(splitting, "MAX_SHARDS", 6)
    with pytest.raises(UsageProblem, match="too many shards: 7, the limit is 6"):
        split(whole, tmp_path / "m", max_tensors=1)


def test_a_file_without_tensors_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="single shard"):
        split(build_gguf(tmp_path / "w.gguf", tensors=[]), tmp_path / "m", max_tensors=1)


def test_a_shard_is_not_split_again(tmp_path: Path) -> None:
    path = build_shards(tmp_path)[1]
    with pytest.raises(UsageProblem, match="is already a shard, 2 of 3") as caught:
        split(path, tmp_path / "m", max_tensors=1)
    assert "merge" in str(caught.value.hint)


@pytest.mark.parametrize("prefix", ["/", "."])
def test_a_prefix_needs_a_name(whole: Path, prefix: str) -> None:
    with pytest.raises(UsageProblem, match="invalid output prefix"):
        split(whole, prefix, max_tensors=3)


def test_a_missing_source_or_folder_is_reported(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        split(tmp_path / "nowhere.gguf", tmp_path / "m", max_tensors=3)
    with pytest.raises(NotFound):
        split(whole, tmp_path / "nowhere" / "m", max_tensors=3)


def test_files_that_are_there_are_kept(whole: Path, tmp_path: Path) -> None:
    (tmp_path / SEVEN[2]).write_text("precious")
    with pytest.raises(UsageProblem, match=r"m-00003-of-00003\.gguf already exists"):
        split(whole, tmp_path / "m", max_tensors=3)
    assert names(tmp_path) == [SEVEN[2], "whole.gguf"]
    split(whole, tmp_path / "m", max_tensors=3, replace=True)
    assert len(ShardSet.discover(tmp_path / SEVEN[2]).shards) == 3
    assert names(tmp_path) == [*SEVEN, "whole.gguf"]


def test_the_source_is_never_written_to(tmp_path: Path) -> None:
    whole = build_gguf(tmp_path / SEVEN[1], tensors=some_tensors(7))
    with pytest.raises(UsageProblem, match="it is the input file"):
        split(whole, tmp_path / "m", max_tensors=3, replace=True)
    assert names(tmp_path) == [SEVEN[1]]


def test_space_is_checked_first(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gguf2ollama.fs.space.free_bytes", lambda _folder: 100)
    with pytest.raises(NotEnoughSpace):
        split(whole, tmp_path / "m", max_tensors=3)


@pytest.mark.parametrize("replace", ["keeping", "replacing"])
def test_all_is_as_before_when_one_shard_cannot_have_its_name(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: str
) -> None:
    if replace == "replacing":
        (tmp_path / SEVEN[0]).write_text("old")
    before = names(tmp_path)
    real = os.link

    def link(source: Path, target: Path) -> None:
        if target.name == SEVEN[2]:
            raise FileExistsError
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UsageProblem, match="already exists"):
        split(whole, tmp_path / "m", max_tensors=3, replace=replace == "replacing")
    assert names(tmp_path) == before
    if replace == "replacing":
        assert (tmp_path / SEVEN[0]).read_text() == "old"


def test_a_file_system_without_hard_links_will_do(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_source: Path, _target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    assert len(ShardSet.from_paths(split(whole, tmp_path / "m", max_tensors=3)).shards) == 3


def test_nothing_is_left_when_it_is_interrupted(whole: Path, tmp_path: Path) -> None:
    def interrupt(update: Update) -> None:
        if update.done > 1500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split(whole, tmp_path / "m", max_tensors=3, progress=interrupt)
    assert names(tmp_path) == ["whole.gguf"]
