"""``quantize``, by a program of these tests in place of llama-quantize."""

import shutil
import stat
import sys

import pytest

from gguf2ollama import open_gguf
from gguf2ollama.ggufio import TensorType, split
from tests.builders import build_gguf, make_tensor, some_tensors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there"),
]

PROGRAM = """#!{python} -I
import shutil, sys
*options, kind, threads = sys.argv[1:]
files = [option for option in options if not option.startswith("--")]
print("llama_model_loader: loaded", flush=True)
if "{mode}" == "refuses" and "--dry-run" not in options:
    print("llama_model_quantize: failed to quantize: this needs an imatrix!\\x1b[2J")
    sys.exit(1)
for number in (1, 2):
    print(f"[ {{number}}/ 2] blk.0.attn_norm.weight - type = f32, size = 0.002 MiB")
print("llama_model_quantize_impl: quant size  = {mib} MiB (4.50 BPW)")
if "--dry-run" not in options:
    content = open(files[0], "rb").read()
    open(files[1], "wb").write(content[:-64] if "{mode}" == "cuts" else content)
    if "{mode}" == "crashes":
        import os
        os.abort()
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that puts a ``llama-quantize`` on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(mode="works", mib="0.10"):
        path = folder / "llama-quantize"
        path.write_text(PROGRAM.format(python=sys.executable, mode=mode, mib=mib))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return put


@pytest.fixture
def floats(tmp_path):
    """A file of 32-bit weights."""
    return build_gguf(tmp_path / "f32.gguf", tensors=some_tensors(2))


def left_over(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_file_is_written_whole(call, floats, tmp_path, program):
    program()
    done = call("quantize", floats, tmp_path / "out.gguf", "q4_k", "--json")
    assert done.code == 0, done.err
    assert done.json["type"] == "Q4_K_M"
    assert open_gguf(tmp_path / "out.gguf").tensors == open_gguf(floats).tensors
    assert "warning" not in done.err
    assert left_over(tmp_path) == []


def test_a_program_can_be_named_and_shards_are_given_by_the_first(call, floats, tmp_path, program):
    path = program().rename(tmp_path / "mine")
    shards = split(floats, tmp_path / "shards", max_tensors=1)
    done = call("quantize", shards[1], tmp_path / "out.gguf", "Q8_0", "--llama-quantize", path)
    # a copy of the first shard is not the whole model
    assert done.code == 4
    assert "wrote 1 of 2 tensors" in done.err
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    "mode, code, message",
    [
        ("refuses", 4, "to Q4_K_M: this needs an imatrix!"),
        ("crashes", 1, "ended with signal 6"),
        ("cuts", 4, "blk.1.weight"),
    ],
)
def test_what_fails_leaves_nothing(call, floats, tmp_path, program, mode, code, message):
    program(mode)
    target = tmp_path / "out.gguf"
    target.write_bytes(b"before")
    done = call("quantize", floats, target, "Q4_K_M", "--force")
    assert done.code == code, done.err
    assert message in done.err
    assert "\x1b" not in done.err
    assert target.read_bytes() == b"before"
    assert left_over(tmp_path) == []


def test_the_disk_is_checked_before_anything_is_written(call, floats, tmp_path, program):
    program(mib="99999999999.00")
    done = call("quantize", floats, tmp_path / "out.gguf", "Q4_K_M")
    assert done.code == 7
    assert "bytes needed" in done.err
    assert not (tmp_path / "out.gguf").exists()


def test_weights_that_are_quantized_already_are_a_warning(call, tmp_path, program):
    program()
    quantized = build_gguf(tmp_path / "q.gguf", tensors=[make_tensor("blk.0.w", (32, 2), TensorType.Q8_0)])
    done = call("quantize", quantized, tmp_path / "out.gguf", "Q4_0")
    assert done.code == 0, done.err
    assert "warning: q is quantized already (Q8_0)" in done.err


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (("FILE", "OUT", "Q4_X"), 2, "invalid type 'Q4_X'"),
        (("FILE", "FILE", "Q8_0", "--force"), 2, "is the file to quantize"),
        (("FILE", "FILE", "Q8_0"), 2, "already exists"),
        (("FILE", "nowhere/out.gguf", "Q8_0"), 3, "nowhere"),
        (("nope.gguf", "OUT", "Q8_0"), 3, "nope.gguf"),
        (("https://example.org/x.gguf", "OUT", "Q8_0"), 2, "needs a local file"),
        (("FILE", "OUT", "Q8_0", "--llama-quantize", "nope"), 3, "nope is not a program"),
    ],
)
def test_what_cannot_be_is_refused(call, floats, tmp_path, program, arguments, code, message):
    program()
    files = {"FILE": floats, "OUT": tmp_path / "out.gguf"}
    done = call("quantize", *(files.get(argument, argument) for argument in arguments))
    assert done.code == code, done.err
    assert message in done.err


def test_without_anything_that_quantizes_the_command_that_installs_it_is_named(
    call, floats, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = call("quantize", floats, tmp_path / "out.gguf", "Q8_0")
    assert done.code == 3
    assert "-m pip install 'llama-cpp-python>=" in done.err
