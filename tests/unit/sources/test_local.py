"""The files of a model on this machine: what lies beside it comes along, or is said."""

import hashlib
import os

import pytest

from gguf2ollama import build
from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.sources.local import find_model
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import fetch, resolve
from tests.builders import build_gguf, tiny_llama


def projector(path):
    return build_gguf(path, metadata={"general.type": "mmproj"}, architecture="clip")


def names(files):
    return [shard.path.name for shard in files.projectors]


class TestProjector:
    def test_the_one_beside_a_named_file_comes_along(self, tmp_path):
        model = tiny_llama(tmp_path / "gemma-3-4b-it-Q4_K_M.gguf")
        projector(tmp_path / "mmproj-model-f16.gguf")
        assert names(find_model(model)) == names(find_model(tmp_path)) == ["mmproj-model-f16.gguf"]

    def test_of_several_precisions_one_is_used_and_the_others_are_said(self, tmp_path):
        model = tiny_llama(tmp_path / "m-Q4_K_M.gguf")
        for quant in ("F32", "F16", "BF16"):
            projector(tmp_path / f"mmproj-{quant}.gguf")
        for source in (model, tmp_path):
            found = find_model(source)
            assert names(found) == ["mmproj-F16.gguf"]
            assert "mmproj-BF16.gguf" in found.notes[0]

    def test_none_is_used_on_demand(self, tmp_path):
        model = tiny_llama(tmp_path / "m-Q4_K_M.gguf")
        projector(tmp_path / "mmproj-F16.gguf")
        assert names(find_model(model, takes_projector=False)) == []
        assert names(find_model(tmp_path, takes_projector=False)) == []

    def test_that_of_another_model_stays(self, tmp_path):
        model = tiny_llama(tmp_path / "mistral-7b-Q4_K_M.gguf")
        gemma = tiny_llama(tmp_path / "gemma-3-4b-it-Q4_K_M.gguf", seed=1)
        projector(tmp_path / "mmproj-gemma-3-4b-it-f16.gguf")
        assert names(find_model(model)) == []
        assert find_model(model).left_out == ()
        assert names(find_model(gemma)) == ["mmproj-gemma-3-4b-it-f16.gguf"]

    def test_one_that_may_be_of_another_model_is_left_out_with_a_warning(self, tmp_path):
        model = tiny_llama(tmp_path / "mistral-7b-Q4_K_M.gguf")
        tiny_llama(tmp_path / "gemma-3-4b-it-Q4_K_M.gguf", seed=1)
        projector(tmp_path / "mmproj-F16.gguf")
        found = find_model(model)
        assert names(found) == []
        assert "mmproj-F16.gguf" in found.left_out[0]

    @pytest.mark.parametrize("name", ["clip-vit-large.gguf", "vision-tower-f16.gguf", "projector-fp16.gguf"])
    def test_the_header_says_it_where_the_name_does_not(self, tmp_path, name):
        model = tiny_llama(tmp_path / "llava-v1.6-mistral-7b.Q4_K_M.gguf")
        projector(tmp_path / name)
        assert names(find_model(model)) == names(find_model(tmp_path)) == [name]

    @pytest.mark.parametrize("quant", ["Q4_K_M", "UD-Q4_K_XL"])
    def test_the_one_above_the_folder_of_a_quantization_comes_along(self, tmp_path, quant, monkeypatch):
        """As `hf download unsloth/… --local-dir` leaves them."""
        folder = tmp_path / "Qwen3-VL-30B-GGUF" / quant
        folder.mkdir(parents=True)
        model = tiny_llama(folder / f"Qwen3-VL-30B-{quant}.gguf")
        tiny_llama(folder.parent / "Qwen3-VL-30B-Q8_0.gguf", seed=1)
        for precision in ("F16", "F32"):
            projector(folder.parent / f"mmproj-{precision}.gguf")
        assert names(find_model(model)) == names(find_model(folder)) == ["mmproj-F16.gguf"]
        (folder.parent / "Qwen3-VL-30B-Q8_0.gguf").unlink()
        assert find_model(folder.parent).model.name == f"Qwen3-VL-30B-{quant}"
        assert names(find_model(folder.parent)) == ["mmproj-F16.gguf"]
        monkeypatch.chdir(folder)
        assert names(find_model(".")) == names(find_model(model.name)) == ["mmproj-F16.gguf"]

    def test_the_one_in_a_folder_of_its_own_comes_along(self, tmp_path):
        model = tiny_llama(tmp_path / "pixtral-12b-Q4_K_M.gguf")
        (tmp_path / "mmproj").mkdir()
        projector(tmp_path / "mmproj" / "pixtral-f16.gguf")
        assert names(find_model(model)) == names(find_model(tmp_path)) == ["pixtral-f16.gguf"]

    def test_those_of_models_in_other_folders_stay(self, tmp_path):
        folders = {name: tmp_path / name for name in ("gemma-3-4b-it-GGUF", "Mistral-7B-GGUF")}
        for seed, folder in enumerate(folders.values()):
            folder.mkdir()
            tiny_llama(folder / "model-Q4_K_M.gguf", seed=seed)
        projector(folders["gemma-3-4b-it-GGUF"] / "mmproj-F16.gguf")
        above = tiny_llama(tmp_path / "phi-2-Q4_K_M.gguf", seed=2)
        for source in (above, folders["Mistral-7B-GGUF"], folders["Mistral-7B-GGUF"] / "model-Q4_K_M.gguf"):
            found = find_model(source)
            assert (names(found), found.left_out) == ([], ())

    def test_one_that_is_broken_is_said(self, tmp_path):
        model = tiny_llama(tmp_path / "m-Q4_K_M.gguf")
        (tmp_path / "mmproj-F16.gguf").write_bytes(b"<html>")
        found = find_model(model)
        assert names(found) == []
        assert "mmproj-F16.gguf is not a GGUF file" in found.left_out[0]


class TestPieces:
    @pytest.fixture
    def content(self, tmp_path):
        """A model that is cut into pieces smaller than its header."""
        content = tiny_llama(tmp_path / "whole").read_bytes()
        (tmp_path / "whole").unlink()
        size = -(-len(content) // 12)
        for number in range(12):
            piece = content[number * size : (number + 1) * size]
            (tmp_path / f"m.Q6_K.gguf.part{number + 1}of12").write_bytes(piece)
        return content

    @pytest.mark.parametrize("source", ["m.Q6_K.gguf.part1of12", "m.Q6_K.gguf.part11of12", "."])
    def test_they_are_one_model_of_which_only_the_header_is_read(self, tmp_path, content, source):
        found = find_model(tmp_path / source)
        (shard,) = found.model.shards
        assert (shard.path, shard.size) == (tmp_path / "m.Q6_K.gguf", len(content))
        assert (found.are_local, found.label) == (False, "Q6_K")
        assert len(list(tmp_path.iterdir())) == 12

    @pytest.mark.usefixtures("content")
    def test_the_projector_beside_them_goes_with_them(self, tmp_path):
        projector(tmp_path / "mmproj-F16.gguf")
        for source in ("m.Q6_K.gguf.part3of12", "."):
            assert names(find_model(tmp_path / source)) == ["mmproj-F16.gguf"]

    @pytest.mark.usefixtures("content")
    def test_a_whole_model_beside_them_is_the_model_of_the_folder(self, tmp_path):
        tiny_llama(tmp_path / "other-Q4_K_M.gguf")
        assert find_model(tmp_path).model.name == "other-Q4_K_M"

    def test_the_file_is_removed_once_it_is_in_ollama(self, tmp_path, content):
        folder = tmp_path
        result = build(folder, store=tmp_path / "store", verify=False)
        plan = result.plan.inspection
        assert plan.files.joined is not None
        assert not plan.files.joined.exists()
        assert len(list(folder.glob("m.Q6_K.gguf.part*"))) == 12
        digest = hashlib.sha256(content).hexdigest()
        assert (tmp_path / "store" / "blobs" / f"sha256-{digest}").read_bytes() == content

    def test_a_piece_that_changes_meanwhile_is_noticed(self, tmp_path, content):
        ref = resolve(tmp_path, selection=SourceSelection(), room=None, digests=DigestCache())
        path = tmp_path / "m.Q6_K.gguf.part5of12"
        os.utime(path, ns=(0, 0))
        with pytest.raises(FileChanged, match=r"pieces of m\.Q6_K\.gguf"):
            fetch(ref, digests=DigestCache())
        ref = resolve(tmp_path, selection=SourceSelection(), room=None, digests=DigestCache())
        assert fetch(ref, digests=DigestCache()).model.shards[0].path.read_bytes() == content

    @pytest.mark.usefixtures("content")
    def test_pieces_of_two_models_are_a_question(self, tmp_path):
        (tmp_path / "n.gguf.part1of2").write_bytes(b"GGUF")
        (tmp_path / "n.gguf.part2of2").write_bytes(b"GGUF")
        with pytest.raises(UsageProblem, match=r"pieces of several files: m\.Q6_K\.gguf, n\.gguf"):
            find_model(tmp_path)

    def test_a_missing_piece_is_named(self, tmp_path):
        for number in (1, 3):
            (tmp_path / f"m.gguf.part{number}of3").write_bytes(b"GGUF")
        with pytest.raises(UsageProblem, match=r"lacks m\.gguf\.part2of3"):
            find_model(tmp_path)


def test_a_folder_with_an_adapter_alone_says_how_to_merge_it(tmp_path):
    build_gguf(tmp_path / "lora.gguf", metadata={"general.type": "adapter"})
    with pytest.raises(UsageProblem, match=r"lora\.gguf is a LoRA adapter") as caught:
        find_model(tmp_path)
    assert "llama-export-lora" in str(caught.value.hint)
