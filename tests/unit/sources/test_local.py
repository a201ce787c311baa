"""The files of a model on this machine: what lies beside it comes along, or is said."""

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.sources.local import find_model
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

    def test_one_that_is_broken_is_said(self, tmp_path):
        model = tiny_llama(tmp_path / "m-Q4_K_M.gguf")
        (tmp_path / "mmproj-F16.gguf").write_bytes(b"<html>")
        found = find_model(model)
        assert names(found) == []
        assert "mmproj-F16.gguf is not a GGUF file" in found.left_out[0]


class TestPieces:
    def test_a_piece_is_called_one_and_the_command_joins_them_in_order(self, tmp_path):
        content = tiny_llama(tmp_path / "whole").read_bytes()
        size = -(-len(content) // 12)
        for number in range(12):
            piece = content[number * size : (number + 1) * size]
            (tmp_path / f"m.Q6_K.gguf.part{number + 1}of12").write_bytes(piece)
        for source in ("m.Q6_K.gguf.part1of12", "m.Q6_K.gguf.part11of12", "."):
            with pytest.raises(UsageProblem, match=r"m\.Q6_K\.gguf cut into 12 pieces") as caught:
                find_model(tmp_path / source)
            ordered = " ".join(f"m.Q6_K.gguf.part{number}of12" for number in range(1, 13))
            assert caught.value.hint == f"join them: cat {ordered} > m.Q6_K.gguf"

    def test_a_missing_piece_is_named(self, tmp_path):
        for number in (1, 3):
            (tmp_path / f"m.gguf.part{number}of3").write_bytes(b"GGUF")
        with pytest.raises(UsageProblem, match=r"lacks m\.gguf\.part2of3"):
            find_model(tmp_path)
