from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.errors import InvalidGguf, InvalidShards, NotFound, UsageProblem
from gguf2ollama.ggufio import ModelFolder, Role, ShardSet, open_gguf, role_of
from tests.builders import build_gguf, build_shards, some_tensors, split_keys, tiny_llama

ROLES = [
    ({"general.type": "model"}, "llama", Role.MODEL),
    ({}, "llama", Role.MODEL),
    ({}, None, Role.MODEL),
    ({"general.type": "mmproj"}, "clip", Role.PROJECTOR),
    ({}, "clip", Role.PROJECTOR),
    ({"general.type": "mmproj"}, "llama", Role.PROJECTOR),
    ({"general.type": "adapter"}, "llama", Role.ADAPTER),
    ({}, "controlvector", Role.ADAPTER),
    ({"general.type": "imatrix"}, None, Role.IMATRIX),
    ({"general.type": "vocab"}, "llama", Role.VOCABULARY),
    ({"general.type": 7}, "llama", Role.MODEL),
]


@pytest.mark.parametrize("metadata,architecture,role", ROLES)
def test_the_header_tells_what_a_file_is_for(
    tmp_path: Path, metadata: dict[str, Any], architecture: str | None, role: Role
) -> None:
    path = build_gguf(tmp_path / "mmproj-model.gguf", metadata=metadata, architecture=architecture)
    assert role_of(open_gguf(path)) is role


def test_a_file_without_tensors_is_a_vocabulary(tmp_path: Path) -> None:
    assert role_of(open_gguf(build_gguf(tmp_path / "m.gguf", tensors=[]))) is Role.VOCABULARY


def test_sorts_a_folder_by_what_the_files_are(tmp_path: Path) -> None:
    shards = build_shards(tmp_path, name="zzz")
    projector = build_gguf(tmp_path / "a.gguf", architecture="clip")
    adapter = build_gguf(tmp_path / "b.gguf", metadata={"general.type": "adapter"})
    imatrix = build_gguf(tmp_path / "c.GGUF", metadata={"general.type": "imatrix"})
    vocabulary = build_gguf(tmp_path / "d.gguf", tensors=[])
    (tmp_path / "README.md").write_text("# A model")
    (tmp_path / "folder.gguf").mkdir()
    found = ModelFolder.scan(tmp_path)
    assert [shard.path for shard in found.model.shards] == shards
    assert [each.shards[0].path for each in found.projectors] == [projector]
    assert [each.shards[0].path for each in found.adapters] == [adapter]
    assert [each.shards[0].path for each in found.others] == [imatrix, vocabulary]
    assert [shard.path for shard in ShardSet.discover(tmp_path).shards] == shards


def test_two_models_are_listed_with_a_way_to_choose(tmp_path: Path) -> None:
    build_gguf(tmp_path / "m.Q4_K_M.gguf")
    build_shards(tmp_path, name="m.Q8_0")
    with pytest.raises(
        UsageProblem, match=r"2 models: m\.Q4_K_M\.gguf, m\.Q8_0-00001-of-00003\.gguf"
    ) as caught:
        ShardSet.discover(tmp_path)
    assert str(tmp_path / "m.Q4_K_M.gguf") in str(caught.value.hint)


def test_two_sets_of_shards_of_the_same_shape_are_two_models(tmp_path: Path) -> None:
    build_shards(tmp_path, name="q4")
    build_shards(tmp_path, name="q8")
    with pytest.raises(UsageProblem, match=r"2 models: q4-00001-of-00003\.gguf, q8-"):
        ModelFolder.scan(tmp_path)


def test_renamed_shards_are_put_together(tmp_path: Path) -> None:
    for number, path in enumerate(build_shards(tmp_path)):
        path.rename(tmp_path / f"part {3 - number}.gguf")
    assert [shard.no for shard in ModelFolder.scan(tmp_path).model.shards] == [0, 1, 2]


def test_a_lone_shard_is_reported(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    paths[0].unlink()
    paths[1].unlink()
    with pytest.raises(InvalidShards, match="2 of the 3 shards of model are missing"):
        ModelFolder.scan(tmp_path)
    tiny_llama(tmp_path / "whole.gguf")
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "whole"
    assert "2 of the 3 shards of model are missing" in folder.skipped[0]


def test_shards_of_two_incomplete_sets_are_reported(tmp_path: Path) -> None:
    build_shards(tmp_path, name="a", tensors=some_tensors(3))[0].unlink()
    build_shards(tmp_path, name="b", tensors=some_tensors(6))[0].unlink()
    with pytest.raises(InvalidShards, match="1 of the 3 shards of a is missing"):
        ModelFolder.scan(tmp_path)


def test_a_folder_without_gguf_is_reported(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(NotFound, match="no GGUF file in"):
        ModelFolder.scan(tmp_path)


def test_a_folder_below_that_has_some_is_named(tmp_path: Path) -> None:
    (tmp_path / "Q4_K_M").mkdir()
    build_gguf(tmp_path / "Q4_K_M" / "m.gguf")
    with pytest.raises(NotFound, match="no GGUF file in") as caught:
        ModelFolder.scan(tmp_path)
    assert f"{tmp_path / 'Q4_K_M'}" in str(caught.value.hint)


@pytest.mark.parametrize("place", ["o/r-GGUF/Q4_K_M", "models--o--r/snapshots/0123"])
def test_folders_further_below_are_named(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    build_gguf(tmp_path / place / "m.GGUF")
    build_gguf(tmp_path / "mmproj.gguf", architecture="clip")
    with pytest.raises(NotFound) as caught:
        ModelFolder.scan(tmp_path)
    assert f"{tmp_path / place}" in str(caught.value.hint)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").symlink_to("../blobs/0123")
    with pytest.raises(NotFound, match=r"m\.gguf is a symbolic link to nothing"):
        ModelFolder.scan(tmp_path)
    tiny_llama(tmp_path / "n.gguf")
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "n"
    assert "m.gguf is a symbolic link to nothing" in folder.skipped[0]


def test_a_folder_of_weights_in_other_formats_says_how_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(NotFound, match="only safetensors") as caught:
        ModelFolder.scan(tmp_path)
    assert "convert_hf_to_gguf.py" in str(caught.value.hint)


def test_what_has_no_tokenizer_is_skipped_beside_a_language_model(tmp_path: Path) -> None:
    build_gguf(tmp_path / "flux.gguf", architecture="flux", metadata={"tokenizer.ggml.model": None})
    assert ModelFolder.scan(tmp_path).model.name == "flux"
    tiny_llama(tmp_path / "m.gguf")
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "m"
    assert "flux.gguf has no tokenizer" in folder.skipped[0]


def test_a_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    build_gguf(tmp_path / "p.gguf", architecture="clip")
    with pytest.raises(NotFound, match=r"no model in .*, only p\.gguf \(projector\)"):
        ModelFolder.scan(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "z.gguf").write_text("<html>")
    with pytest.raises(InvalidGguf, match=r"z\.gguf is not a GGUF file: it is a web page"):
        ModelFolder.scan(tmp_path)
    tiny_llama(tmp_path / "m.gguf")
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "m"
    assert "z.gguf is not a GGUF file: it is a web page" in folder.skipped[0]


def test_half_of_a_download_does_not_spoil_a_model(tmp_path: Path) -> None:
    whole = tiny_llama(tmp_path / "m.gguf").read_bytes()
    (tmp_path / "n.gguf").write_bytes(whole[: len(whole) // 2])
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "m"
    assert "n.gguf" in folder.skipped[0]


@pytest.mark.parametrize("name", ["m (1).gguf", "m - Copy.gguf", "m copy.gguf"])
def test_a_second_download_is_skipped(tmp_path: Path, name: str) -> None:
    whole = tiny_llama(tmp_path / "m.gguf").read_bytes()
    (tmp_path / name).write_bytes(whole)
    folder = ModelFolder.scan(tmp_path)
    assert folder.model.name == "m"
    assert "is a copy of m.gguf" in folder.skipped[0]


def test_a_second_download_of_a_shard_is_skipped(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    (tmp_path / f"{paths[1].stem} (1).gguf").write_bytes(paths[1].read_bytes())
    assert len(ModelFolder.scan(tmp_path).model.shards) == 3


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    for path in build_shards(tmp_path):
        (tmp_path / f"._{path.name}").write_bytes(bytes(4096))
    folder = ModelFolder.scan(tmp_path)
    assert len(folder.model.shards) == 3
    assert folder.skipped == ()


def test_a_whole_file_with_left_over_split_keys_is_whole(tmp_path: Path) -> None:
    tensors = some_tensors(4)
    path = build_gguf(tmp_path / "m.gguf", metadata=split_keys(0, 3, 4), tensors=tensors)
    found = ShardSet.discover(path)
    assert len(found.shards) == 1
    assert found.shards[0].has_left_over_split
    assert ModelFolder.scan(tmp_path).model.name == "m"


@pytest.mark.parametrize("form", ["m-0000{}-of-00002.gguf", "m-{}-of-2.gguf", "m.part{}_of_2.GGUF"])
def test_shards_by_name_alone_are_never_half_a_model(tmp_path: Path, form: str) -> None:
    tensors = some_tensors(4)
    for number in (1, 2):
        build_gguf(tmp_path / form.format(number), tensors=tensors[2 * number - 2 : 2 * number])
    for source in (tmp_path, tmp_path / form.format(1)):
        with pytest.raises(InvalidShards, match=r"is shard 1 of 2 by its name"):
            ShardSet.discover(source)


def test_a_whole_file_that_kept_the_name_of_a_shard_is_whole(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "m-00001-of-00002.gguf")
    assert len(ShardSet.discover(path).shards) == 1


def test_shards_joined_with_cat_are_explained(tmp_path: Path) -> None:
    paths = build_shards(tmp_path)
    joined = tmp_path / "joined" / "m.gguf"
    joined.parent.mkdir()
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    for source in (joined, joined.parent):
        with pytest.raises(InvalidShards, match="joined byte by byte: shard 1 of 3 ends at byte"):
            ShardSet.discover(source)


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        ModelFolder.scan(tmp_path / "nowhere")


def test_a_model_under_two_names_is_one(tmp_path: Path) -> None:
    path = build_gguf(tmp_path / "m.gguf")
    (tmp_path / "latest.gguf").hardlink_to(path)
    (tmp_path / "soft.gguf").symlink_to(path)
    assert ModelFolder.scan(tmp_path).model.name == "latest"


def test_a_dangling_link_is_passed_over(tmp_path: Path) -> None:
    build_gguf(tmp_path / "m.gguf")
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere")
    assert ModelFolder.scan(tmp_path).model.name == "m"
