"""What ``inspect --check-tensors`` takes for damage, against llama.cpp, and against all that it quantizes.

``llama-quantize`` checks what it reads (``ggml_validate_row_data``) and names the tensor and the block.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gguf2ollama.ggufio import Shard, ShardSet, Tensor, TensorType, open_gguf
from gguf2ollama.verification.tensor_check import check_tensors
from tests.builders import build_gguf, tiny_llama
from tests.live import parts

pytestmark = pytest.mark.live

TYPES = [kind for kind in TensorType if kind.name not in {"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"}]
OURS_ALONE = {TensorType.NVFP4}  # of which llama.cpp takes any byte for a scale
# where in a block a scale stands, and NaN as it is stored there; of other types, F16 at the start
_NAN_AT = {
    "F32": (0, b"\x00\x00\xc0\x7f"),
    "BF16": (0, b"\xc0\x7f"),
    "MXFP4": (0, b"\xff"),
    "Q2_K": (82, b"\x00\x7e"),
    "Q3_K": (108, b"\x00\x7e"),
    "Q6_K": (208, b"\x00\x7e"),
    "TQ1_0": (52, b"\x00\x7e"),
    "TQ2_0": (64, b"\x00\x7e"),
    "IQ1_M": (48, b"\x00\xf0" * 4),
}


@pytest.fixture(scope="module")
def quantize(llama_tool):
    """Run ``llama-quantize``; returns its code and all that it wrote."""

    def run(source, target, kind, *options):
        command = [llama_tool("llama-quantize"), "--allow-requantize", *options, source, target, kind]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    return run


@pytest.fixture(scope="module")
def quantized(quantize, tmp_path_factory):
    """A model that llama.cpp wrote with a matrix of each type, and which matrix is of which type.

    Before the first row of some types it computes for 17 seconds: the file is kept beside the real parts.
    """
    folder = tmp_path_factory.mktemp("quantized")
    # rows that are whole blocks of every type, and more matrices than types
    source = tiny_llama(folder / "f32.gguf", width=256, blocks=len(TYPES) // 7 + 1)
    names = [
        tensor.name for tensor in open_gguf(source).tensors if re.match(r"blk.*(attn|ffn)_\w+\.", tensor.name)
    ]
    by_type = dict(zip(TYPES, (name for name in names if "norm" not in name), strict=False))
    choices = [
        option
        for kind, name in by_type.items()
        for option in ("--tensor-type", f"{name}={kind.name.lower()}")
    ]
    weights = importance(source)
    asked = (parts.OLLAMAS[0].title, *choices, source.read_bytes(), weights.read_bytes())
    path = parts.cache_dir() / "quantized" / f"{hashlib.sha256(repr(asked).encode()).hexdigest()}.gguf"
    if not path.exists():
        code, said = quantize(source, folder / "quantized.gguf", "Q8_0", *choices, "--imatrix", weights)
        assert code == 0, said
        path.parent.mkdir(exist_ok=True)
        staged = Path(shutil.copy(folder / "quantized.gguf", path.with_suffix(f".{os.getpid()}")))
        staged.replace(path)
    assert {kind: open_gguf(path).tensor(name).type for kind, name in by_type.items()} == {
        kind: kind for kind in TYPES
    }
    return path, by_type


def importance(model):
    """Write equal weights for ``llama-quantize``, which makes some types only with such a file."""
    ones = [
        Tensor(
            name=f"{tensor.name}.{part}",
            shape=(length, 1),
            type=TensorType.F32,
            data=b"\x00\x00\x80\x3f" * length,
        )
        for tensor in open_gguf(model).tensors
        if len(tensor.shape) > 1
        for part, length in (("in_sum2", tensor.shape[0]), ("counts", 1))
    ]
    metadata = {
        "general.type": "imatrix",
        "imatrix.datasets": ["none"],
        "imatrix.chunk_count": 1,
        "imatrix.chunk_size": 512,
    }
    return build_gguf(model.with_name("imatrix.gguf"), architecture=None, metadata=metadata, tensors=ones)


def test_what_llama_cpp_quantizes_is_sound(quantized):
    path, _ = quantized
    found = check_tensors([Shard.open(path)])
    assert (found.damaged, found.skipped, found.zeros) == ((), (), ())
    assert found.n_elements == sum(tensor.n_elements for tensor in open_gguf(path).tensors)


@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind not in OURS_ALONE], ids=lambda kind: kind.name
)
def test_damage_is_found_where_llama_cpp_finds_it(kind, quantized, quantize, tmp_path):
    path, by_type = quantized
    damaged_path = Path(shutil.copy(path, tmp_path))
    gguf = open_gguf(damaged_path)
    tensor = gguf.tensor(by_type[kind])
    offset, nan = _NAN_AT.get(kind.name, (0, b"\x00\x7e"))
    with damaged_path.open("r+b") as stream:
        stream.seek(gguf.data_offset + tensor.offset + 5 * kind.block_bytes + offset)
        stream.write(nan)
    (damaged,) = check_tensors([Shard.open(damaged_path)]).damaged
    code, said = quantize(damaged_path, tmp_path / "copy.gguf", "COPY")
    assert code != 0
    refused = re.search(r"tensor '(.+?)' has invalid data", said)
    assert refused, said
    assert damaged.tensor.name == refused[1] == tensor.name
    assert damaged.block == 5
    if place := re.search(r"found .+ at block (\d+)", said):  # of BF16 it counts them
        assert int(place[1]) == 5


def test_a_real_model_is_sound(smollm2):
    found = check_tensors(ShardSet.discover(smollm2).shards)
    assert (found.n_tensors, found.n_elements) == (272, 134_515_008)
    assert (found.damaged, found.skipped, found.zeros) == ((), (), ())
