"""All tensors of the files of a model are decoded, and the damaged ones named in the order of the files."""

import os
import tracemalloc

import pytest

from gguf2ollama.errors import FileChanged, InvalidGguf
from gguf2ollama.ggufio import ShardSet, Tensor, TensorType
from gguf2ollama.verification import tensor_check
from gguf2ollama.verification.tensor_check import check_tensors
from tests.builders import build_gguf, build_shards, make_tensor

NAN = b"\x00\x7e"
BLOCK = 18  # bytes of a block of Q4_0; the scale is its first two


def floats(name, *, n_blocks=40):
    return Tensor(
        name=name, shape=(32, n_blocks), type=TensorType.F32, data=bytes([0, 0, 128, 63]) * 32 * n_blocks
    )


def blocks(name, *bad, n_blocks=40):
    """Return a tensor of Q4_0 whose blocks with these indices have a scale that is NaN."""
    data = bytearray(b"\x00\x3c" + b"\x88" * 16) * n_blocks
    for index in bad:
        data[index * BLOCK : index * BLOCK + 2] = NAN
    return Tensor(name=name, shape=(32, n_blocks), type=TensorType.Q4_0, data=bytes(data))


def check(*paths, **options):
    return check_tensors(ShardSet.from_paths(paths).shards, **options)


@pytest.fixture
def small_parts(monkeypatch):
    """Chunks of 4 blocks of Q4_0, and a part for every 2 chunks."""
    monkeypatch.setattr(tensor_check, "_CHUNK_ELEMENTS", 128)
    monkeypatch.setattr(tensor_check, "_PART_CHUNKS", 2)


def test_a_sound_model_has_all_elements_checked(tmp_path):
    path = build_gguf(tmp_path / "m.gguf", tensors=[floats("a"), blocks("b")])
    found = check(path)
    assert (found.n_tensors, found.n_elements) == (2, 2 * 32 * 40)
    assert (found.damaged, found.skipped, found.zeros) == ((), (), ())
    found.require_sound()


@pytest.mark.parametrize("index", [0, 3, 4, 7, 8, 38, 39])
def test_a_bad_block_is_named_by_index_elements_and_byte_wherever_it_lies(tmp_path, small_parts, index):
    path = build_gguf(tmp_path / "m.gguf", tensors=[floats("a"), blocks("b", index), blocks("c")])
    (damaged,) = check(path).damaged
    assert (damaged.tensor.name, damaged.block, damaged.problem) == ("b", index, "scale d is NaN")
    assert (damaged.first_element, damaged.last_element) == (index * 32, index * 32 + 31)
    assert path.read_bytes()[damaged.offset : damaged.offset + 4] == NAN + b"\x88\x88"


def test_the_first_bad_block_of_each_bad_tensor_is_named_in_their_order(tmp_path, small_parts):
    tensors = [blocks("sound"), blocks("z", 31, 17, 39), blocks("a", 2), blocks("m", 5)]
    found = check(build_gguf(tmp_path / "m.gguf", tensors=tensors))
    assert [(damaged.tensor.name, damaged.block) for damaged in found.damaged] == [
        ("z", 17),
        ("a", 2),
        ("m", 5),
    ]
    with pytest.raises(
        InvalidGguf, match=r"tensor z \(Q4_0\).*block 17 .*; 2 more tensors are damaged"
    ) as caught:
        found.require_sound()
    assert str(tmp_path / "m.gguf") in str(caught.value)


def test_an_element_of_a_float_tensor_is_named_without_a_block(tmp_path):
    data = bytearray(128)
    data[17 * 4 : 17 * 4 + 4] = b"\x00\x00\x80\x7f"
    norm = Tensor(name="norm", shape=(32,), type=TensorType.F32, data=bytes(data))
    path = build_gguf(tmp_path / "m.gguf", tensors=[norm])
    with pytest.raises(
        InvalidGguf, match=r"tensor norm \(F32\) is damaged: element 17 at byte [\d,]+: is infinite"
    ):
        check(path).require_sound()


def test_the_damaged_shard_is_named(tmp_path):
    paths = build_shards(tmp_path, tensors=[blocks("a"), blocks("b"), blocks("c", 1)])
    (damaged,) = check(*paths).damaged
    assert (damaged.shard.path, damaged.tensor.name) == (paths[2], "c")


def test_what_cannot_be_decoded_is_named_and_the_rest_checked(tmp_path):
    tensors = [make_tensor("odd", (256,), TensorType.Q8_K), blocks("b", 4)]
    found = check(build_gguf(tmp_path / "m.gguf", tensors=tensors))
    (skipped,) = found.skipped
    assert (skipped.tensor.name, found.n_tensors, found.n_elements) == ("odd", 2, 1280)
    assert "does not decode" in skipped.reason
    assert [damaged.tensor.name for damaged in found.damaged] == ["b"]


def test_floats_of_a_big_endian_file_are_checked_and_blocks_named_as_skipped(tmp_path):
    ones = Tensor(
        name="a", shape=(32,), type=TensorType.F32, data=bytes([63, 128, 0, 0]) * 31 + b"\x7f\xc0\0\0"
    )
    found = check(build_gguf(tmp_path / "m.gguf", tensors=[ones, blocks("b")], byte_order="big"))
    assert [(damaged.tensor.name, damaged.block) for damaged in found.damaged] == [("a", 31)]
    assert [skipped.tensor.name for skipped in found.skipped] == ["b"]


def test_matrices_of_zeros_are_named_and_vectors_are_not(tmp_path, small_parts):
    zeros = [
        Tensor(name=name, shape=shape, type=TensorType.F16, data=bytes(2 * 320))
        for name, shape in (("hole", (32, 10)), ("bias", (320,)))
    ]
    late = Tensor(name="late", shape=(32, 10), type=TensorType.F16, data=bytes(2 * 319) + b"\x00\x3c")
    found = check(build_gguf(tmp_path / "m.gguf", tensors=[*zeros, late]))
    assert [tensor.name for tensor in found.zeros] == ["hole"]
    assert found.damaged == ()


def test_progress_counts_every_byte_of_tensor_data_once(tmp_path, small_parts):
    updates = []
    check(build_gguf(tmp_path / "m.gguf", tensors=[floats("a"), blocks("b", 3)]), progress=updates.append)
    total = 40 * 32 * 4 + 40 * BLOCK
    assert {(update.task, update.total, update.unit) for update in updates} == {
        ("checking tensors", total, "bytes")
    }
    assert [update.done for update in updates] == sorted({update.done for update in updates})
    assert updates[-1].done == total


def test_a_file_that_changed_since_its_header_was_read_is_not_checked(tmp_path):
    path = build_gguf(tmp_path / "m.gguf", tensors=[floats("a")])
    shards = ShardSet.from_paths([path]).shards
    os.utime(path, ns=(1, 1))
    with pytest.raises(FileChanged, match=r"m\.gguf"):
        check_tensors(shards)


def test_memory_stays_small_whatever_the_size_of_a_tensor(tmp_path):
    n_bytes = 34 << 20
    tensor = Tensor(name="a", shape=(32, n_bytes // 34), type=TensorType.Q8_0, data=bytes(n_bytes))
    path = build_gguf(tmp_path / "m.gguf", tensors=[tensor])
    check(path)  # what is imported and kept is made before
    tracemalloc.start()
    try:
        found = check(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.n_elements == 32 << 20  # 128 MiB where all were decoded at once
    assert peak < tensor_check._KEPT_BYTES + (8 << 20)
