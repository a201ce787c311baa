"""``run --engine``: a model in a process of ours, which is one of the tests here."""

import json
import sys
from pathlib import Path

import pytest

from gguf2ollama.engines import process
from gguf2ollama.ggufio import split
from gguf2ollama.memory.hardware import Gpu, Hardware

CHILD = Path(__file__).resolve().parents[1] / "engine_child.py"
GIB = 1 << 30


@pytest.fixture
def engine(monkeypatch):
    """Return a function that decides what the engine's process is."""

    def be(*, devices="", name=None, more=()):
        monkeypatch.setattr(
            process,
            "worker_command",
            lambda asked: [sys.executable, "-I", CHILD, name or asked, devices, *more],
        )

    be()
    return be


@pytest.fixture
def shards(gguf):
    """The same model in shards."""
    return split(gguf, gguf.with_name("shards"), max_tensors=8)


@pytest.fixture
def machine(monkeypatch):
    """Return a function that gives this machine a memory and cards."""

    def have(*, free=8 * GIB, gpus=()):
        found = Hardware(ram_bytes=8 * GIB, free_ram_bytes=free, gpus=gpus)
        for module in ("api.load", "engines.embedded"):
            monkeypatch.setattr(f"gguf2ollama.{module}.find_hardware", lambda: found)

    have()
    return have


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine", "machine")]


@pytest.mark.parametrize("name", ["llama.cpp", "llama-cpp-python", "transformers"])
def test_a_file_is_asked_without_a_server(call, gguf, name):
    done = call(
        "run", "--engine", name, gguf, "Hello", "there", "--param", "temperature=0", "--param", "stop=X"
    )
    assert done.code == 0, done.err
    said, _, options = done.out.partition("{")
    assert said.startswith(f"{name}: ")
    assert "Hello there" in said
    assert json.loads("{" + options)["stop"] == ["X"]
    assert "hm" in done.err  # the reasoning


def test_ollama_is_an_engine_too_with_a_model_that_goes_again(call, gguf, server):
    done = call("run", "--engine", "ollama", "--host", server.url, gguf, "Hi", "--gpu-layers", "1")
    assert done.code == 0, done.err
    assert done.out.strip()
    assert call("list", "--json").json == []
    done = call("run", "--engine", "ollama", gguf, "Hi", "--cache-type", "q8_0")
    assert done.code == 2
    assert "OLLAMA_KV_CACHE_TYPE=q8_0" in done.err
    assert call("list", "--json").json == []


def test_the_answer_as_json_has_the_keys_of_a_servers(call, gguf):
    done = call("run", "--engine", "llama.cpp", gguf, "Hi", "--json")
    assert done.json["done_reason"] == "stop"
    assert done.json["token_count"] == 4
    assert done.json["thinking"] == "hm"


def test_shards_are_merged_for_transformers_and_not_for_others(call, shards):
    others = call("run", "--engine", "llama-cpp-python", shards[1], "Hi")
    assert (others.code, "Merging" in others.err) == (0, False)
    done = call("run", "--engine", "transformers", shards[1], "Hi")
    assert done.code == 0
    assert "Merging" in done.err


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--gpu-layers", "8", "x"], 2, "need --engine"),
        (["--param", "temperature=0", "x"], 2, "need --engine"),
        (["--engine", "vllm", "FILE", "x"], 2, "invalid engine"),
        (["--engine", "llama.cpp", "--host", "a:1", "FILE", "x"], 2, "--host has no meaning"),
        (["--engine", "llama.cpp", "--gpu-layers", "many", "FILE", "x"], 2, "--gpu-layers"),
        (["--engine", "llama.cpp", "--gpu-layers", "99", "FILE", "x"], 2, "layers, the output counted"),
        (["--engine", "llama.cpp", "--gpu-layers", "1", "FILE", "x"], 2, "finds no GPU"),
        (["--engine", "llama.cpp", "--ctx", "auto", "FILE", "x"], 2, "--ctx"),
        (["--engine", "llama.cpp", "--param", "mirostat=2", "FILE", "x"], 2, "mirostat"),
        (["--engine", "transformers", "--cache-type", "q8_0", "FILE", "x"], 2, "no cache of type"),
        (["--engine", "llama.cpp", "nope.gguf", "x"], 3, "nope.gguf"),
    ],
)
def test_what_cannot_be_is_refused(call, gguf, arguments, code, message):
    done = call("run", *(str(gguf) if argument == "FILE" else argument for argument in arguments))
    assert done.code == code, done.err
    assert message in done.err


def test_too_little_memory_is_refused_before_anything_starts(call, gguf, machine, engine):
    machine(free=1000)
    engine(more=("dies",))
    done = call("run", "--engine", "llama.cpp", gguf, "Hi")
    assert done.code == 7
    assert "does not fit" in done.err
    engine()
    assert call("run", "--engine", "llama.cpp", gguf, "Hi", "--force").code == 0


def test_an_engine_that_is_killed_while_loading_is_reported(call, gguf, engine):
    engine(more=("dies",))
    done = call("run", "--engine", "llama.cpp", gguf, "Hi")
    assert done.code == 1
    assert "ended with signal 9 (SIGKILL) while loading" in done.err


def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it(call, gguf, engine):
    engine(name="missing")
    done = call("run", "--engine", "llama-cpp-python", gguf, "Hi")
    assert done.code == 3
    assert f"hint: install it: {sys.executable} -m pip install 'llama-cpp-python>=" in done.err


def test_a_gpu_that_the_library_cannot_use_is_said_with_the_command_too(call, gguf, machine):
    machine(gpus=(Gpu(name="RTX 4090", total_bytes=24 * GIB),))
    done = call("run", "--engine", "llama.cpp", gguf, "Hi", "--gpu-layers", "all")
    assert done.code == 2
    assert "cannot use the GPU (RTX 4090)" in done.err


def test_with_a_gpu_layers_go_there(call, gguf, machine, engine):
    machine(gpus=(Gpu(name="RTX 4090", total_bytes=24 * GIB),))
    engine(devices="RTX 4090")
    assert call("run", "--engine", "llama-cpp-python", gguf, "Hi", "--gpu-layers", "all").code == 0


def test_a_header_that_lies_about_its_sizes_starts_no_engine(call, gguf, engine):
    engine(more=("dies",))
    content = gguf.read_bytes()
    gguf.write_bytes(content[:8] + (1 << 60).to_bytes(8, "little") + content[16:])
    done = call("run", "--engine", "llama.cpp", gguf, "Hi")
    assert done.code == 4
    assert "SIGKILL" not in done.err


def test_a_missing_shard_is_found_before_an_engine_starts(call, shards, engine):
    engine(more=("dies",))
    shards[1].unlink()
    done = call("run", "--engine", "llama.cpp", shards[0], "Hi")
    assert done.code == 4
    assert shards[1].name in done.err


def test_without_a_server_the_way_without_one_is_named(call, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    done = call("run", "llama3", "Hi")
    assert done.code == 5
    assert "`gguf2ollama run --engine llama.cpp SOURCE`" in done.err


def test_inspect_says_which_engines_read_a_file(call, gguf):
    done = call("inspect", gguf, "--no-verify")
    assert "Engines: llama.cpp, llama-cpp-python, transformers, ollama\n" in done.out
    assert "transformers dequantizes weights to 32 bits each" in done.out
    engines = {
        engine["engine"]: engine for engine in call("inspect", gguf, "--json", "--no-verify").json["engines"]
    }
    assert engines["transformers"]["weights"] == "dequantized"
    assert engines["llama.cpp"]["weight_bytes"] > 0


def test_inspect_names_no_engine_for_an_architecture_that_none_knows(call, gguf):
    gguf.write_bytes(gguf.read_bytes().replace(b"llama", b"llamo"))
    done = call("inspect", gguf, "--no-verify")
    assert "Engines: none that is known\n" in done.out
    assert "llama.cpp b11095 does not know the architecture llamo" in done.out
