"""Which models are found in folders that other programs keep."""

import json
import os
from pathlib import Path

import pytest

from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.sources.library import find_library
from tests.builders import build_gguf, build_shards, make_tensor

WIDTH = {"llama.embedding_length": 64}


def put(root, path, **keywords):
    """Write a small model below a folder."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return build_gguf(target, **{"metadata": WIDTH, **keywords})


def projector(root, path, *, width=64, file_type=1):
    keys = {"general.type": "mmproj", "clip.projector_type": "gemma4v", "general.file_type": file_type}
    tensors = [make_tensor("mm.input_projection.weight", (32, width))]
    return put(root, path, architecture="clip", metadata=keys, tensors=tensors)


def found(*folders):
    return {
        model.path.name: (model.repository, [shard.path.name for shard in model.files.projectors])
        for model in find_library(folders).models
    }


def test_lm_studio_keeps_publisher_and_repository(tmp_path):
    put(tmp_path, "lmstudio-community/gemma-3-4b-it-GGUF/gemma-3-4b-it-Q4_K_M.gguf")
    put(tmp_path, "lmstudio-community/gemma-3-4b-it-GGUF/gemma-3-4b-it-Q8_0.gguf")
    projector(tmp_path, "lmstudio-community/gemma-3-4b-it-GGUF/mmproj-model-f16.gguf")
    put(tmp_path, "bartowski/SmolLM2-GGUF/SmolLM2-Q4_K_M.gguf")
    assert found(tmp_path) == {
        "SmolLM2-Q4_K_M.gguf": ("bartowski/SmolLM2-GGUF", []),
        "gemma-3-4b-it-Q4_K_M.gguf": ("lmstudio-community/gemma-3-4b-it-GGUF", ["mmproj-model-f16.gguf"]),
        "gemma-3-4b-it-Q8_0.gguf": ("lmstudio-community/gemma-3-4b-it-GGUF", ["mmproj-model-f16.gguf"]),
    }


def test_the_folder_of_a_quantization_is_no_repository(tmp_path):
    put(tmp_path, "unsloth/Qwen3-GGUF/Q8_0/model.gguf")
    assert found(tmp_path) == {"model.gguf": ("unsloth/Qwen3-GGUF", [])}
    assert found(tmp_path / "unsloth") == {"model.gguf": ("", [])}


def test_the_cache_of_the_hub_names_repositories_and_links_to_blobs(tmp_path):
    cache = tmp_path / "hub" / "models--o--r-GGUF"
    blob = put(cache, "blobs/0123")
    for commit in ("a" * 40, "b" * 40):
        link = cache / "snapshots" / commit / "Q4_K_M" / "r-Q4_K_M.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("b" * 40)
    projector(cache, f"snapshots/{'b' * 40}/mmproj-F16.gguf")
    [model] = find_library([tmp_path]).models
    assert (model.repository, model.path.parent.parent.name) == ("o/r-GGUF", "b" * 40)
    assert [shard.path.name for shard in model.files.projectors] == ["mmproj-F16.gguf"]


def test_the_cache_of_llama_cpp_has_all_in_one_folder(tmp_path):
    for owner, repository, file in (
        ("ggml-org", "gemma-3-4b-it-GGUF", "gemma-3-4b-it-Q4_K_M.gguf"),
        ("ggml-org", "Qwen3-4B-GGUF", "Qwen3-4B-Q8_0.gguf"),
    ):
        put(tmp_path, f"{owner}_{repository}_{file}")
        (tmp_path / f"manifest={owner}={repository}=latest.json").write_text(json.dumps({}))
    projector(tmp_path, "ggml-org_gemma-3-4b-it-GGUF_mmproj-model-f16.gguf")
    models = {model.stem: model for model in find_library([tmp_path]).models}
    assert {stem: model.repository for stem, model in models.items()} == {
        "gemma-3-4b-it-Q4_K_M": "ggml-org/gemma-3-4b-it-GGUF",
        "Qwen3-4B-Q8_0": "ggml-org/Qwen3-4B-GGUF",
    }
    assert models["gemma-3-4b-it-Q4_K_M"].files.projectors
    assert not models["Qwen3-4B-Q8_0"].files.projectors


def test_shards_are_one_model_and_what_lacks_some_is_none(tmp_path):
    (tmp_path / "whole").mkdir()
    build_shards(tmp_path / "whole", name="big", count=3)
    (tmp_path / "part").mkdir()
    build_shards(tmp_path / "part", name="half", count=3)[1].unlink()
    library = find_library([tmp_path])
    assert [len(model.files.model.shards) for model in library.models] == [3]
    assert ["00002-of-00003" in file.reason for file in library.skipped] == [True]


def test_of_several_projectors_the_first_precision_is_used(tmp_path):
    put(tmp_path, "o/r/m.gguf")
    for name, file_type in (("mmproj-BF16.gguf", 32), ("mmproj-F16.gguf", 1), ("mmproj-F32.gguf", 0)):
        projector(tmp_path, f"o/r/{name}", file_type=file_type)
    assert found(tmp_path) == {"m.gguf": ("o/r", ["mmproj-F16.gguf"])}


def test_a_projector_of_another_width_belongs_to_another_model(tmp_path):
    put(tmp_path, "downloads/m.gguf")
    projector(tmp_path, "downloads/mmproj.gguf", width=128)
    assert found(tmp_path / "downloads") == {"m.gguf": ("", [])}


def test_what_is_no_model_is_skipped_and_said(tmp_path):
    put(tmp_path, "m.gguf")
    put(tmp_path, "lora.gguf", metadata={"general.type": "adapter"})
    put(tmp_path, "vae/flux.gguf", metadata={"tokenizer.ggml.model": None}, architecture="flux")
    (tmp_path / "pruned.gguf").symlink_to(tmp_path / "blobs" / "0123")
    (tmp_path / "page.gguf").write_text("<html>")
    (tmp_path / "._m.gguf").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".cache").mkdir()
    put(tmp_path, ".cache/hidden.gguf")
    library = find_library([tmp_path])
    assert [model.path.name for model in library.models] == ["m.gguf"]
    assert {file.path.name for file in library.skipped} == {
        *("flux.gguf", "lora.gguf", "page.gguf", "pruned.gguf")
    }


def test_a_file_of_two_folders_counts_once(tmp_path):
    file = put(tmp_path, "a/m.gguf")
    (tmp_path / "b").mkdir()
    os.link(file, tmp_path / "b" / "other.gguf")
    assert [model.path for model in find_library([tmp_path / "a", tmp_path / "b", tmp_path]).models] == [file]


def test_only_folders_that_exist_are_looked_into(tmp_path):
    with pytest.raises(NotFound):
        find_library([tmp_path / "missing"])
    with pytest.raises(UsageProblem):
        find_library([Path(__file__)])
