"""Where the models of a repository run on this machine, and the default that follows."""

import json
import re

import pytest

from gguf2ollama.cli import run
from gguf2ollama.ggufio.ggml import TensorType
from gguf2ollama.ggufio.tensors import TensorInfo
from gguf2ollama.ggufio.writer import encode_entry, encode_header, lay_out
from gguf2ollama.memory import hardware
from gguf2ollama.memory.hardware import Gpu
from tests.builders import split_keys, typed
from tests.cli.json_keys import check_output
from tests.fakes.hub_content import Hollow

GB, GIB = 10**9, 1 << 30

# the dimensions of Llama 3.1 8B: 128 KiB of KV cache for each token
LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.context_length": 131_072,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14_336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.vocab_size": 128_256,
    "tokenizer.ggml.model": "gpt2",
}


def model(n_bytes, *, keys=LLAMA, blocks=32):
    """Return a file of so many bytes with the header of a model: a tensor for each block, and embeddings."""
    each = n_bytes // (blocks + 2) // 32 * 32
    names = ["token_embd.weight", "output.weight", *(f"blk.{block}.ffn_up.weight" for block in range(blocks))]
    tensors = lay_out(
        (TensorInfo(name, (each,), TensorType.I8, 0, each, each) for name in names), alignment=32
    )
    entries = [encode_entry(key, typed(value), byte_order="little") for key, value in keys.items()]
    header = encode_header(entries, tensors, byte_order="little", version=3, alignment=32)
    return Hollow(len(header) + each * len(names), header)


@pytest.fixture
def machine(monkeypatch):
    """8 GiB of VRAM and 16 GiB of RAM, of which models can have 6.6 and 12.8 GiB."""
    monkeypatch.setattr(hardware, "_linux_ram", lambda: (16 * GIB, 9 * GIB))
    monkeypatch.setattr(hardware, "_cgroup_limit", lambda: None)
    monkeypatch.setattr(hardware, "_nvidia", lambda: iter([Gpu(name="RTX 3070", total_bytes=8 * GIB)]))
    monkeypatch.setattr(hardware, "_amd", lambda: iter([]))


@pytest.fixture
def call(hub, capsys, monkeypatch, tmp_path, machine):
    for name, value in {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)

    def one(*arguments):
        code = run([*arguments])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out, err

    return one


def places(table):
    return {row["quantization"]: row["place"] for row in table["models"]}


def test_quants_says_which_model_fits_where_and_the_default_follows(hub, call):
    sizes = {"Q4_K_M": 4.9, "Q8_0": 8.5, "F32": 32}
    hub.add("o/r", {f"m-{quant}.gguf": model(int(size * GB)) for quant, size in sizes.items()})

    out, err = call("quants", "o/r")

    rows = [re.split(r"  +", line) for line in out.splitlines()]
    assert [(row[0], row[4]) for row in rows] == [
        ("QUANT", "FITS"),
        ("Q4_K_M *", "GPU"),
        ("Q8_0", "GPU + RAM"),
        ("F32", "no"),
    ]
    assert "This machine has for models: 6.6 GiB on the GPU, 12.8 GiB of RAM" in err
    assert "Default: Q4_K_M (the usual one, and all of it fits this machine's GPU)" in err


def test_a_model_that_fits_the_gpu_is_the_default_where_the_usual_one_does_not(hub, call):
    sizes = {"Q3_K_M": 5, "Q4_K_M": 7, "Q8_0": 12}
    hub.add("o/r", {f"m-{quant}.gguf": model(size * GB) for quant, size in sizes.items()})

    table = json.loads(call("quants", "o/r", "--json")[0])

    check_output(("quants",), table)
    assert places(table) == {"Q3_K_M": "gpu", "Q4_K_M": "split", "Q8_0": "split"}
    assert table["default"]["file"] == "m-Q3_K_M.gguf"
    assert table["room"]["unified"] is False
    assert "m-Q3_K_M" in call("modelfile", "o/r", "--no-verify")[0]


def test_one_header_is_enough_for_all(hub, call):
    sizes = {"Q3_K_M": 5, "Q4_K_M": 7, "Q8_0": 12}
    hub.add("o/r", {f"m-{quant}.gguf": model(size * GB) for quant, size in sizes.items()})
    call("quants", "o/r")
    assert [path for path in hub.sent if path.endswith(".gguf")] == ["m-Q4_K_M.gguf"]


def test_the_header_of_the_default_is_read_once(hub, call):
    hub.add("o/r", {"m-Q4_K_M.gguf": model(5 * GB), "m-Q8_0.gguf": model(9 * GB)})
    call("modelfile", "o/r", "--no-verify")
    assert len(hub.lines("GET cdn", "m-Q4_K_M.gguf")) == 1


def test_the_context_counts_and_not_the_weights_alone(hub, call):
    wide = LLAMA | {"llama.attention.head_count_kv": 32, "llama.block_count": 96}
    hub.add("o/r", {f"m-{quant}.gguf": model(5 * GB, keys=wide, blocks=96) for quant in ("Q4_K_M", "Q8_0")})
    table = json.loads(call("quants", "o/r", "--json")[0])
    assert places(table) == {"Q4_K_M": "split", "Q8_0": "split"}


def test_a_shard_is_enough(hub, call):
    shards = {
        f"m-Q4_K_M-0000{no + 1}-of-00002.gguf": model(2 * GB, keys=LLAMA | split_keys(no, 2, 68))
        for no in (0, 1)
    }
    hub.add("o/r", shards | {"m-Q8_0.gguf": model(9 * GB)})
    table = json.loads(call("quants", "o/r", "--json")[0])
    assert places(table) == {"Q4_K_M": "gpu", "Q8_0": "split"}


@pytest.mark.parametrize(
    "content",
    [b"GGUF", b"<html>", model(0, keys=LLAMA | {"llama.attention.head_count": 0}).head],
    ids=["cut", "page", "no heads"],
)
def test_without_a_header_the_weights_have_to_do(hub, call, content):
    sizes = {"Q4_K_M": 4, "Q5_K_M": 9, "Q8_0": 40}
    hub.add("o/r", {f"m-{quant}.gguf": Hollow(size * GB, content) for quant, size in sizes.items()})
    table = json.loads(call("quants", "o/r", "--json")[0])
    assert places(table) == {"Q4_K_M": "gpu", "Q5_K_M": "split", "Q8_0": "none"}


def test_a_projector_takes_its_share(hub, call):
    files = {"m-Q4_K_M.gguf": model(5 * GB), "m-Q8_0.gguf": model(9 * GB)}
    hub.add("o/r", files | {"mmproj-F16.gguf": Hollow(2 * GB, b"GGUF")})
    table = json.loads(call("quants", "o/r", "--json")[0])
    assert places(table) == {"Q4_K_M": "split", "Q8_0": "split"}


def test_on_a_machine_whose_memory_is_not_known_nothing_is_read(hub, call, monkeypatch):
    monkeypatch.setattr(hardware, "_linux_ram", lambda: None)
    monkeypatch.setattr(hardware, "_psutil_ram", lambda: None)
    hub.add("o/r", {"m-Q4_K_M.gguf": model(5 * GB), "m-Q8_0.gguf": model(9 * GB)})
    table = json.loads(call("quants", "o/r", "--json")[0])
    assert places(table) == {"Q4_K_M": None, "Q8_0": None}
    assert table["room"] is None
    assert not [path for path in hub.sent if path.endswith(".gguf")]
