"""``inspect --check-tensors``: what a user sees of damaged tensors, and how it ends."""

import pytest

from gguf2ollama.ggufio import Tensor, TensorType, open_gguf
from tests.builders import build_gguf, make_tensor, tiny_llama


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf")


def damage(path, name):
    gguf = open_gguf(path)
    with path.open("r+b") as stream:
        stream.seek(gguf.data_offset + gguf.tensor(name).offset)
        stream.write(b"\x00\x00\xc0\x7f")  # NaN in single precision


def inspect(call, *arguments):
    return call("inspect", "--check-tensors", "--no-verify", *arguments)


def test_a_sound_model_ends_with_0_and_counts(call, model):
    done = inspect(call, model)
    assert done.code == 0, done.err
    n_tensors = len(open_gguf(model).tensors)
    assert f"{n_tensors} of {n_tensors}" in done.out
    counts = inspect(call, model, "--json").json["tensor_check"]
    assert (counts["tensor_count"], counts["checked_count"], counts["damaged"]) == (n_tensors, n_tensors, [])
    assert counts["element_count"] == sum(tensor.n_elements for tensor in open_gguf(model).tensors)


def test_a_damaged_tensor_ends_with_4_and_is_named(call, model):
    damage(model, "blk.1.ffn_up.weight")
    done = inspect(call, model)
    assert done.code == 4
    assert f"{model}: tensor blk.1.ffn_up.weight (F32) is damaged: element 0 at byte" in done.err
    assert "is NaN" in done.err
    done = inspect(call, model, "--json")
    assert done.code == done.error["exit_code"] == 4
    (damaged,) = done.json["tensor_check"]["damaged"]
    assert (damaged["file"], damaged["tensor"], damaged["block"]) == (str(model), "blk.1.ffn_up.weight", 0)


def test_a_damaged_projector_is_found(call, model, tmp_path):
    projector = build_gguf(
        tmp_path / "mmproj.gguf",
        architecture="clip",
        metadata={"general.type": "mmproj", "clip.has_vision_encoder": True},
        tensors=[make_tensor("v.patch_embd.weight"), make_tensor("v.odd", (256,), TensorType.Q8_K)],
    )
    damage(projector, "v.patch_embd.weight")
    done = inspect(call, model, "--mmproj", projector)
    assert done.code == 4
    assert f"{projector}: tensor v.patch_embd.weight" in done.err
    assert "warning: 1 tensor (v.odd) of type Q8_K not checked:" in done.err


def test_a_tensor_of_zeros_is_a_warning(call, tmp_path):
    hole = Tensor(name="blk.0.attn_q.weight", shape=(32, 4), type=TensorType.F32, data=bytes(512))
    done = inspect(call, build_gguf(tmp_path / "m.gguf", tensors=[hole]))
    assert done.code == 0
    assert "warning: 1 tensor (blk.0.attn_q.weight) with nothing but zeros" in done.err


def test_names_of_tensors_are_printed_safely(call, tmp_path):
    evil = Tensor(name="\x1b[2Jx", shape=(1,), type=TensorType.F32, data=b"\x00\x00\xc0\x7f")
    done = inspect(call, build_gguf(tmp_path / "m.gguf", tensors=[evil]))
    assert done.code == 4
    assert "\x1b" not in done.out + done.err
    assert "\\x1b[2Jx" in done.err


@pytest.mark.parametrize("source", ["owner/repo", "https://example.com/m.gguf"])
def test_what_is_elsewhere_is_not_downloaded_for_it(call, source):
    done = inspect(call, source)
    assert done.code == 2
    assert f"{source} is not on this machine" in done.err
    assert "gguf2ollama download" in done.err
